//! The lock of a data directory, which keeps a second process from using it.

use std::{fs::TryLockError, io, path::Path};

/// The name of the locked file in the data directory. It stays after the process, which does not matter: the lock is that of
/// the operating system, which releases it when the process ends, also by SIGKILL.
const FILE_NAME: &str = "lock";

/// An exclusive lock of a data directory, held until it is dropped.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    // Closing the file releases the lock.
    _file: std::fs::File,
}

/// Locking a directory failed.
#[derive(Debug)]
pub(crate) enum LockError {
    /// Another process, or another core of this process, holds the lock.
    Held,
    /// The file cannot be created or locked.
    Io(io::Error),
}

impl DirectoryLock {
    /// Locks the directory, which must exist. Does not wait.
    pub(crate) async fn acquire(directory: &Path) -> Result<Self, LockError> {
        let mut options = tokio::fs::OpenOptions::new();
        let opened = options.create(true).write(true).truncate(false).open(directory.join(FILE_NAME)).await;
        let file = opened.map_err(LockError::Io)?.into_std().await;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::Held),
            Err(TryLockError::Error(error)) => Err(LockError::Io(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lock_is_exclusive_until_it_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let lock = DirectoryLock::acquire(directory.path()).await.unwrap();
        assert!(matches!(DirectoryLock::acquire(directory.path()).await, Err(LockError::Held)));
        drop(lock);
        assert!(DirectoryLock::acquire(directory.path()).await.is_ok());
    }
}
