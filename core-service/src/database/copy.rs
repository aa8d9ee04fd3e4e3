//! Consistent copies of a database that a running process uses, and the check of a copy.

use std::{io, path::Path};

use sqlx::{ConnectOptions as _, SqliteConnection, sqlite::SqliteConnectOptions};

use super::sqlite::BUSY_TIMEOUT;

/// Opens a database for reading, also while another process writes to it. Does not migrate it, and starts no task.
///
/// # Errors
/// The file does not exist, or is not a database.
pub(crate) async fn open_read_only(file: &Path) -> Result<SqliteConnection, sqlx::Error> {
    SqliteConnectOptions::new().filename(file).read_only(true).busy_timeout(BUSY_TIMEOUT).connect().await
}

/// Copies the database into a new file, in one read transaction: the copy is the state at one moment, without a write-ahead log.
/// Writers of other processes do not wait for it. The copy is not flushed to the disk.
///
/// # Errors
/// The database cannot be read, or the file exists or cannot be written.
pub(crate) async fn copy_into(source: &mut SqliteConnection, file: &Path) -> Result<(), sqlx::Error> {
    let not_utf8 = || io::Error::new(io::ErrorKind::InvalidInput, "the path must be valid UTF-8");
    let file = file.to_str().ok_or_else(|| sqlx::Error::Io(not_utf8()))?;
    sqlx::query("VACUUM INTO $1").bind(file).execute(source).await?;
    Ok(())
}

/// Returns the first defect that SQLite finds in the pages and indexes of the database; `None` if there is none.
pub(crate) async fn find_defect(database: &mut SqliteConnection) -> Result<Option<String>, sqlx::Error> {
    let result: String = sqlx::query_scalar("PRAGMA integrity_check(1)").fetch_one(database).await?;
    Ok((result != "ok").then_some(result))
}
