//! The check of the ledger in a data directory that no process uses.

use std::path::Path;

use super::error::OpenError;
use crate::{
    database::{Database, DirectoryLock, LockError},
    ledger::{Discrepancy, LedgerStore},
};

/// The name of the database in the data directory.
pub(super) const DATABASE: &str = "jobs.sqlite";

/// Locks a data directory, which must exist.
pub(super) async fn lock(dir: &Path) -> Result<DirectoryLock, OpenError> {
    DirectoryLock::acquire(dir).await.map_err(|error| match error {
        LockError::Held => OpenError::DataDirInUse { dir: std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned()) },
        LockError::Io(source) => OpenError::Lock { dir: dir.to_owned(), source },
    })
}

/// Compares the sums of the ledger in a data directory with the rows behind them. Migrates the database to the current version first.
///
/// # Errors
/// Another process uses the directory; it has no database, or that cannot be opened.
pub async fn verify_ledger(dir: &Path) -> Result<Vec<Discrepancy>, OpenError> {
    let file = dir.join(DATABASE);
    // Opening the database would create it.
    tokio::fs::metadata(&file).await.map_err(|source| OpenError::NoDatabase { file: file.clone(), source })?;
    let lock = lock(dir).await?;
    let database = Database::open(&file).await?;
    let discrepancies = LedgerStore::new(database.clone()).verify().await?;
    database.close().await;
    drop(lock);
    Ok(discrepancies)
}
