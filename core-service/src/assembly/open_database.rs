//! The database of the settings, and the check of its ledger while no process uses it.

use std::{path::Path, time::Duration};

use secrecy::ExposeSecret as _;
use tokio::time::{Instant, sleep};

use super::error::OpenError;
use crate::{
    config::{DatabaseEvents, Settings},
    database::{DATABASE_FILE, Database, DirectoryLock, LockError, Notifications},
    ledger::{Discrepancy, LedgerStore},
};

/// How long a start waits for the server of the database, and the interval between two attempts.
const SERVER_WAIT: Duration = Duration::from_mins(1);
const SERVER_INTERVAL: Duration = Duration::from_secs(2);

/// Locks a data directory, which must exist.
pub(super) async fn lock(dir: &Path) -> Result<DirectoryLock, OpenError> {
    DirectoryLock::acquire(dir).await.map_err(|error| match error {
        LockError::Held => OpenError::DataDirInUse { dir: std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned()) },
        LockError::Io(source) => OpenError::Lock { dir: dir.to_owned(), source },
    })
}

/// Opens the database of the settings: PostgreSQL, or the SQLite file in the data directory, which must be locked.
pub(super) async fn open_database(settings: &Settings) -> Result<Database, OpenError> {
    match &settings.database_url {
        Some(url) => {
            let connected = Database::connect(url.expose_secret(), settings.database_connections).await;
            connected.map_err(OpenError::Postgres)
        }
        None => Ok(Database::open(&settings.data_dir.join(DATABASE_FILE)).await?),
    }
}

/// Returns the messages between the processes that share the database; `None` if they only poll.
pub(super) fn notifications(settings: &Settings, database: &Database) -> Result<Option<Notifications>, OpenError> {
    let url = settings.database_events_url.as_ref().or(settings.database_url.as_ref());
    match (settings.database_events, url) {
        (DatabaseEvents::Listen, Some(url)) => {
            database.notifications(url.expose_secret()).map(Some).map_err(OpenError::Postgres)
        }
        (DatabaseEvents::Listen | DatabaseEvents::Poll, _) => Ok(None),
    }
}

/// Opens the database of the settings, and waits for a server that cannot be reached yet.
pub(super) async fn wait_for_database(settings: &Settings) -> Result<Database, OpenError> {
    let deadline = Instant::now() + SERVER_WAIT;
    loop {
        match open_database(settings).await {
            Err(OpenError::Postgres(error)) if error.is_temporary() && Instant::now() < deadline => {
                tracing::warn!("the start waits for the server of the database: {error}");
                sleep(SERVER_INTERVAL).await;
            }
            opened => return opened,
        }
    }
}

/// Compares the sums of the ledger with the rows behind them. Migrates the database to the current version first.
///
/// # Errors
/// Another process uses the data directory; there is no database, or it cannot be opened.
pub async fn verify_ledger(settings: &Settings) -> Result<Vec<Discrepancy>, OpenError> {
    let dir = &settings.data_dir;
    let lock = if settings.database_url.is_none() {
        let file = dir.join(DATABASE_FILE);
        // Opening the database would create it.
        tokio::fs::metadata(&file).await.map_err(|source| OpenError::NoDatabase { file: file.clone(), source })?;
        Some(lock(dir).await?)
    } else {
        None
    };
    let database = open_database(settings).await?;
    let discrepancies = LedgerStore::new(database.clone()).verify().await?;
    database.close().await;
    drop(lock);
    Ok(discrepancies)
}
