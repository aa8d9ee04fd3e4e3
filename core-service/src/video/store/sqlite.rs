//! Jobs in the core's SQLite database.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::{SqliteConnection, sqlite::SqliteArguments};

use super::{
    ChangeKind, Changes, Claim, Inserted, JobChanges, JobEvent, JobQueue, JobStore, KeyMatch, Lease, Page, StoreError,
    WorkerId, changes::ChangeFeed, match_key, row,
};
use crate::{
    database::Database,
    idempotency::Idempotency,
    video::{
        job::{Job, JobId},
        state::Phase,
        time::{Clock, Timestamp},
    },
};

/// A store in the core's SQLite database. Clones share it.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    database: Database,
    clock: Clock,
    feed: ChangeFeed,
}

impl SqliteStore {
    /// Returns the store in this database. SQLite has one machine, so the store's clock is the machine's.
    pub fn new(database: Database) -> Self {
        Self::with_clock(database, Clock::system())
    }

    pub(crate) fn with_clock(database: Database, clock: Clock) -> Self {
        Self { database, clock, feed: ChangeFeed::default() }
    }
}

#[async_trait]
impl JobStore for SqliteStore {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn changes(&self) -> Changes {
        self.feed.subscribe()
    }

    fn changes_of(&self, id: &JobId) -> JobChanges {
        self.feed.subscribe_to(id)
    }

    async fn insert(&self, job: &Job, call: Option<&Idempotency>) -> Result<Inserted, StoreError> {
        let now = self.now();
        self.database.check_file().await?;
        // The pool has one writer, so nothing comes between the look-up of the key and the insert.
        let mut transaction = self.database.writer().begin_with("BEGIN IMMEDIATE").await?;
        if let Some(call) = call
            && let Some(known) = by_key(&mut transaction, call).await?
        {
            match match_key(&known, call, now)? {
                KeyMatch::Repetition => return Ok(Inserted::Existing(Box::new(known))),
                KeyMatch::Free => {
                    let free = "UPDATE video_jobs SET idempotency_key = NULL, fingerprint = NULL, key_expires_at = NULL \
                                WHERE id = $1";
                    sqlx::query(free).bind(known.id.as_str()).execute(&mut *transaction).await?;
                }
            }
        }
        row::bind(sqlx::query(row::INSERT), job)?.execute(&mut *transaction).await?;
        record(&mut transaction, JobEvent::of(None, job, now)).await?;
        transaction.commit().await?;
        self.feed.publish(job, ChangeKind::Created);
        Ok(Inserted::New)
    }

    async fn get(&self, id: &JobId) -> Result<Option<Job>, StoreError> {
        let query = sqlx::query("SELECT * FROM video_jobs WHERE id = $1 AND deleted = 0").bind(id.as_str());
        query.fetch_optional(self.database.readers()).await?.as_ref().map(row::job).transpose()
    }

    async fn find(&self, call: &Idempotency) -> Result<Option<Job>, StoreError> {
        let mut connection = self.database.readers().acquire().await?;
        let Some(known) = by_key(&mut connection, call).await? else { return Ok(None) };
        Ok(match match_key(&known, call, self.now())? {
            KeyMatch::Repetition => Some(known),
            KeyMatch::Free => None,
        })
    }

    async fn list(&self, page: &Page) -> Result<Vec<Job>, StoreError> {
        let Page { limit, after, oldest_first, owner } = page;
        // Ids sort by creation time. `video_` sorts before and `video~` after every id.
        let (sql, start) = match (oldest_first, owner) {
            (true, None) => ("SELECT * FROM video_jobs WHERE deleted = 0 AND id > $1 ORDER BY id LIMIT $2", "video_"),
            (false, None) => {
                ("SELECT * FROM video_jobs WHERE deleted = 0 AND id < $1 ORDER BY id DESC LIMIT $2", "video~")
            }
            (true, Some(_)) => {
                ("SELECT * FROM video_jobs WHERE owner = $3 AND deleted = 0 AND id > $1 ORDER BY id LIMIT $2", "video_")
            }
            (false, Some(_)) => (
                "SELECT * FROM video_jobs WHERE owner = $3 AND deleted = 0 AND id < $1 ORDER BY id DESC LIMIT $2",
                "video~",
            ),
        };
        let mut query = sqlx::query(sql).bind(after.as_ref().map_or(start, JobId::as_str)).bind(i64::from(*limit));
        if let Some(owner) = owner {
            query = query.bind(owner.as_str());
        }
        query.fetch_all(self.database.readers()).await?.iter().map(row::job).collect()
    }

