//! The database of the core: video jobs, webhooks, keys, the ledger, responses, secrets, and the index of the media store.
//!
//! SQLite in the data directory for one process, or PostgreSQL for several. The stores use one driver interface (`sqlx::Any`) and
//! statements that both understand.
//!
//! The lock of the data directory (`directory_lock.rs`) admits one process at a time. The database itself does not rely on it: every
//! statement is correct with several processes on one machine. On a network file system, the locks of SQLite are unreliable.

mod copy;
mod dialect;
mod directory_lock;
mod file;
mod group_commit;
mod migrations;
mod query_builder;
mod secrets;
mod sequence;
mod sqlite;
#[cfg(test)]
mod tests;

use std::{path::Path, sync::Arc};

use sqlx::{
    Any, AnyConnection, AnyPool, Connection as _, Transaction,
    any::{AnyArguments, AnyQueryResult, AnyRow},
    migrate::MigrateError,
    query::Query,
};

pub use self::sequence::LostEvents;
pub(crate) use self::{
    copy::{copy_into, find_defect, open_read_only},
    directory_lock::{DirectoryLock, LockError},
    group_commit::Write,
    query_builder::QueryBuilder,
};
use self::{dialect::Dialect, group_commit::GroupCommit, sqlite::SqliteFile};

/// The driver of both databases.
pub(crate) type Db = Any;
/// A connection to the database.
pub(crate) type DbConnection = AnyConnection;
/// A row of a result.
pub(crate) type DbRow = AnyRow;
/// The number of rows that a statement changed.
pub(crate) type DbResult = AnyQueryResult;
/// The parameters of a statement.
pub(crate) type DbArguments = AnyArguments;
/// A statement with its parameters.
pub(crate) type DbQuery<'q> = Query<'q, Db, DbArguments>;
/// A transaction, which is rolled back when it is dropped.
pub(crate) type DbTransaction = Transaction<'static, Db>;
/// A pool of connections.
pub(crate) type DbPool = AnyPool;
pub(crate) use sqlx::AnyExecutor as DbExecutor;

/// The connection pools of one database. Clones share them.
#[derive(Debug, Clone)]
pub struct Database {
    // A single connection: concurrent writes of a process wait for it in order, instead of failing with SQLITE_BUSY.
    writer: DbPool,
    readers: DbPool,
    group_commit: Arc<GroupCommit>,
    dialect: Dialect,
    file: Arc<SqliteFile>,
}

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

impl Database {
    /// Opens the SQLite database in this file. Creates it if it does not exist, and migrates the schema to the current version.
    pub async fn open(file: &Path) -> Result<Self, OpenError> {
        let (writer, readers, file) = sqlite::open(file).await?;
        let dialect = Dialect::Sqlite;
        let group_commit = Arc::new(GroupCommit::start(writer.clone(), dialect));
        Ok(Self { writer, readers, group_commit, dialect, file: Arc::new(file) })
    }

    /// Returns the pool for writes. It has one connection.
    #[cfg(test)]
    pub(crate) fn writer(&self) -> &DbPool {
        &self.writer
    }

    /// Runs a write in a transaction that it shares with other waiting writes (group commit).
    pub(crate) async fn write<W: Write>(&self, write: W) -> Result<W::Output, sqlx::Error> {
        self.group_commit.write(write).await
    }

    /// Begins a transaction that writes. It excludes all other writes until it is committed or dropped.
    pub(crate) async fn begin(&self) -> Result<DbTransaction, sqlx::Error> {
        self.writer.begin_with(self.dialect.begin(true)).await
    }

    /// Runs a statement that writes, in a transaction of its own. Returns the number of rows that it changed.
    pub(crate) async fn execute(&self, query: DbQuery<'_>) -> Result<u64, sqlx::Error> {
        Ok(query.execute(&self.writer).await?.rows_affected())
    }

    /// Runs a statement that writes at most one row and returns it, in a transaction of its own.
    pub(crate) async fn fetch_optional(&self, query: DbQuery<'_>) -> Result<Option<DbRow>, sqlx::Error> {
        query.fetch_optional(&self.writer).await
    }

    /// Runs a statement that writes rows and returns them, in a transaction of its own.
    pub(crate) async fn fetch_all(&self, query: DbQuery<'_>) -> Result<Vec<DbRow>, sqlx::Error> {
        query.fetch_all(&self.writer).await
    }

    /// Returns the pool for read-only statements.
    pub(crate) fn readers(&self) -> &DbPool {
        &self.readers
    }

    /// Returns what follows the name of a table to make SQLite use this index. PostgreSQL chooses by its statistics.
    pub(crate) fn index_hint(&self, index: &str) -> String {
        self.dialect.index_hint(index)
    }

    /// Begins a transaction that only reads, and whose statements all see the same state.
    pub(crate) async fn snapshot(&self) -> Result<DbTransaction, sqlx::Error> {
        self.readers.begin_with(self.dialect.begin_snapshot()).await
    }

    /// Returns an error if the file was removed or replaced since it was opened. SQLite does not detect this, and all further
    /// writes would be lost when the process ends.
    pub(crate) async fn check_file(&self) -> Result<(), sqlx::Error> {
        self.file.open.check().await.map_err(sqlx::Error::Io)
    }

    /// Readiness probe: returns an error if jobs cannot be read, or if the file was removed or replaced. Does not write.
    pub(crate) async fn probe_jobs(&self) -> Result<(), sqlx::Error> {
        self.check_file().await?;
        sqlx::query("SELECT 1 FROM video_jobs LIMIT 1").fetch_optional(self.readers()).await?;
        Ok(())
    }

    /// Returns an error if the directory of the file is not writable, because the disk is full or read-only.
    pub(crate) async fn probe_writable(&self) -> Result<(), sqlx::Error> {
        self.file.open.probe_writable().await.map_err(sqlx::Error::Io)
    }

    /// Returns the range of job events that an earlier process stored and that are missing now, if there is one.
    pub(crate) async fn lost_events(&self) -> Result<Option<LostEvents>, sqlx::Error> {
        self.file.sequence.lost_events(self.readers()).await
    }

    /// Saves the number of the latest job event in a file beside the database, so that the next process can detect lost events.
    pub(crate) async fn save_sequence(&self) -> Result<(), sqlx::Error> {
        self.check_file().await?;
        self.file.sequence.save(self.readers()).await
    }

    /// Waits for running statements, then saves the number of the latest job event and closes all connections.
    pub async fn close(&self) {
        self.group_commit.close().await;
        if let Err(error) = self.save_sequence().await {
            tracing::warn!("the number of the latest job event cannot be saved: {error}");
        }
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// Returns whether a connection can be used again. After a failed write to the disk, SQLite has rolled the transaction back by itself,
/// which sqlx does not know: its own rollback fails, and it would refuse every further transaction of the connection.
async fn is_reusable(connection: &mut DbConnection) -> Result<bool, sqlx::Error> {
    if connection.is_in_transaction() {
        // Runs the rollback of a transaction that was dropped.
        connection.ping().await?;
    }
    Ok(!connection.is_in_transaction())
}
