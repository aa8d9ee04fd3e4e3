//! Jobs in the core's database.

mod changes;
mod claims;
mod insert;
mod list;
mod money;
mod other_nodes;
mod row;
mod workers;

use std::time::Duration;

use async_trait::async_trait;

use self::{
    changes::{AmendJob, CommitJob, PurgeJob, ReleaseJob},
    claims::{ClaimJobs, id_list},
    insert::{InsertJob, by_key},
    workers::{BoundTimes, DeregisterWorker, RegisterWorker, RenewLease},
};
use super::{
    AfterCommit, BusyProviders, Changes, Claim, Inserted, JobChanges, JobEvent, JobLimits, JobQueue, JobStore,
    KeyMatch, Page, Renewed, StoreError, WorkerId, changes::ChangeFeed, match_key, turns::Turns,
};
use crate::{
    database::{Database, Readers},
    idempotency::Idempotency,
    keys::Owners,
    storage_failure::is_not_writable,
    video::{
        job::{Job, JobId},
        provider::UpstreamTask,
        time::{Clock, Timestamp},
    },
};

/// With fewer queued jobs than this behind a job, its position is counted from the end of the queue: most requests are for a job that was
/// just created.
const NEAR_THE_END: i64 = 1000;

/// A store in the core's database. Clones share it.
#[derive(Debug, Clone)]
pub struct SqlStore {
    database: Database,
    clock: Clock,
    feed: ChangeFeed,
    turns: Turns,
}

impl SqlStore {
    /// Returns the store in this database, on the clock of the database.
    pub fn new(database: Database) -> Self {
        let clock = Clock::of(&database);
        Self::with_clock(database, clock)
    }

    pub(crate) fn with_clock(database: Database, clock: Clock) -> Self {
        Self { database, clock, feed: ChangeFeed::default(), turns: Turns::default() }
    }
}

#[async_trait]
impl JobStore for SqlStore {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn changes(&self) -> Changes {
        self.feed.subscribe()
    }

    fn changes_of(&self, id: &JobId) -> JobChanges {
        self.feed.subscribe_to(id)
    }

    async fn insert(&self, job: &Job, call: Option<&Idempotency>, limits: &JobLimits) -> Result<Inserted, StoreError> {
        // SQLite would accept the job although its file was removed, and lose it at the end of the process.
        self.database.check_file().await?;
        let (job, call, feed) = (job.clone(), call.cloned(), self.feed.clone());
        self.database.write(InsertJob { job, call, limits: limits.clone(), now: self.now(), feed }).await?
    }

    async fn get(&self, id: &JobId, owners: &Owners) -> Result<Option<Job>, StoreError> {
        let query = sqlx::query(concat!(
            "SELECT ",
            row::columns!(),
            " FROM video_jobs WHERE id = $1 AND deleted = 0 AND ($2 IS NULL OR owner = $2)"
        ));
        let query = query.bind(id.as_str()).bind(owners.only().map(|owner| owner.as_str().to_owned()));
        query.fetch_optional(self.database.readers()).await?.as_ref().map(row::job).transpose()
    }

    async fn contains(&self, id: &JobId) -> Result<bool, StoreError> {
        let query = sqlx::query_scalar("SELECT COUNT(*) FROM video_jobs WHERE id = $1 AND deleted = 0");
        let count: i64 = query.bind(id.as_str()).fetch_one(self.database.readers()).await?;
        Ok(count > 0)
    }

    async fn find(&self, call: &Idempotency) -> Result<Option<Job>, StoreError> {
        let Some(known) = by_key(self.database.readers(), call).await? else { return Ok(None) };
        Ok(match match_key(row::key(&known).as_ref(), call, self.now())? {
            KeyMatch::Repetition => Some(row::job(&known)?),
            KeyMatch::Free => None,
        })
    }

    async fn list(&self, page: &Page) -> Result<Vec<Job>, StoreError> {
        let mut after = page.after.as_ref().map(|id| id.as_str().to_owned());
        let mut jobs = Vec::new();
        loop {
            let lacking = page.limit as usize - jobs.len();
            let mut query = list::statement(&self.database, page, after.as_deref(), lacking);
            let rows = query.build().fetch_all(self.database.readers()).await?;
            for row in &rows {
                match row::job(row) {
                    Ok(job) => jobs.push(job),
                    Err(error) => tracing::error!(job.id = row::raw_id(row), "a job was left out of a list: {error}"),
                }
            }
            // Rows that cannot be read do not count: others take their places.
            match rows.last() {
                Some(last) if rows.len() == lacking && jobs.len() < page.limit as usize => {
                    after = Some(row::raw_id(last));
                }
                Some(_) | None => return Ok(jobs),
            }
        }
    }

    async fn queue_positions(&self, ids: &[JobId]) -> Result<Vec<u32>, StoreError> {
        let Some(first) = ids.iter().min() else { return Ok(Vec::new()) };
        let readers = self.database.readers();
        // The queue is counted up to the oldest of the jobs; the positions of the others are counted from that one.
        let before = queue_position(readers, first).await?;
        let query = sqlx::query_scalar(
            "SELECT (SELECT COUNT(*) FROM video_jobs WHERE phase = 'queued' AND id >= $1 AND id < listed.value) FROM json_each($2) AS listed \
             ORDER BY listed.key",
        );
        let list = serde_json::Value::from(ids.iter().map(JobId::as_str).collect::<Vec<_>>()).to_string();
        let counts: Vec<i64> = query.bind(first.as_str()).bind(list).fetch_all(readers).await?;
        Ok(counts.into_iter().map(|count| u32::try_from(before + count).unwrap_or(u32::MAX)).collect())
    }

