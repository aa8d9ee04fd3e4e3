//! The leases of workers. None of these writes needs to be durable: a worker whose lease is lost registers another one.

use async_trait::async_trait;

use crate::{
    database::{DbConnection, Write},
    video::{
        job::JobId,
        state::Phase,
        store::{Renewed, StoreError, WorkerId},
        time::Timestamp,
    },
};

/// Starts the lease of a new worker.
pub(super) struct RegisterWorker {
    pub(super) worker: WorkerId,
    pub(super) until: Timestamp,
    pub(super) now: Timestamp,
}

#[async_trait]
impl Write for RegisterWorker {
    type Output = ();

    fn must_be_durable(&self) -> bool {
        false
    }

    async fn run(&mut self, connection: &mut DbConnection) -> Result<(), sqlx::Error> {
        let query = sqlx::query("INSERT INTO video_workers (id, lease_until) VALUES ($1, $2)");
        query.bind(self.worker.as_str()).bind(self.until.0).execute(&mut *connection).await?;
        remove_expired(connection, self.now).await?;
        release_orphans(connection).await?;
        Ok(())
    }
}

/// Extends the lease of a worker, and looks for its jobs that are final.
pub(super) struct RenewLease {
    pub(super) worker: WorkerId,
    pub(super) until: Timestamp,
    pub(super) now: Timestamp,
}

#[async_trait]
impl Write for RenewLease {
    type Output = Result<Renewed, StoreError>;

    fn must_be_durable(&self) -> bool {
        false
    }

    async fn run(&mut self, connection: &mut DbConnection) -> Result<Self::Output, sqlx::Error> {
        let query = sqlx::query("UPDATE video_workers SET lease_until = $1 WHERE id = $2");
        let query = query.bind(self.until.0).bind(self.worker.as_str());
        if query.execute(&mut *connection).await?.rows_affected() == 0 {
            return Ok(Err(StoreError::Stale));
        }
        let has_released = remove_expired(connection, self.now).await? && release_orphans(connection).await?;
        // `lease_owner <> ''` is the condition of the index `video_jobs_leased`.
        let query = sqlx::query_scalar(
            "SELECT id FROM video_jobs WHERE lease_owner = $1 AND lease_owner <> '' AND phase IN ($2, $3, $4)",
        );
        let query = query.bind(self.worker.as_str());
        let query = FINAL.into_iter().fold(query, |query, phase| query.bind(phase.as_str()));
        let ids: Vec<String> = query.fetch_all(connection).await?;
        let final_jobs = ids.iter().filter_map(|id| JobId::parse(id)).collect();
        Ok(Ok(Renewed { final_jobs, has_released }))
    }
}

/// Ends the lease of a worker.
pub(super) struct DeregisterWorker {
    pub(super) worker: WorkerId,
}

#[async_trait]
impl Write for DeregisterWorker {
    type Output = ();

    fn must_be_durable(&self) -> bool {
        false
    }

    async fn run(&mut self, connection: &mut DbConnection) -> Result<(), sqlx::Error> {
        let query = sqlx::query("DELETE FROM video_workers WHERE id = $1");
        query.bind(self.worker.as_str()).execute(&mut *connection).await?;
        release_orphans(connection).await?;
        Ok(())
    }
}

/// Bounds the times of jobs and workers after the clock was set back.
pub(super) struct BoundTimes {
    pub(super) latest_due: Timestamp,
    pub(super) latest_lease: Timestamp,
    pub(super) now: Timestamp,
}

#[async_trait]
impl Write for BoundTimes {
    type Output = ();

    fn must_be_durable(&self) -> bool {
        false
    }

    async fn run(&mut self, connection: &mut DbConnection) -> Result<(), sqlx::Error> {
        let query = sqlx::query("UPDATE video_workers SET lease_until = $1 WHERE lease_until > $1");
        query.bind(self.latest_lease.0).execute(&mut *connection).await?;
        let query = sqlx::query(
            "UPDATE video_jobs SET due_at = $1 WHERE due_at > $2 AND (phase NOT IN ($3, $4, $5) OR abandoned IS NOT NULL)",
        );
        let query = query.bind(self.now.0).bind(self.latest_due.0);
        let query = FINAL.into_iter().fold(query, |query, phase| query.bind(phase.as_str()));
        query.execute(connection).await?;
        Ok(())
    }
}

/// The final states.
const FINAL: [Phase; 3] = [Phase::Succeeded, Phase::Failed, Phase::Cancelled];

/// Removes the workers whose lease has expired. Returns whether there were any.
async fn remove_expired(connection: &mut DbConnection, now: Timestamp) -> Result<bool, sqlx::Error> {
    let query = sqlx::query("DELETE FROM video_workers WHERE lease_until <= $1").bind(now.0);
    Ok(query.execute(connection).await?.rows_affected() > 0)
}

/// Releases the jobs of workers that have no lease, which can no longer write them. Returns whether there were any.
async fn release_orphans(connection: &mut DbConnection) -> Result<bool, sqlx::Error> {
    let release = "UPDATE video_jobs SET lease_owner = '', fence = fence + 1 \
                   WHERE lease_owner <> '' AND lease_owner NOT IN (SELECT id FROM video_workers)";
    Ok(sqlx::query(release).execute(connection).await?.rows_affected() > 0)
}
