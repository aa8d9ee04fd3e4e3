//! The SQLite database of the core: jobs, the index of the media store, and what else must survive a restart.
//!
//! The [lock of the data directory](DirectoryLock) admits one process at a time. The database itself does not rely on it: every
//! statement is correct with several processes on one machine. A network file system does not work.

mod directory_lock;
mod file;
mod group_commit;
mod migrations;
mod secrets;
mod sequence;

use std::{path::Path, sync::Arc, time::Duration};

use sqlx::{
    SqlitePool,
    migrate::MigrateError,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::time::{Instant, sleep};

pub use self::sequence::LostEvents;
pub(crate) use self::{
    directory_lock::{DirectoryLock, LockError},
    group_commit::Write,
};
use self::{file::OpenFile, group_commit::GroupCommit, sequence::SequenceFile};

/// The number of read connections. In WAL mode they read while the one write connection writes.
const READERS: u32 = 4;

/// How long a statement waits for a transaction of another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// The delay between two attempts to open a file that another process is opening.
const OPEN_RETRY_DELAY: Duration = Duration::from_millis(10);

/// The connection pools of one SQLite file. Clones share them.
#[derive(Debug, Clone)]
pub struct Database {
    // One connection: writers queue for it in order instead of failing with SQLITE_BUSY.
    writer: SqlitePool,
    readers: SqlitePool,
    group_commit: Arc<GroupCommit>,
    file: Arc<OpenFile>,
    sequence: Arc<SequenceFile>,
}

/// Opening the database failed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be opened.
    #[error("the database cannot be opened: {0}")]
    Connect(#[from] sqlx::Error),
    /// The schema cannot be brought to the current version; also if a later version of Triptych has written the file.
    #[error("the database schema cannot be migrated: {0}")]
    Migrate(#[from] MigrateError),
}

impl Database {
    /// Opens the database in this file. Creates it if it does not exist, and migrates the schema to the current version.
    pub async fn open(file: &Path) -> Result<Self, OpenError> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // NORMAL would survive kill -9, but a power failure could roll back the last commits: an acknowledged job would
            // be lost, and a submitted job would look unsubmitted and be billed twice.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let writer = connect(SqlitePoolOptions::new().max_connections(1), &options).await?;
        migrations::run(&writer, &migrations::MIGRATIONS).await?;
        let options = options.pragma("query_only", "ON");
        let readers = connect(SqlitePoolOptions::new().max_connections(READERS), &options).await?;
        let sequence = Arc::new(SequenceFile::beside(file));
        let file = OpenFile::at(file).await.map_err(sqlx::Error::Io)?;
        let group_commit = Arc::new(GroupCommit::start(writer.clone()));
        Ok(Self { writer, readers, group_commit, file: Arc::new(file), sequence })
    }

    /// Returns the pool for statements that write. It has one connection.
    pub(crate) fn writer(&self) -> &SqlitePool {
        &self.writer
    }

    /// Runs a write in a transaction that it shares with the writes that wait at the same time.
    pub(crate) async fn write<W: Write>(&self, write: W) -> Result<W::Output, sqlx::Error> {
        self.group_commit.write(write).await
    }

    /// Returns the pool for statements that only read.
    pub(crate) fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    /// Returns an error if the file was removed or replaced since it was opened. SQLite does not notice, and what it writes
    /// would be lost when the process ends.
    pub(crate) async fn check_file(&self) -> Result<(), sqlx::Error> {
        self.file.check().await.map_err(sqlx::Error::Io)
    }

    /// Returns an error if jobs cannot be read, or if the database file was removed or replaced. Does not write.
    pub(crate) async fn probe_jobs(&self) -> Result<(), sqlx::Error> {
        self.check_file().await?;
        sqlx::query("SELECT 1 FROM video_jobs LIMIT 1").fetch_optional(self.readers()).await?;
        Ok(())
    }

    /// Returns the job events that were stored once and are missing now.
    pub(crate) async fn lost_events(&self) -> Result<Option<LostEvents>, sqlx::Error> {
        self.sequence.lost_events(self.readers()).await
    }

    /// Records which job events are stored, so that the next process notices if they are lost.
    pub(crate) async fn save_sequence(&self) -> Result<(), sqlx::Error> {
        self.check_file().await?;
        self.sequence.save(self.readers()).await
    }

    /// Waits for statements in progress and closes the file.
    pub async fn close(&self) {
        self.group_commit.close().await;
        if let Err(error) = self.save_sequence().await {
            tracing::warn!("the number of the latest job event cannot be saved: {error}");
        }
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// Opens connections. SQLite's busy timeout does not cover the switch of a new file to WAL: if two processes open the file at
/// the same time, one gets `SQLITE_BUSY` immediately, so it is retried here.
async fn connect(pool: SqlitePoolOptions, options: &SqliteConnectOptions) -> Result<SqlitePool, sqlx::Error> {
    let give_up = Instant::now() + BUSY_TIMEOUT;
    loop {
        match pool.clone().connect_with(options.clone()).await {
            Err(error) if is_busy(&error) && Instant::now() < give_up => sleep(OPEN_RETRY_DELAY).await,
            connected => return connected,
        }
    }
}

/// Returns whether the error is `SQLITE_BUSY`, with any extended code.
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.and_then(|code| code.parse::<i32>().ok()).is_some_and(|code| code & 0xff == 5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn events_that_are_missing_after_a_restart_are_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("jobs.sqlite");
        let database = Database::open(&file).await.unwrap();
        assert_eq!(database.lost_events().await.unwrap(), None);
        let query = "INSERT INTO sqlite_sequence (name, seq) VALUES ('job_events', 7)";
        sqlx::query(query).execute(database.writer()).await.unwrap();
        database.close().await;
        let database = Database::open(&file).await.unwrap();
        assert_eq!(database.lost_events().await.unwrap(), None);
        database.close().await;

        std::fs::remove_file(&file).unwrap();
        let database = Database::open(&file).await.unwrap();
        assert_eq!(database.lost_events().await.unwrap(), Some(LostEvents { expected: 7, found: 0 }));
        // What was reported once is accepted.
        database.save_sequence().await.unwrap();
        database.close().await;
        assert_eq!(Database::open(&file).await.unwrap().lost_events().await.unwrap(), None);
    }

    #[tokio::test]
    async fn opening_a_file_of_a_later_version_fails() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("jobs.db");
        let database = Database::open(&file).await.unwrap();
        let update = "UPDATE _sqlx_migrations SET version = 9999 WHERE version = 1";
        sqlx::query(update).execute(database.writer()).await.unwrap();
        database.close().await;
        assert!(matches!(Database::open(&file).await, Err(OpenError::Migrate(MigrateError::VersionMissing(9999)))));
    }

    #[tokio::test]
    async fn jobs_survive_the_migration_of_a_file_without_a_migration_table() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("jobs.db");
        let options = SqliteConnectOptions::new().filename(&file).create_if_missing(true);
        let pool = SqlitePool::connect_with(options).await.unwrap();
        let schema = include_str!("../../migrations/sqlite/0001_jobs.sql");
        sqlx::raw_sql(schema).execute(&pool).await.unwrap();
        let insert = "INSERT INTO video_jobs (id, revision, phase, state, asked, created_at, deadline_at, attempt, deleted) \
                      VALUES ('video_1', 1, 'queued', '{}', '{}', 0, 0, 0, 0)";
        sqlx::query(insert).execute(&pool).await.unwrap();
        pool.close().await;
        let database = Database::open(&file).await.unwrap();
        let jobs: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM video_jobs").fetch_one(database.readers()).await.unwrap();
        assert_eq!(jobs, 1);
    }

    #[tokio::test]
    async fn migration_to_owners_keeps_jobs_and_media_and_moves_extra_members() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("jobs.db");
        let options = SqliteConnectOptions::new().filename(&file).create_if_missing(true);
        let pool = SqlitePool::connect_with(options).await.unwrap();
        migrations::run(&pool, &migrations::MIGRATIONS[..3]).await.unwrap();
        let id = |last: char| format!("video_{}{last}", "0".repeat(31));
        let request =
            |name: &str| format!(r#"{{"{name}":"p","seed":-9223372036854775808,"extra_json":"{{\"a\":1E400}}"}}"#);
        let rows = [
            (id('1'), "alice", request("provider_id")),
            (id('2'), "", request("provider")),
            (id('3'), "alice", "no JSON".to_owned()),
        ];
        for (id, owner, request) in rows {
            let insert = "INSERT INTO video_jobs (id, owner, revision, phase, state, request, origin, created_at, \
                          deadline_at, attempt, deleted) VALUES ($1, $2, 1, 'queued', '{}', $3, '{}', 0, 0, 0, 0)";
            sqlx::query(insert).bind(&id).bind(owner).bind(request).execute(&pool).await.unwrap();
            let insert = "INSERT INTO media (key, state, size_bytes, created_at, last_used_at) \
                          VALUES ($1 || '-thumbnail.webp', 'ready', 1, 0, 0)";
            sqlx::query(insert).bind(&id).execute(&pool).await.unwrap();
        }
        pool.close().await;
        let database = Database::open(&file).await.unwrap();
        let jobs = "SELECT id, owner, provider_id, request, extra_json FROM video_jobs ORDER BY id";
        let jobs: Vec<(String, String, String, String, String)> =
            sqlx::query_as(jobs).fetch_all(database.readers()).await.unwrap();
        let migrated = |last, owner: &str, provider: &str, request: &str, extra_json: &str| {
            (id(last), owner.to_owned(), provider.to_owned(), request.to_owned(), extra_json.to_owned())
        };
        let expected = [
            migrated('1', "alice", "p", r#"{"provider_id":"p","seed":-9223372036854775808}"#, r#"{"a":1E400}"#),
            migrated('2', "", "p", r#"{"provider":"p","seed":-9223372036854775808}"#, r#"{"a":1E400}"#),
            migrated('3', "alice", "", "no JSON", ""),
        ];
        assert_eq!(jobs, expected);
        let owners = "SELECT key, owner FROM media_owners ORDER BY key";
        let owners: Vec<(String, String)> = sqlx::query_as(owners).fetch_all(database.readers()).await.unwrap();
        let owned = |last| (format!("{}-thumbnail.webp", id(last)), "alice".to_owned());
        assert_eq!(owners, [owned('1'), owned('3')]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn concurrent_opens_of_a_new_file_succeed() {
        for _ in 0..20 {
            let directory = tempfile::tempdir().unwrap();
            let file = directory.path().join("jobs.db");
            let opens = (0..8).map(|_| Database::open(&file));
            for database in futures_util::future::join_all(opens).await {
                database.unwrap().close().await;
            }
        }
    }
}
