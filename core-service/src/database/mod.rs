//! The SQLite database of the core: video jobs, webhooks, secrets, and the index of the media store.
//!
//! The lock of the data directory (`directory_lock.rs`) admits one process at a time. The database itself does not rely on it: every
//! statement is correct with several processes on one machine. On a network file system, the locks of SQLite are unreliable.

mod copy;
mod directory_lock;
mod file;
mod group_commit;
mod migrations;
mod secrets;
mod sequence;

use std::{path::Path, sync::Arc, time::Duration};

use sqlx::{
    Connection as _, SqliteConnection, SqlitePool,
    migrate::MigrateError,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::time::{Instant, sleep};

pub use self::sequence::LostEvents;
pub(crate) use self::{
    copy::{copy_into, find_defect, open_read_only},
    directory_lock::{DirectoryLock, LockError},
    group_commit::Write,
};
use self::{file::OpenFile, group_commit::GroupCommit, sequence::SequenceFile};

/// The number of read connections. In WAL mode, reads do not wait for writes. A few connections suffice for short queries.
const READERS: u32 = 4;

/// How long a statement waits for the lock of another process before it fails with `SQLITE_BUSY`.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// The delay between two attempts to open a file that another process is opening.
const OPEN_RETRY_DELAY: Duration = Duration::from_millis(10);

/// The connection pools of one SQLite file. Clones share them.
#[derive(Debug, Clone)]
pub struct Database {
    // A single connection: concurrent writes wait for it in order, instead of failing with SQLITE_BUSY.
    writer: SqlitePool,
    readers: SqlitePool,
    group_commit: Arc<GroupCommit>,
    file: Arc<OpenFile>,
    sequence: Arc<SequenceFile>,
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
    /// Opens the database in this file. Creates it if it does not exist, and migrates the schema to the current version.
    pub async fn open(file: &Path) -> Result<Self, OpenError> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // With NORMAL, a power failure could roll back the last commits: an acknowledged job would be lost, and a submitted
            // job would be submitted and billed a second time.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let one = SqlitePoolOptions::new().max_connections(1);
        let one = one.after_release(|connection, _| Box::pin(is_reusable(connection)));
        let writer = connect(one, &options).await?;
        migrations::run(&writer, &migrations::MIGRATIONS).await?;
        let options = options.pragma("query_only", "ON");
        let readers = connect(SqlitePoolOptions::new().max_connections(READERS), &options).await?;
        let sequence = Arc::new(SequenceFile::beside(file));
        let file = OpenFile::at(file).await.map_err(sqlx::Error::Io)?;
        let group_commit = Arc::new(GroupCommit::start(writer.clone()));
        Ok(Self { writer, readers, group_commit, file: Arc::new(file), sequence })
    }

    /// Returns the pool for writes. It has one connection.
    pub(crate) fn writer(&self) -> &SqlitePool {
        &self.writer
    }

    /// Runs a write in a transaction that it shares with other waiting writes (group commit).
    pub(crate) async fn write<W: Write>(&self, write: W) -> Result<W::Output, sqlx::Error> {
        self.group_commit.write(write).await
    }

    /// Returns the pool for read-only statements.
    pub(crate) fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    /// Returns an error if the file was removed or replaced since it was opened. SQLite does not detect this, and all further
    /// writes would be lost when the process ends.
    pub(crate) async fn check_file(&self) -> Result<(), sqlx::Error> {
        self.file.check().await.map_err(sqlx::Error::Io)
    }

    /// Readiness probe: returns an error if jobs cannot be read, or if the file was removed or replaced. Does not write.
    pub(crate) async fn probe_jobs(&self) -> Result<(), sqlx::Error> {
        self.check_file().await?;
        sqlx::query("SELECT 1 FROM video_jobs LIMIT 1").fetch_optional(self.readers()).await?;
        Ok(())
    }

    /// Returns an error if the directory of the file is not writable, because the disk is full or read-only.
    pub(crate) async fn probe_writable(&self) -> Result<(), sqlx::Error> {
        self.file.probe_writable().await.map_err(sqlx::Error::Io)
    }

    /// Returns the range of job events that an earlier process stored and that are missing now, if there is one.
    pub(crate) async fn lost_events(&self) -> Result<Option<LostEvents>, sqlx::Error> {
        self.sequence.lost_events(self.readers()).await
    }

    /// Saves the number of the latest job event in a file beside the database, so that the next process can detect lost events.
    pub(crate) async fn save_sequence(&self) -> Result<(), sqlx::Error> {
        self.check_file().await?;
        self.sequence.save(self.readers()).await
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
async fn is_reusable(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    if connection.is_in_transaction() {
        // Runs the rollback of a transaction that was dropped.
        connection.ping().await?;
    }
    Ok(!connection.is_in_transaction())
}

/// Opens a pool. Retries `SQLITE_BUSY` until [`BUSY_TIMEOUT`], because SQLite's own busy timeout does not cover the switch of a new
/// file to WAL mode: if two processes open the file at the same time, one of them fails immediately.
async fn connect(pool_options: SqlitePoolOptions, options: &SqliteConnectOptions) -> Result<SqlitePool, sqlx::Error> {
    let deadline = Instant::now() + BUSY_TIMEOUT;
    loop {
        match pool_options.clone().connect_with(options.clone()).await {
            Err(error) if is_busy(&error) && Instant::now() < deadline => sleep(OPEN_RETRY_DELAY).await,
            result => return result,
        }
    }
}

/// The primary result code `SQLITE_BUSY`, in the lowest 8 bits of every extended code.
const SQLITE_BUSY: i32 = 5;
const PRIMARY_CODE_MASK: i32 = 0xff;

/// Returns whether the error is `SQLITE_BUSY` or one of its extended codes.
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.and_then(|code| code.parse::<i32>().ok()).is_some_and(|code| code & PRIMARY_CODE_MASK == SQLITE_BUSY)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn connect_without_migrations(file: &Path) -> SqlitePool {
        let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
        SqlitePool::connect_with(options).await.unwrap()
    }

    #[tokio::test]
    async fn events_missing_after_a_restart_are_reported_until_the_sequence_is_saved() {
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
        // Saving accepts the loss.
        database.save_sequence().await.unwrap();
        database.close().await;
        assert_eq!(Database::open(&file).await.unwrap().lost_events().await.unwrap(), None);
    }

    #[tokio::test]
    async fn opening_a_file_of_a_later_version_fails() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("jobs.db");
        let database = Database::open(&file).await.unwrap();
        // A migration that this version does not have.
        let update = "UPDATE _sqlx_migrations SET version = 9999 WHERE version = 1";
        sqlx::query(update).execute(database.writer()).await.unwrap();
        database.close().await;
        assert!(matches!(Database::open(&file).await, Err(OpenError::Migrate(MigrateError::VersionMissing(9999)))));
    }

    #[tokio::test]
    async fn jobs_survive_the_migration_of_a_file_without_a_migration_table() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("jobs.db");
        let pool = connect_without_migrations(&file).await;
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
        let pool = connect_without_migrations(&file).await;
        // The fourth migration adds the owners.
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

    #[tokio::test]
    async fn migration_to_priorities_gives_keys_and_jobs_the_default() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("jobs.db");
        let pool = connect_without_migrations(&file).await;
        // The thirteenth migration adds the priorities.
        migrations::run(&pool, &migrations::MIGRATIONS[..12]).await.unwrap();
        sqlx::raw_sql(
            "INSERT INTO video_jobs (id, owner, revision, phase, state, request, origin, created_at, deadline_at, due_at, \
             failures, deleted) VALUES ('video_1', 'alice', 1, 'queued', '{}', '{}', '{}', 0, 0, 0, 0, 0); \
             INSERT INTO api_keys (name, revision, team, admin, limits, created_at, created_by, updated_at, updated_by) \
             VALUES ('alice', 1, '', 0, '{}', 0, '', 0, '')",
        )
        .execute(&pool)
        .await
        .unwrap();
        pool.close().await;
        let database = Database::open(&file).await.unwrap();
        let priorities = "SELECT priority FROM video_jobs UNION ALL SELECT priority FROM api_keys";
        let priorities: Vec<String> = sqlx::query_scalar(priorities).fetch_all(database.readers()).await.unwrap();
        assert_eq!(priorities, ["normal", "normal"]);
        let unknown = sqlx::query("UPDATE video_jobs SET priority = 'urgent'").execute(database.writer()).await;
        assert!(unknown.is_err(), "a job of an unknown priority would never be claimed");
    }

    #[tokio::test]
    async fn backup_of_the_previous_schema_is_restored_and_migrated() {
        let root = tempfile::tempdir().unwrap();
        let (data, backup, restored) = (root.path().join("data"), root.path().join("backup"), root.path().join("new"));
        std::fs::create_dir_all(data.join("media")).unwrap();
        let previous = migrations::MIGRATIONS.len() - 1;
        let pool = connect_without_migrations(&data.join("jobs.sqlite")).await;
        migrations::run(&pool, &migrations::MIGRATIONS[..previous]).await.unwrap();
        let id = crate::video::job::JobId::new();
        let request = serde_json::to_string(&crate::video::testing::request()).unwrap();
        let insert = "INSERT INTO video_jobs (id, owner, revision, phase, state, request, origin, created_at, deadline_at, \
                      failures, deleted) VALUES ($1, 'alice', 3, 'failed', $2, $3, '{}', 0, 0, 0, 0)";
        let state = r#"{"version":1,"phase":"failed","percent":0,"code":"internal","message":"m"}"#;
        sqlx::query(insert).bind(id.as_str()).bind(state).bind(request).execute(&pool).await.unwrap();
        sqlx::raw_sql(
            "INSERT INTO media (key, state, size_bytes, created_at, last_used_at) VALUES ('a.png', 'ready', 1, 0, 0);
             INSERT INTO media_imports (finished_at) VALUES (0)",
        )
        .execute(&pool)
        .await
        .unwrap();
        std::fs::write(data.join("media/a.png"), "a").unwrap();
        pool.close().await;

        let stop = tokio_util::sync::CancellationToken::new();
        let manifest = crate::backup::create(&data, &backup, crate::backup::Method::Copy, &stop, |_, _| ()).await;
        assert_eq!(manifest.unwrap().media.files, 1);
        let queued = crate::backup::QueuedJobs::MayBeSubmitted;
        crate::backup::restore(&backup, &restored, queued, Duration::ZERO, &stop, |_, _| ()).await.unwrap();
        let settings = crate::config::Settings { data_dir: restored, ..crate::config::Settings::default() };
        let core = crate::Core::open(&settings).await.unwrap();
        let request = triptych_proto::v1::GetVideoRequest { id: id.to_string() };
        let video = triptych_proto::v1::video_service_server::VideoService::get_video(
            &*core.services().video,
            tonic::Request::new(request),
        );
        assert_eq!(video.await.unwrap().into_inner().video.unwrap().id, id.as_str());
        core.close().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn concurrent_opens_of_a_new_file_succeed() {
        // The race for the switch to WAL mode does not occur in every round.
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
