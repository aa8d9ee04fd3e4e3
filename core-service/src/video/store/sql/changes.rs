//! Changes of stored jobs, each with its outbox row.

use async_trait::async_trait;

use super::{money, row};
use crate::{
    database::{DbConnection, DbResult, Write},
    video::{
        job::Job,
        state::JobState,
        store::{AfterCommit, ChangeKind, Claim, JobEvent, StoreError, changes::ChangeFeed},
        time::Timestamp,
    },
};

/// Writes a change that takes precedence over the worker that has the job.
pub(super) struct AmendJob {
    pub(super) before: Job,
    pub(super) next: Job,
    pub(super) now: Timestamp,
    pub(super) feed: ChangeFeed,
}

#[async_trait]
impl Write for AmendJob {
    type Output = Result<(), StoreError>;

    async fn run(&mut self, connection: &mut DbConnection) -> Result<Self::Output, sqlx::Error> {
        let query = match row::bind_change(sqlx::query(row::AMEND), &self.before, &self.next) {
            Ok(query) => query,
            Err(error) => return Ok(Err(error)),
        };
        if let Err(stale) = require_change(&query.execute(&mut *connection).await?) {
            return Ok(Err(stale));
        }
        money::settle(connection, &self.before, &self.next, self.now).await?;
        record(connection, JobEvent::from_change(Some(&self.before), &self.next, self.now)).await?;
        Ok(Ok(()))
    }

    fn on_commit(&self, output: &Self::Output) {
        if output.is_ok() {
            self.feed.publish(&self.next, ChangeKind::Amended);
        }
    }
}

/// Writes the next state of a claimed job.
pub(super) struct CommitJob {
    pub(super) claim: Claim,
    pub(super) next: Job,
    pub(super) then: AfterCommit,
    pub(super) now: Timestamp,
    pub(super) feed: ChangeFeed,
}

#[async_trait]
impl Write for CommitJob {
    type Output = Result<(), StoreError>;

    /// New progress of a render may be lost: the next poll returns it again.
    fn must_be_durable(&self) -> bool {
        let is_rendering = |job: &Job| matches!(job.state, JobState::Rendering { .. });
        !(is_rendering(&self.claim.job) && is_rendering(&self.next))
    }

    async fn run(&mut self, connection: &mut DbConnection) -> Result<Self::Output, sqlx::Error> {
        let query = match row::bind_change(sqlx::query(row::COMMIT), &self.claim.job, &self.next) {
            Ok(query) => query,
            Err(error) => return Ok(Err(error)),
        };
        let query = query.bind(self.claim.fence).bind(i64::from(self.then == AfterCommit::KeepLease));
        if let Err(stale) = require_change(&query.execute(&mut *connection).await?) {
            return Ok(Err(stale));
        }
        money::settle(connection, &self.claim.job, &self.next, self.now).await?;
        record(connection, JobEvent::from_change(Some(&self.claim.job), &self.next, self.now)).await?;
        Ok(Ok(()))
    }

    fn on_commit(&self, output: &Self::Output) {
        if output.is_ok() && self.next.revision != self.claim.job.revision {
            self.feed.publish(&self.next, ChangeKind::Committed);
        }
    }
}

/// Releases a claimed job.
pub(super) struct ReleaseJob {
    pub(super) claim: Claim,
}

#[async_trait]
impl Write for ReleaseJob {
    type Output = ();

    /// As for a claim.
    fn must_be_durable(&self) -> bool {
        false
    }

    async fn run(&mut self, connection: &mut DbConnection) -> Result<Self::Output, sqlx::Error> {
        let query = sqlx::query("UPDATE video_jobs SET lease_owner = '' WHERE id = $1 AND fence = $2");
        query.bind(self.claim.job.id.as_str()).bind(self.claim.fence).execute(connection).await?;
        Ok(())
    }
}

/// Removes a claimed job.
pub(super) struct PurgeJob {
    pub(super) claim: Claim,
}

#[async_trait]
impl Write for PurgeJob {
    type Output = Result<(), StoreError>;

    async fn run(&mut self, connection: &mut DbConnection) -> Result<Self::Output, sqlx::Error> {
        // The outbox rows go with it, by ON DELETE CASCADE.
        let query = sqlx::query("DELETE FROM video_jobs WHERE id = $1 AND fence = $2");
        let query = query.bind(self.claim.job.id.as_str()).bind(self.claim.fence);
        Ok(require_change(&query.execute(connection).await?))
    }
}

/// Requires that a row was changed; otherwise the caller's state is stale.
fn require_change(result: &DbResult) -> Result<(), StoreError> {
    if result.rows_affected() == 0 { Err(StoreError::Stale) } else { Ok(()) }
}

/// Writes an outbox row.
pub(super) async fn record(connection: &mut DbConnection, event: Option<JobEvent>) -> Result<(), sqlx::Error> {
    let Some(JobEvent { job_id, owner, revision, kind, created_at }) = event else { return Ok(()) };
    let query =
        sqlx::query("INSERT INTO job_events (job_id, owner, revision, kind, created_at) VALUES ($1, $2, $3, $4, $5)");
    let query = query.bind(job_id.as_str()).bind(owner.as_str()).bind(row::integer(revision));
    query.bind(kind).bind(created_at.0).execute(connection).await?;
    Ok(())
}
