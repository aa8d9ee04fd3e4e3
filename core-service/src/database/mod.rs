//! The database of the core: video jobs, webhooks, keys, the ledger, responses, secrets, and the index of the media store.
//!
//! SQLite in the data directory for one process, or PostgreSQL for several, which are called nodes. The stores use one driver interface
//! (`sqlx::Any`) and statements that both understand.
//!
//! For SQLite, the lock of the data directory (`directory_lock.rs`) admits one process at a time. The database itself does not rely on it:
//! every statement is correct with several processes on one machine. On a network file system, the locks of SQLite are unreliable.
//!
//! Statements name the columns that they read from a table. PostgreSQL refuses a prepared statement whose result has another type than
//! when it was prepared: one that selects all would fail as soon as a later version adds a column.
//!
//! Transactions that write exclude each other: SQLite has one writer, and in PostgreSQL each takes a lock first.

mod copy;
mod dialect;
mod directory_lock;
mod driver;
mod error;
mod file;
mod group_commit;
mod migrations;
mod postgres;
mod query_builder;
mod readers;
mod secrets;
mod sequence;
mod sqlite;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod unavailable;

use std::{path::Path, sync::Arc};

pub(crate) use self::{
    copy::{copy_into, find_defect, open_read_only},
    directory_lock::{DirectoryLock, LockError},
    driver::{Db, DbArguments, DbConnection, DbExecutor, DbPool, DbQuery, DbResult, DbRow, DbTransaction},
    group_commit::Write,
    postgres::{Listener, Notifications},
    query_builder::QueryBuilder,
    readers::Readers,
    sequence::sequence_file,
};
use self::{
    dialect::{Dialect, Durability},
    group_commit::GroupCommit,
    postgres::DatabaseClock,
    sqlite::SqliteFile,
};
pub use self::{error::OpenError, sequence::LostEvents};

/// The name of the SQLite database in a data directory.
pub(crate) const DATABASE_FILE: &str = "jobs.sqlite";

/// The connection pools of one database. Clones share them.
#[derive(Debug, Clone)]
pub struct Database {
    // A single connection: concurrent writes of a process wait for it in order, instead of failing with SQLITE_BUSY.
    writer: DbPool,
    readers: DbPool,
    group_commit: Arc<GroupCommit>,
    backend: Backend,
}

/// The parts that only one of the databases has.
#[derive(Debug, Clone)]
enum Backend {
    Sqlite(Arc<SqliteFile>),
    Postgres(Arc<DatabaseClock>),
}

impl Database {
    /// Opens the SQLite database in this file. Creates it if it does not exist, and migrates the schema to the current version.
    pub async fn open(file: &Path) -> Result<Self, OpenError> {
        let (writer, readers, file) = sqlite::open(file).await?;
        let group_commit = Arc::new(GroupCommit::start(writer.clone(), Dialect::Sqlite));
        Ok(Self { writer, readers, group_commit, backend: Backend::Sqlite(Arc::new(file)) })
    }

    /// Connects to a PostgreSQL database, `postgres://USER:PASSWORD@HOST/DATABASE`, with at most `connections` connections for reads
    /// and one for writes. Migrates the schema to the current version. Other processes can use the database at the same time.
    pub async fn connect(url: &str, connections: u32) -> Result<Self, OpenError> {
        let (writer, readers) = postgres::connect(url, connections).await?;
        let clock = Arc::new(DatabaseClock::start(readers.clone()).await?);
        let group_commit = Arc::new(GroupCommit::start(writer.clone(), Dialect::Postgres));
        Ok(Self { writer, readers, group_commit, backend: Backend::Postgres(clock) })
    }

    /// Returns the clock of the server that several processes share; `None` for SQLite, which has one machine.
    pub(crate) fn clock(&self) -> Option<Arc<DatabaseClock>> {
        match &self.backend {
            Backend::Sqlite(_) => None,
            Backend::Postgres(clock) => Some(Arc::clone(clock)),
        }
    }

    /// Returns whether other nodes can use the database at the same time.
    pub(crate) fn is_shared(&self) -> bool {
        self.dialect() == Dialect::Postgres
    }

    /// Returns the messages between the nodes that share this database. Listeners connect to the URL.
    pub(crate) fn notifications(&self, url: &str) -> Result<Notifications, OpenError> {
        Notifications::new(self.readers.clone(), url)
    }

    fn dialect(&self) -> Dialect {
        match &self.backend {
            Backend::Sqlite(_) => Dialect::Sqlite,
            Backend::Postgres(_) => Dialect::Postgres,
        }
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
        let dialect = self.dialect();
        let mut transaction = self.writer.begin_with(dialect.begin(Durability::Flushed)).await?;
        if dialect == Dialect::Postgres {
            postgres::lock(&mut transaction).await?;
        }
        Ok(transaction)
    }

