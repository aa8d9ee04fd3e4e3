//! Jobs in an SQLite file. One process at a time is the rule, several on one machine work; a network disk does not.

use std::{path::Path, time::Duration};

use async_trait::async_trait;
use sqlx::{
    SqlitePool,
    sqlite::{SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::time::{Instant, sleep};

use super::{Claim, Inserted, JobStore, Lease, Page, StoreError, WorkerId, row};
use crate::video::{
    job::{Job, JobId},
    state::Phase,
    time::Timestamp,
};

/// The statements that make a database of version n + 1 out of one of version n.
const MIGRATIONS: [&str; 1] = [include_str!("../../../migrations/sqlite/0001_jobs.sql")];

/// Readers beside the one writer. WAL lets them work while it writes.
const READERS: u32 = 4;

/// How long a statement waits for another process's transaction.
const BUSY: Duration = Duration::from_secs(10);
/// Between two tries to open a file that another process is opening.
const AGAIN: Duration = Duration::from_millis(10);

/// Jobs in one SQLite file.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    // One connection: writers queue here, in order, instead of meeting SQLITE_BUSY in the database.
    writer: SqlitePool,
    readers: SqlitePool,
}

impl SqliteStore {
    /// The store in this file, which is created, or brought to the present layout, if need be.
    ///
    /// # Errors
    /// `Unavailable`; also for a file that a later version of this program wrote.
    pub async fn open(file: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // NORMAL would survive kill -9 but not a power cut, which could take back the last commits: an answered job
            // would vanish, and a job whose request has left would look as if it had not, and be paid twice.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY);
        let writer = connect(SqlitePoolOptions::new().max_connections(1), &options).await?;
        migrate(&writer).await?;
        let options = options.pragma("query_only", "ON");
        let readers = connect(SqlitePoolOptions::new().max_connections(READERS), &options).await?;
        Ok(Self { writer, readers })
    }

    /// Waits for statements under way and closes the file.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// Opens connections. Switching a new file to WAL is the one step that SQLite's own busy timeout does not cover: of two
/// processes that open the file together, one is told at once that it is locked.
async fn connect(pool: SqlitePoolOptions, options: &SqliteConnectOptions) -> Result<SqlitePool, sqlx::Error> {
    let patience = Instant::now() + BUSY;
    loop {
        match pool.clone().connect_with(options.clone()).await {
            Err(error) if is_busy(&error) && Instant::now() < patience => sleep(AGAIN).await,
            connected => return connected,
        }
    }
}

/// `SQLITE_BUSY`, whatever the upper bits say about the occasion.
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.and_then(|code| code.parse::<i32>().ok()).is_some_and(|code| code & 0xff == 5)
}

async fn migrate(writer: &SqlitePool) -> Result<(), StoreError> {
    // Immediate: of two processes that open a new file together, the second waits and finds the work done.
    let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *transaction).await?;
    let newest = MIGRATIONS.len();
    let Some(missing) = usize::try_from(version).ok().and_then(|version| MIGRATIONS.get(version..)) else {
        let why = format!("the file has layout {version}, this program knows up to {newest}: a later version wrote it");
        return Err(StoreError::Unavailable(why));
    };
    for &migration in missing {
        sqlx::raw_sql(migration).execute(&mut *transaction).await?;
    }
    // A pragma takes no parameters; the text is a number of ours.
    let bump = sqlx::AssertSqlSafe(format!("PRAGMA user_version = {newest}"));
    sqlx::query(bump).execute(&mut *transaction).await?;
    Ok(transaction.commit().await?)
}

