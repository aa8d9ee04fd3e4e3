//! Which errors mean that the server of the database cannot be used.

/// Returns whether an error is about the connection or the server, and not about a statement.
pub(super) fn is_unavailable(error: &sqlx::Error) -> bool {
    match error.as_database_error() {
        // Connection failures, and sessions that the server ends: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
        Some(error) => error.code().is_some_and(|code| code.starts_with("08") || code.starts_with("57P")),
        None => matches!(
            error,
            sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::Protocol(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::WorkerCrashed
        ),
    }
}
