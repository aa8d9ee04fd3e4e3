//! The errors of opening a database.

use sqlx::migrate::MigrateError;

use super::unavailable::is_unavailable;

/// The reason why the database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be opened.
    #[error("the database cannot be opened: {0}")]
    Connect(#[from] sqlx::Error),
    /// The schema cannot be migrated to the current version, for example because a later version of Triptych wrote the file.
    #[error("the database schema cannot be migrated: {0}")]
    Migrate(#[from] MigrateError),
    /// A later version of Triptych has changed the schema so that this version cannot use it.
    #[error(
        "a later version of Triptych has migrated the database, and this version cannot use it any more: it knows the migrations up to \
         {known}, and {oldest} is needed; start the later version"
    )]
    NewerSchema {
        /// The number of the last migration of this version.
        known: i64,
        /// The lowest such number with which a program can use the schema.
        oldest: i64,
    },
}

impl OpenError {
    /// Returns whether the server of the database cannot be reached now, or is starting, so that a later attempt may succeed.
    pub(crate) fn is_temporary(&self) -> bool {
        match self {
            Self::Connect(error) | Self::Migrate(MigrateError::Execute(error)) => is_unavailable(error),
            Self::Migrate(_) | Self::NewerSchema { .. } => false,
        }
    }
}