    /// Runs a statement that writes, in a transaction of its own. Returns the number of rows that it changed.
    pub(crate) async fn execute(&self, query: DbQuery<'_>) -> Result<u64, sqlx::Error> {
        // SQLite begins a transaction for a statement by itself.
        if self.dialect() == Dialect::Sqlite {
            return Ok(query.execute(&self.writer).await?.rows_affected());
        }
        // Boxed, so that the futures of callers stay small.
        let locked = async {
            let mut transaction = self.begin().await?;
            let changed = query.execute(&mut *transaction).await?.rows_affected();
            transaction.commit().await?;
            Ok(changed)
        };
        Box::pin(locked).await
    }

    /// Runs a statement that writes and returns rows, in a transaction of its own.
    pub(crate) async fn fetch_all(&self, query: DbQuery<'_>) -> Result<Vec<DbRow>, sqlx::Error> {
        if self.dialect() == Dialect::Sqlite {
            return query.fetch_all(&self.writer).await;
        }
        let locked = async {
            let mut transaction = self.begin().await?;
            let rows = query.fetch_all(&mut *transaction).await?;
            transaction.commit().await?;
            Ok(rows)
        };
        Box::pin(locked).await
    }

    /// Runs a statement that writes at most one row and returns it, in a transaction of its own.
    pub(crate) async fn fetch_optional(&self, query: DbQuery<'_>) -> Result<Option<DbRow>, sqlx::Error> {
        Ok(self.fetch_all(query).await?.pop())
    }

    /// Returns the executor of read-only statements.
    pub(crate) fn readers(&self) -> Readers<'_> {
        let time_limit = self.is_shared().then_some(postgres::READ_TIMEOUT);
        Readers::new(&self.readers, time_limit)
    }

    /// Returns what follows the name of a table to make SQLite use this index. PostgreSQL chooses by its statistics.
    pub(crate) fn index_hint(&self, index: &str) -> String {
        self.dialect().index_hint(index)
    }

    /// Begins a transaction that only reads, and whose statements all see the same state.
    pub(crate) async fn snapshot(&self) -> Result<DbTransaction, sqlx::Error> {
        self.readers.begin_with(self.dialect().begin_snapshot()).await
    }

    /// Returns an error if the file was removed or replaced since it was opened. SQLite does not detect this, and all further
    /// writes would be lost when the process ends.
    pub(crate) async fn check_file(&self) -> Result<(), sqlx::Error> {
        match &self.backend {
            Backend::Sqlite(file) => file.open.check().await.map_err(sqlx::Error::Io),
            Backend::Postgres(_) => Ok(()),
        }
    }

    /// Readiness probe: returns an error if jobs cannot be read, or if the file was removed or replaced. Does not write.
    pub(crate) async fn probe_jobs(&self) -> Result<(), sqlx::Error> {
        self.check_file().await?;
        sqlx::query("SELECT 1 FROM video_jobs LIMIT 1").fetch_optional(self.readers()).await?;
        Ok(())
    }

    /// Returns an error if nothing can be written: the disk of a file is full or read-only, or the server is a standby.
    pub(crate) async fn probe_writable(&self) -> Result<(), sqlx::Error> {
        match &self.backend {
            Backend::Sqlite(file) => file.open.probe_writable().await.map_err(sqlx::Error::Io),
            Backend::Postgres(_) => postgres::probe_writable(self.readers()).await,
        }
    }

    /// Returns the range of job events that an earlier process stored and that are missing now, if there is one.
    pub(crate) async fn lost_events(&self) -> Result<Option<LostEvents>, sqlx::Error> {
        match &self.backend {
            Backend::Sqlite(file) => file.sequence.lost_events(&self.readers).await,
            Backend::Postgres(_) => Ok(None),
        }
    }

    /// Saves the number of the latest job event in a file beside the database, so that the next process can detect lost events.
    pub(crate) async fn save_sequence(&self) -> Result<(), sqlx::Error> {
        self.check_file().await?;
        match &self.backend {
            Backend::Sqlite(file) => file.sequence.save(&self.readers).await,
            Backend::Postgres(_) => Ok(()),
        }
    }

    /// Waits for running statements, then saves the number of the latest job event and closes all connections.
    pub async fn close(&self) {
        self.group_commit.close().await;
        if let Err(error) = self.save_sequence().await {
            tracing::warn!("the number of the latest job event cannot be saved: {error}");
        }
        if let Backend::Postgres(clock) = &self.backend {
            clock.stop();
        }
        self.readers.close().await;
        self.writer.close().await;
    }
}