#[async_trait]
impl JobStore for SqliteStore {
    async fn insert(&self, job: &Job) -> Result<Inserted, StoreError> {
        loop {
            let query = sqlx::query(
                "INSERT INTO video_jobs (id, revision, phase, state, asked, created_at, completed_at, expires_at, \
                 deadline_at, due_at, attempt, abandoned, deleted, idempotency_key, fingerprint) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) \
                 ON CONFLICT (idempotency_key) DO NOTHING",
            );
            let written = row::bind(query, job)?.execute(&self.writer).await?;
            let Some(key) = job.key.as_ref().filter(|_| written.rows_affected() == 0) else {
                return Ok(Inserted::New);
            };
            match self.find(&key.text).await? {
                Some(known) if known.key.as_ref() == Some(key) => return Ok(Inserted::Known(Box::new(known))),
                Some(_) => return Err(StoreError::KeyConflict(key.text.clone())),
                // Deleted in between: the key is free again.
                None => {}
            }
        }
    }

    async fn get(&self, id: &JobId) -> Result<Option<Job>, StoreError> {
        let query = sqlx::query("SELECT * FROM video_jobs WHERE id = $1 AND deleted = 0").bind(id.as_str());
        query.fetch_optional(&self.readers).await?.as_ref().map(row::job).transpose()
    }

    async fn find(&self, key: &str) -> Result<Option<Job>, StoreError> {
        let query = sqlx::query("SELECT * FROM video_jobs WHERE idempotency_key = $1").bind(key);
        query.fetch_optional(&self.readers).await?.as_ref().map(row::job).transpose()
    }

    async fn list(&self, page: &Page) -> Result<Vec<Job>, StoreError> {
        // Ids sort by time. `video_` is before and `video~` behind every one of them.
        let query = if page.oldest_first {
            sqlx::query("SELECT * FROM video_jobs WHERE deleted = 0 AND id > $1 ORDER BY id LIMIT $2")
                .bind(page.after.as_ref().map_or("video_", JobId::as_str))
        } else {
            sqlx::query("SELECT * FROM video_jobs WHERE deleted = 0 AND id < $1 ORDER BY id DESC LIMIT $2")
                .bind(page.after.as_ref().map_or("video~", JobId::as_str))
        };
        query.bind(i64::from(page.limit)).fetch_all(&self.readers).await?.iter().map(row::job).collect()
    }

