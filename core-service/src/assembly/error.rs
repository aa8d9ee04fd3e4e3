//! The errors of opening and reloading a core.

use std::path::PathBuf;

use crate::{config::SettingError, database, error::Error, upstream::SetupError};

/// Opening or reloading a core failed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A setting has an unusable value.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// Two models have the same public name.
    #[error(
        "two models have the name `{0}`; rename one of them in chat.model, chat.models, chat.routes, or models in a section \
         of image or video"
    )]
    DuplicateModel(String),
    /// The data directory cannot be created.
    #[error("data_dir = \"{dir}\": cannot create the directory: {source}")]
    DataDir {
        /// The directory.
        dir: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// Another process uses the data directory.
    #[error(
        "data_dir = \"{dir}\": another process is using the directory; stop that process, or set another directory in \
         TRIPTYCH_DATA_DIR"
    )]
    DataDirInUse {
        /// The directory.
        dir: PathBuf,
    },
    /// The data directory is a backup, or the target of a restore that was interrupted.
    #[error(
        "data_dir = \"{dir}\": the directory is a backup, or was not restored completely; make a data directory of a backup with \
         `triptych restore BACKUP`"
    )]
    IsBackup {
        /// The directory.
        dir: PathBuf,
    },
    /// The data directory cannot be locked.
    #[error("data_dir = \"{dir}\": cannot lock the directory: {source}")]
    Lock {
        /// The directory.
        dir: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The data directory has no database.
    #[error("{file}: cannot read the database: {source}")]
    NoDatabase {
        /// The file.
        file: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The client of an upstream cannot be created.
    #[error("cannot set up an upstream: {0}")]
    Upstream(#[from] SetupError),
    /// The PostgreSQL database cannot be used.
    #[error("database_url: {0}")]
    Postgres(database::OpenError),
    /// The database cannot be opened.
    #[error(transparent)]
    Database(#[from] database::OpenError),
    /// The media store cannot be opened.
    #[error(transparent)]
    Store(#[from] Error),
}
