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
}

impl OpenError {
    /// Returns whether the server of the database cannot be reached now, or is starting, so that a later attempt may succeed.
    pub(crate) fn is_temporary(&self) -> bool {
        match self {
            Self::Connect(error) | Self::Migrate(MigrateError::Execute(error)) => is_unavailable(error),
            Self::Migrate(_) => false,
        }
    }
}