    async fn amend(&self, before: &Job, next: &Job) -> Result<(), StoreError> {
        let (before, next, feed) = (before.clone(), next.clone().with_charge_settled(), self.feed.clone());
        self.database.write(AmendJob { before, next, now: self.now(), feed }).await?
    }

    async fn remove_unreadable(&self, id: &JobId, owners: &Owners) -> Result<bool, StoreError> {
        let query = sqlx::query("DELETE FROM video_jobs WHERE id = $1 AND deleted = 0 AND ($2 IS NULL OR owner = $2)");
        let query = query.bind(id.as_str()).bind(owners.only().map(|owner| owner.as_str().to_owned()));
        Ok(self.database.execute(query).await? > 0)
    }

    async fn events(&self, id: &JobId) -> Result<Vec<JobEvent>, StoreError> {
        let query = sqlx::query(
            "SELECT job_id, owner, revision, kind, created_at FROM job_events WHERE job_id = $1 ORDER BY sequence",
        )
        .bind(id.as_str());
        query.fetch_all(self.database.readers()).await?.iter().map(row::event).collect()
    }
}

#[async_trait]
impl JobQueue for SqlStore {
    async fn register(&self, worker: &WorkerId, lease: Duration) -> Result<(), StoreError> {
        let now = self.now();
        Ok(self.database.write(RegisterWorker { worker: worker.clone(), until: now.after(lease), now }).await?)
    }

    async fn renew(&self, worker: &WorkerId, lease: Duration) -> Result<Renewed, StoreError> {
        let now = self.now();
        self.database.write(RenewLease { worker: worker.clone(), until: now.after(lease), now }).await?
    }

    async fn deregister(&self, worker: &WorkerId) -> Result<(), StoreError> {
        Ok(self.database.write(DeregisterWorker { worker: worker.clone() }).await?)
    }

    async fn bound_times(&self, latest_due: Timestamp, latest_lease: Timestamp) -> Result<(), StoreError> {
        Ok(self.database.write(BoundTimes { latest_due, latest_lease, now: self.now() }).await?)
    }

    async fn claim_several(
        &self,
        worker: &WorkerId,
        busy: &BusyProviders,
        max: usize,
    ) -> Result<Vec<Result<Claim, StoreError>>, StoreError> {
        let (worker, busy, turns) = (worker.clone(), busy.clone(), self.turns.clone());
        Ok(self.database.write(ClaimJobs { max, worker, busy, now: self.now(), turns }).await?)
    }

    async fn next_due(&self, busy: &BusyProviders) -> Result<Option<Timestamp>, StoreError> {
        let query = sqlx::query_scalar(claims::NEXT_DUE);
        let due: Option<i64> = query
            .bind(id_list(&busy.submissions))
            .bind(id_list(&busy.steps))
            .fetch_one(self.database.readers())
            .await?;
        Ok(due.map(Timestamp))
    }

    async fn read(&self, id: &JobId) -> Result<Option<Job>, StoreError> {
        let query =
            sqlx::query(concat!("SELECT ", row::columns!(), " FROM video_jobs WHERE id = $1")).bind(id.as_str());
        query.fetch_optional(self.database.readers()).await?.as_ref().map(row::job).transpose()
    }

    async fn has_render(&self, provider_id: &str, task: &UpstreamTask, id: &JobId) -> Result<bool, StoreError> {
        // Rare, so that it needs no index: only for a search that found a render without a job id.
        let query = sqlx::query_scalar(
            "SELECT COUNT(*) FROM video_jobs WHERE provider_id = $1 AND id <> $2 AND \
             CASE WHEN json_valid(state) THEN json_extract(state, '$.task') END = $3",
        );
        let count: i64 =
            query.bind(provider_id).bind(id.as_str()).bind(&task.0).fetch_one(self.database.readers()).await?;
        Ok(count > 0)
    }

    async fn commit(&self, claim: &Claim, next: Job, then: AfterCommit) -> Result<Claim, StoreError> {
        let next = next.with_charge_settled();
        let committed = Claim { job: next.clone(), fence: claim.fence };
        let (claim, feed) = (claim.clone(), self.feed.clone());
        self.database.write(CommitJob { claim, next, then, now: self.now(), feed }).await??;
        Ok(committed)
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        Ok(self.database.write(ReleaseJob { claim: claim.clone() }).await?)
    }

    async fn purge(&self, claim: &Claim) -> Result<(), StoreError> {
        self.database.write(PurgeJob { claim: claim.clone() }).await?
    }
}

/// Returns the number of queued jobs that were created before this one. Counts from the end of the queue if
/// that is near; `video_queue` has the length of the queue for each owner.
async fn queue_position(readers: Readers<'_>, id: &JobId) -> Result<i64, StoreError> {
    let query = sqlx::query_as(
        "SELECT CAST(COALESCE((SELECT SUM(jobs) FROM video_queue), 0) AS BIGINT), \
         (SELECT COUNT(*) FROM (SELECT 1 FROM video_jobs WHERE phase = 'queued' AND id >= $1 LIMIT $2) AS behind)",
    );
    let (all, behind): (i64, i64) = query.bind(id.as_str()).bind(NEAR_THE_END).fetch_one(readers).await?;
    if behind < NEAR_THE_END {
        return Ok(all - behind);
    }
    let query = sqlx::query_scalar("SELECT COUNT(*) FROM video_jobs WHERE phase = 'queued' AND id < $1");
    Ok(query.bind(id.as_str()).fetch_one(readers).await?)
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let text = error.to_string();
        if is_not_writable(&error) { Self::NotWritable(text) } else { Self::Unavailable(text) }
    }
}

#[cfg(test)]
mod tests;
