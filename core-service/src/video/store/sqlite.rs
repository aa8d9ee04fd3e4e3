//! Jobs in an SQLite file. One process at a time is the rule, several on one machine work; a network disk does not.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::sqlite::SqliteArguments;

use super::{Claim, Inserted, JobStore, Lease, Page, StoreError, WorkerId, row};
use crate::{
    database::Database,
    video::{
        job::{Job, JobId},
        state::Phase,
        time::Timestamp,
    },
};

/// Jobs in the core's SQLite database.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    database: Database,
}

impl SqliteStore {
    /// Returns the store in this database.
    pub fn new(database: Database) -> Self {
        Self { database }
    }
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
            let written = row::bind(query, job)?.execute(self.database.writer()).await?;
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
        query.fetch_optional(self.database.readers()).await?.as_ref().map(row::job).transpose()
    }

    async fn find(&self, key: &str) -> Result<Option<Job>, StoreError> {
        let query = sqlx::query("SELECT * FROM video_jobs WHERE idempotency_key = $1").bind(key);
        query.fetch_optional(self.database.readers()).await?.as_ref().map(row::job).transpose()
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
        query.bind(i64::from(page.limit)).fetch_all(self.database.readers()).await?.iter().map(row::job).collect()
    }

    async fn ahead(&self, id: &JobId) -> Result<u32, StoreError> {
        let query = sqlx::query_scalar("SELECT COUNT(*) FROM video_jobs WHERE phase = 'queued' AND id < $1");
        let count: i64 = query.bind(id.as_str()).fetch_one(self.database.readers()).await?;
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
        match query.execute(self.database.writer()).await?.rows_affected() {
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
    async fn the_claim_and_the_wait_for_the_next_one_use_the_index() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(&directory.path().join("jobs.db")).await.unwrap();
        let plan = "EXPLAIN QUERY PLAN SELECT id FROM video_jobs WHERE due_at <= 1 AND lease_until <= 1 \
                    ORDER BY due_at, id LIMIT 1";
        let plan: Vec<(i64, i64, i64, String)> = sqlx::query_as(plan).fetch_all(database.writer()).await.unwrap();
        assert!(plan.iter().any(|step| step.3.contains("USING COVERING INDEX video_jobs_due")), "{plan:?}");
        assert_eq!(plan.len(), 1, "sorts by itself: {plan:?}");
    }
}