    async fn queue_position(&self, id: &JobId) -> Result<u32, StoreError> {
        let query = sqlx::query_scalar("SELECT COUNT(*) FROM video_jobs WHERE phase = 'queued' AND id < $1");
        let count: i64 = query.bind(id.as_str()).fetch_one(self.database.readers()).await?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    async fn amend(&self, before: &Job, next: &Job) -> Result<(), StoreError> {
        let query = row::bind(sqlx::query(row::AMEND), next)?.bind(row::integer(before.revision));
        self.write(query, JobEvent::of(Some(before), next, self.now())).await?;
        self.feed.publish(next, ChangeKind::Amended);
        Ok(())
    }

    async fn events(&self, id: &JobId) -> Result<Vec<JobEvent>, StoreError> {
        let query = sqlx::query("SELECT * FROM job_events WHERE job_id = $1 ORDER BY sequence").bind(id.as_str());
        query.fetch_all(self.database.readers()).await?.iter().map(row::event).collect()
    }
}

#[async_trait]
impl JobQueue for SqliteStore {
    async fn claim(&self, worker: &WorkerId, lease: Duration) -> Result<Option<Claim>, StoreError> {
        let now = self.now();
        // PostgreSQL adds FOR UPDATE SKIP LOCKED to the inner query.
        let query = sqlx::query(
            "UPDATE video_jobs SET lease_owner = $1, lease_until = $2, fence = fence + 1 WHERE id = \
             (SELECT id FROM video_jobs WHERE due_at <= $3 AND lease_until <= $3 ORDER BY due_at, id LIMIT 1) \
             RETURNING *",
        );
        let query = query.bind(worker.as_str()).bind(now.after(lease).0).bind(now.0);
        query.fetch_optional(self.database.writer()).await?.as_ref().map(row::claim).transpose()
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let query = sqlx::query_scalar(
            "SELECT MIN(CASE WHEN lease_until > due_at THEN lease_until ELSE due_at END) FROM video_jobs \
             WHERE due_at IS NOT NULL",
        );
        let due: Option<i64> = query.fetch_one(self.database.readers()).await?;
        Ok(due.map(Timestamp))
    }

    async fn commit(&self, claim: &Claim, next: Job, then: Lease) -> Result<Claim, StoreError> {
        let query = row::bind(sqlx::query(row::COMMIT), &next)?.bind(row::integer(claim.job.revision));
        let query = query.bind(claim.fence).bind(i64::from(then == Lease::Kept));
        self.write(query, JobEvent::of(Some(&claim.job), &next, self.now())).await?;
        if next.revision != claim.job.revision {
            self.feed.publish(&next, ChangeKind::Moved);
        }
        Ok(Claim { job: next, fence: claim.fence })
    }

    async fn renew(&self, claim: &Claim, lease: Duration) -> Result<(), StoreError> {
        let query = sqlx::query("UPDATE video_jobs SET lease_until = $1 WHERE id = $2 AND fence = $3");
        let query = query.bind(self.now().after(lease).0).bind(claim.job.id.as_str()).bind(claim.fence);
        self.write(query, None).await
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        let query = sqlx::query("UPDATE video_jobs SET lease_until = 0 WHERE id = $1 AND fence = $2");
        match self.write(query.bind(claim.job.id.as_str()).bind(claim.fence), None).await {
            Ok(()) | Err(StoreError::Stale) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn purge(&self, claim: &Claim) -> Result<(), StoreError> {
        // The outbox rows go with it, by ON DELETE CASCADE.
        let query = sqlx::query("DELETE FROM video_jobs WHERE id = $1 AND fence = $2");
        self.write(query.bind(claim.job.id.as_str()).bind(claim.fence), None).await
    }
}

impl SqliteStore {
    /// Runs a statement that must change exactly one row, and records the event in the same transaction.
    async fn write(
        &self,
        query: sqlx::query::Query<'_, sqlx::Sqlite, SqliteArguments>,
        event: Option<JobEvent>,
    ) -> Result<(), StoreError> {
        // Most commits only report progress: one statement is a transaction of its own.
        if event.is_none() {
            return changed(&query.execute(self.database.writer()).await?);
        }
        let mut transaction = self.database.writer().begin_with("BEGIN IMMEDIATE").await?;
        changed(&query.execute(&mut *transaction).await?)?;
        record(&mut transaction, event).await?;
        Ok(transaction.commit().await?)
    }
}

/// Fails unless a row was changed.
fn changed(result: &sqlx::sqlite::SqliteQueryResult) -> Result<(), StoreError> {
    if result.rows_affected() == 0 { Err(StoreError::Stale) } else { Ok(()) }
}

/// Returns the job under the key of this call.
async fn by_key(connection: &mut SqliteConnection, call: &Idempotency) -> Result<Option<Job>, StoreError> {
    let query = sqlx::query("SELECT * FROM video_jobs WHERE owner = $1 AND idempotency_key = $2");
    let query = query.bind(call.scope.owner.as_str()).bind(call.scope.key.to_column());
    query.fetch_optional(connection).await?.as_ref().map(row::job).transpose()
}

/// Writes an outbox row.
async fn record(connection: &mut SqliteConnection, event: Option<JobEvent>) -> Result<(), StoreError> {
    let Some(JobEvent { job_id, owner, revision, kind, created_at }) = event else { return Ok(()) };
    let query =
        sqlx::query("INSERT INTO job_events (job_id, owner, revision, kind, created_at) VALUES ($1, $2, $3, $4, $5)");
    let query = query.bind(job_id.as_str()).bind(owner.as_str()).bind(row::integer(revision));
    query.bind(kind).bind(created_at.0).execute(connection).await?;
    Ok(())
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// The name of the state in the index on queued jobs, which SQL spells out.
const _: () = assert!(matches!(Phase::Queued.as_str().as_bytes(), b"queued"));

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn claim_uses_the_covering_index_and_does_not_sort() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(&directory.path().join("jobs.db")).await.unwrap();
        let plan = "EXPLAIN QUERY PLAN SELECT id FROM video_jobs WHERE due_at <= 1 AND lease_until <= 1 \
                    ORDER BY due_at, id LIMIT 1";
        let plan: Vec<(i64, i64, i64, String)> = sqlx::query_as(plan).fetch_all(database.writer()).await.unwrap();
        assert!(plan.iter().any(|step| step.3.contains("USING COVERING INDEX video_jobs_due")), "{plan:?}");
        assert_eq!(plan.len(), 1, "the plan has a sort step: {plan:?}");
    }
}