    async fn ahead(&self, id: &JobId) -> Result<u32, StoreError> {
        let query = sqlx::query_scalar("SELECT COUNT(*) FROM video_jobs WHERE phase = 'queued' AND id < $1");
        let count: i64 = query.bind(id.as_str()).fetch_one(&self.readers).await?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    async fn claim(&self, worker: &WorkerId, now: Timestamp, lease: Duration) -> Result<Option<Claim>, StoreError> {
        // PostgreSQL adds FOR UPDATE SKIP LOCKED to the inner query.
        let query = sqlx::query(
            "UPDATE video_jobs SET lease_owner = $1, lease_until = $2, fence = fence + 1 WHERE id = \
             (SELECT id FROM video_jobs WHERE due_at <= $3 AND lease_until <= $3 ORDER BY due_at, id LIMIT 1) \
             RETURNING *",
        );
        let query = query.bind(worker.as_str()).bind(now.after(lease).0).bind(now.0);
        query.fetch_optional(&self.writer).await?.as_ref().map(row::claim).transpose()
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let query = sqlx::query_scalar(
            "SELECT MIN(CASE WHEN lease_until > due_at THEN lease_until ELSE due_at END) FROM video_jobs \
             WHERE due_at IS NOT NULL",
        );
        let due: Option<i64> = query.fetch_one(&self.readers).await?;
        Ok(due.map(Timestamp))
    }

    async fn commit(&self, claim: &Claim, next: Job, then: Lease) -> Result<Claim, StoreError> {
        let query = sqlx::query(
            "UPDATE video_jobs SET revision = $2, phase = $3, state = $4, asked = $5, created_at = $6, completed_at = $7, \
             expires_at = $8, deadline_at = $9, due_at = $10, attempt = $11, abandoned = $12, deleted = $13, \
             idempotency_key = $14, fingerprint = $15, lease_until = CASE WHEN $16 = 1 THEN lease_until ELSE 0 END \
             WHERE id = $1 AND fence = $17 AND revision = $18",
        );
        let query = row::bind(query, &next)?.bind(i64::from(then == Lease::Kept));
        self.write(query.bind(claim.fence).bind(row::integer(claim.job.revision))).await?;
        Ok(Claim { job: next, fence: claim.fence })
    }

    async fn renew(&self, claim: &Claim, until: Timestamp) -> Result<(), StoreError> {
        let query = sqlx::query("UPDATE video_jobs SET lease_until = $1 WHERE id = $2 AND fence = $3");
        self.write(query.bind(until.0).bind(claim.job.id.as_str()).bind(claim.fence)).await
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        let query = sqlx::query("UPDATE video_jobs SET lease_until = 0 WHERE id = $1 AND fence = $2");
        match self.write(query.bind(claim.job.id.as_str()).bind(claim.fence)).await {
            Ok(()) | Err(StoreError::Stale) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn amend(&self, next: &Job) -> Result<(), StoreError> {
        let query = sqlx::query(
            "UPDATE video_jobs SET revision = $2, phase = $3, state = $4, asked = $5, created_at = $6, completed_at = $7, \
             expires_at = $8, deadline_at = $9, due_at = $10, attempt = $11, abandoned = $12, deleted = $13, \
             idempotency_key = $14, fingerprint = $15 WHERE id = $1 AND revision = $2 - 1",
        );
        self.write(row::bind(query, next)?).await
    }

    async fn purge(&self, claim: &Claim) -> Result<(), StoreError> {
        let query = sqlx::query("DELETE FROM video_jobs WHERE id = $1 AND fence = $2");
        self.write(query.bind(claim.job.id.as_str()).bind(claim.fence)).await
    }
}

impl SqliteStore {
    /// Runs a statement that must hit exactly one row.
    async fn write(&self, query: sqlx::query::Query<'_, sqlx::Sqlite, SqliteArguments>) -> Result<(), StoreError> {
        match query.execute(&self.writer).await?.rows_affected() {
            0 => Err(StoreError::Stale),
            _ => Ok(()),
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// The word of the index on queued jobs, which SQL spells out.
const _: () = assert!(matches!(Phase::Queued.as_str().as_bytes(), b"queued"));

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reopened_file_has_everything_and_one_of_a_later_version_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("jobs.db");
        let (first, second) = tokio::join!(SqliteStore::open(&file), SqliteStore::open(&file));
        first.unwrap().close().await;
        let store = second.unwrap();
        sqlx::query("PRAGMA user_version = 99").execute(&store.writer).await.unwrap();
        store.close().await;
        let told = SqliteStore::open(&file).await.unwrap_err().to_string();
        assert!(told.contains("layout 99"), "{told}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn many_may_open_a_new_file_at_the_same_time() {
        for _ in 0..20 {
            let directory = tempfile::tempdir().unwrap();
            let file = directory.path().join("jobs.db");
            let opens = (0..8).map(|_| SqliteStore::open(&file));
            for store in futures_util::future::join_all(opens).await {
                store.unwrap().close().await;
            }
        }
    }

    #[tokio::test]
    async fn the_claim_and_the_wait_for_the_next_one_use_the_index() {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&directory.path().join("jobs.db")).await.unwrap();
        let plan = "EXPLAIN QUERY PLAN SELECT id FROM video_jobs WHERE due_at <= 1 AND lease_until <= 1 \
                    ORDER BY due_at, id LIMIT 1";
        let plan: Vec<(i64, i64, i64, String)> = sqlx::query_as(plan).fetch_all(&store.writer).await.unwrap();
        assert!(plan.iter().any(|step| step.3.contains("USING COVERING INDEX video_jobs_due")), "{plan:?}");
        assert_eq!(plan.len(), 1, "sorts by itself: {plan:?}");
    }
}
