//! The errors of making and restoring a backup.

use std::{io, path::PathBuf};

use crate::database;

/// A backup could not be made or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The directory of the new backup exists, or the directory `NAME.partial` of an unfinished or running one.
    #[error("{}: exists; name a directory that does not exist, or remove this one", .0.display())]
    Exists(PathBuf),
    /// The data directory has no database.
    #[error("{}: there is no job database; set the data directory with --data-dir or TRIPTYCH_DATA_DIR", .0.display())]
    NoDatabase(PathBuf),
    /// The directory has no manifest.
    #[error("{}: not a backup: it has no backup.json, which is written last; name a directory that `triptych backup` made", .0.display())]
    NoManifest(PathBuf),
    /// The manifest is invalid, or of a later format.
    #[error("{}: {why}", path.display())]
    Manifest {
        /// The path of the manifest.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The backup is not as it was made.
    #[error("{}: the backup is damaged: {why}; restore another backup", path.display())]
    Damaged {
        /// The damaged file or directory.
        path: PathBuf,
        /// How it differs from the manifest.
        why: String,
    },
    /// The data directory has files.
    #[error(
        "{}: a backup is restored into an empty directory only, and this one has `{entry}`; move its files away, or set another \
         directory with --data-dir or TRIPTYCH_DATA_DIR", path.display()
    )]
    NotEmpty {
        /// The data directory.
        path: PathBuf,
        /// The name of a file or directory in it.
        entry: String,
    },
    /// A process uses the data directory.
    #[error("{}: another process is using the directory; stop that process, or set another directory with --data-dir or TRIPTYCH_DATA_DIR", .0.display())]
    InUse(PathBuf),
    /// A file operation failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The path of the file or directory.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The database cannot be read or copied.
    #[error("{}: the database cannot be read or copied: {source}", path.display())]
    Copy {
        /// The path of the database.
        path: PathBuf,
        /// The error of SQLite.
        source: sqlx::Error,
    },
    /// The restored database cannot be opened, for example because a later version of Triptych wrote it.
    #[error(transparent)]
    Open(#[from] database::OpenError),
    /// The restored jobs cannot be changed.
    #[error("the restored jobs cannot be prepared: {0}")]
    Jobs(String),
    /// A signal interrupted the backup or restore; what it had written was removed.
    #[error("interrupted; nothing was kept")]
    Interrupted,
}

impl BackupError {
    /// Returns a function that adds the path to an error of the operating system.
    pub(super) fn at(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
