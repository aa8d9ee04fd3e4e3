//! Where jobs are stored. A row is the job and its place in the queue at once.
//!
//! Callers use [`JobStore`], the runner uses [`JobQueue`]. A worker has one lease, which covers every job that it has claimed
//! and not released. Two guards make races harmless. The *fence* of a job grows with every claim and when the lease of its
//! worker has expired: a worker that lost its lease, frozen or slow, can no longer write. The *revision* grows with every
//! change: a cancellation between a read and a write is not overwritten.
//!
//! Every change of state writes an outbox row ([`JobEvent`]) in the same transaction. Webhooks are
//! delivered from it. The rows of a job are removed with the job, so the outbox is bounded by the jobs.

mod changes;
#[cfg(test)]
pub(crate) mod conformance;
pub mod memory;
pub mod sql;
mod turns;

use std::{fmt, time::Duration};

use async_trait::async_trait;
use uuid::Uuid;

pub use self::changes::{Change, ChangeKind, Changes, JobChanges};
use super::{
    job::{Job, JobId, JobKey},
    provider::UpstreamTask,
    state::Phase,
    time::Timestamp,
};
use crate::{
    error::{BudgetExceeded, Error, LimitExceeded},
    idempotency::Idempotency,
    keys::{InFlightLimit, Owner, Owners},
    ledger::Payer,
};

/// A store of jobs, as callers use it. Every implementation passes the conformance suite.
#[async_trait]
pub trait JobStore: fmt::Debug + Send + Sync {
    /// Returns the current time of the store. Timestamps of jobs and leases come from this clock alone.
    fn now(&self) -> Timestamp;

    /// Subscribes to the committed changes of all jobs.
    fn changes(&self) -> Changes;

    /// Subscribes to the committed changes of one job. Subscribe first and read then: no change is missed.
    fn changes_of(&self, id: &JobId) -> JobChanges;

    /// Inserts a new job. Once this returns, the job survives a crash and a power failure. With `call`, the job takes the
    /// idempotency key, unless the call is a repetition. The limits are checked in the transaction of the insert.
    ///
    /// # Errors
    /// `KeyConflict`, if the key was used with a different request; `QueueFull`, `InFlight` or `Budget` beyond a limit.
    async fn insert(&self, job: &Job, call: Option<&Idempotency>, limits: &JobLimits) -> Result<Inserted, StoreError>;

    /// Returns the job, unless it is deleted or belongs to none of these owners.
    ///
    /// # Errors
    /// `Corrupt`, if its row cannot be read.
    async fn get(&self, id: &JobId, owners: &Owners) -> Result<Option<Job>, StoreError>;

    /// Returns whether the job exists and is not deleted, also if its row cannot be read.
    async fn contains(&self, id: &JobId) -> Result<bool, StoreError>;

    /// Returns the job that the call repeats, if any.
    ///
    /// # Errors
    /// `KeyConflict`, if the key was used with a different request.
    async fn find(&self, call: &Idempotency) -> Result<Option<Job>, StoreError>;

    /// Returns one page of jobs by creation time, without deleted ones, and without the `extra_json` of their requests. Rows
    /// that cannot be read are logged and left out.
    async fn list(&self, page: &Page) -> Result<Vec<Job>, StoreError>;

    /// Returns for each of these jobs the number of queued jobs that were created before it.
    async fn queue_positions(&self, ids: &[JobId]) -> Result<Vec<u32>, StoreError>;

    /// Writes a change that takes precedence over the holder of the lease. `next.revision` is `before.revision + 1`.
    ///
    /// # Errors
    /// `Stale`, if the job has changed since `before` was read; then nothing is written.
    async fn amend(&self, before: &Job, next: &Job) -> Result<(), StoreError>;

    /// Removes the row of a job that [`get`](Self::get) reports as `Corrupt`, with its outbox rows. Returns whether there was
    /// one.
    async fn remove_unreadable(&self, id: &JobId, owners: &Owners) -> Result<bool, StoreError>;

    /// Returns the outbox rows of a job, oldest first.
    async fn events(&self, id: &JobId) -> Result<Vec<JobEvent>, StoreError>;
}

/// The queue of due jobs, as the runner uses it.
#[async_trait]
pub trait JobQueue: JobStore {
    /// Starts the lease of a new worker. Also releases the jobs of workers that no longer have one.
    async fn register(&self, worker: &WorkerId, lease: Duration) -> Result<(), StoreError>;

    /// Extends the lease of a worker to `lease` from now, and releases the jobs of workers whose lease has expired.
    ///
    /// # Errors
    /// `Stale`, if another worker has released its jobs meanwhile.
    async fn renew(&self, worker: &WorkerId, lease: Duration) -> Result<Renewed, StoreError>;

    /// Ends the lease of a worker and releases its jobs.
    async fn deregister(&self, worker: &WorkerId) -> Result<(), StoreError>;

    /// Corrects times from before the clock was set back: unfinished jobs that are due after `latest_due` become due now, and leases that
    /// end after `latest_lease` end then.
    async fn bound_times(&self, latest_due: Timestamp, latest_lease: Timestamp) -> Result<(), StoreError>;

    /// Claims due jobs that no worker has, at most `max`. Jobs in progress and queued jobs take turns; of the former, the one that has been
    /// due longest is next. Of queued jobs, those of a higher priority are first, with a share for lower ones. Within a priority, the
    /// owners take turns, each with the job that has been due longest. The jobs of busy providers are left out. Deleted jobs are
    /// returned too, to be purged.
    ///
    /// # Errors
    /// `Corrupt` for each row that cannot be read; it is not claimed again for some minutes.
    async fn claim_several(
        &self,
        worker: &WorkerId,
        busy: &BusyProviders,
        max: usize,
    ) -> Result<Vec<Result<Claim, StoreError>>, StoreError>;

    /// Claims one job like [`claim_several`](Self::claim_several).
    #[cfg(test)]
    async fn claim(&self, worker: &WorkerId, busy: &BusyProviders) -> Result<Option<Claim>, StoreError> {
        self.claim_several(worker, busy, 1).await?.pop().transpose()
    }

    /// Returns when the next job that no worker has can be claimed, which may be in the past. `None`: there is none.
    async fn next_due(&self, busy: &BusyProviders) -> Result<Option<Timestamp>, StoreError>;

    /// Returns the job, also if it is deleted.
    async fn read(&self, id: &JobId) -> Result<Option<Job>, StoreError>;

    /// Returns whether another job than `id` has this render (task) of the provider: a search for a lost submission must not find it.
    async fn has_render(&self, provider_id: &str, task: &UpstreamTask, id: &JobId) -> Result<bool, StoreError>;

    /// Writes the claimed job as `next`, and releases it or keeps it for another step. A change from rendering to rendering
    /// may be lost in a power failure.
    ///
    /// # Errors
    /// `Stale`, if the lease was lost or the job was amended meanwhile; then nothing is written.
    async fn commit(&self, claim: &Claim, next: Job, then: AfterCommit) -> Result<Claim, StoreError>;

    /// Releases a claimed job without any other change. A lost lease is no error.
    async fn release(&self, claim: &Claim) -> Result<(), StoreError>;

    /// Removes a claimed job and its outbox rows.
    ///
    /// # Errors
    /// `Stale`, if the lease was lost.
    async fn purge(&self, claim: &Claim) -> Result<(), StoreError>;
}

/// The providers whose jobs are not claimed now, by id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BusyProviders {
    /// Those that take no further submission now: their queued jobs wait. Includes `steps`.
    pub submissions: Vec<String>,
    /// Those whose limit of concurrent steps (calls to the provider, each with its commit) is reached: their jobs wait, whatever their state.
    pub steps: Vec<String>,
}

impl BusyProviders {
    /// Returns whether all that `other` leaves out is left out here, too.
    pub(crate) fn includes(&self, other: &Self) -> bool {
        let has_all = |these: &[String], others: &[String]| others.iter().all(|id| these.contains(id));
        has_all(&self.submissions, &other.submissions) && has_all(&self.steps, &other.steps)
    }
}

/// The result of an insert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inserted {
    /// The job is new.
    New,
    /// The call repeats an earlier one; this is its job.
    Existing(Box<Job>),
}

/// The delay that a caller with too many jobs in flight is advised to wait. A job ends at an unknown time.
const IN_FLIGHT_DELAY: Duration = Duration::from_secs(10);

/// The limits that the insert of a job checks: of queued jobs, of jobs in flight, and the budgets of the payer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobLimits {
    /// Queued jobs of one owner.
    pub per_owner: u32,
    /// Queued jobs of all owners together.
    pub total: u32,
    /// Limits of jobs in flight, queued ones included, of the caller's key and team.
    pub in_flight: Vec<InFlightLimit>,
    /// Who pays, with the budgets.
    pub payer: Payer,
}

impl Default for JobLimits {
    fn default() -> Self {
        Self { per_owner: 1000, total: 10_000, in_flight: Vec::new(), payer: Payer::ANONYMOUS }
    }
}

impl JobLimits {
    /// Returns an error if an owner with this many queued jobs, or all owners together, may not queue another one.
    fn check(&self, of_owner: u64, of_all: u64) -> Result<(), StoreError> {
        if of_owner >= u64::from(self.per_owner) {
            return Err(StoreError::QueueFull { setting: "jobs.max_queued_per_owner", limit: self.per_owner });
        }
        if of_all >= u64::from(self.total) {
            return Err(StoreError::QueueFull { setting: "jobs.max_queued", limit: self.total });
        }
        Ok(())
    }
}

/// Whether the worker keeps the job after a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterCommit {
    /// It keeps the job for another step.
    KeepLease,
    /// Any worker can claim the job when it is due.
    ReleaseLease,
}

/// The holder of a lease. A runner that loses its lease continues as a new worker.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WorkerId(String);

impl WorkerId {
    /// Creates a unique id.
    pub fn new() -> Self {
        Self(Uuid::new_v4().simple().to_string())
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for WorkerId {
    fn default() -> Self {
        Self::new()
    }
}

/// The result of the renewal of a lease.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Renewed {
    /// The claimed jobs of the worker that are final: those that it is cleaning up, and those that a caller has cancelled or
    /// deleted, here or at another node.
    pub final_jobs: Vec<JobId>,
    /// Whether jobs of other workers were released.
    pub has_released: bool,
}

/// A claimed job as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The job.
    pub job: Job,
    /// The fencing token of the claim.
    pub fence: i64,
}

/// Which jobs to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The maximum number of jobs.
    pub limit: u32,
    /// Start after this job, whether it still exists or not.
    pub after: Option<JobId>,
    /// Oldest first instead of newest first.
    pub oldest_first: bool,
    /// The owners of the listed jobs.
    pub owners: Owners,
    /// The states of the listed jobs. Empty: all.
    pub phases: Vec<Phase>,
    /// The public name of the model of the listed jobs. Empty: all.
    pub model: String,
}

impl Page {
    /// Returns whether the job is one of those that are listed, on whichever page.
    fn matches(&self, job: &Job) -> bool {
        let Self { limit: _, after: _, oldest_first: _, owners, phases, model } = self;
        !job.deleted
            && owners.include(&job.owner)
            && (phases.is_empty() || phases.contains(&job.state.phase()))
            && (model.is_empty() || job.request.model == *model)
    }
}

/// An outbox row: a change of state that was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobEvent {
    /// The job.
    pub job_id: JobId,
    /// Its owner.
    pub owner: Owner,
    /// The revision that the change created.
    pub revision: u64,
    /// The state after the change, or `deleted`.
    pub kind: String,
    /// When it was committed.
    pub created_at: Timestamp,
}

impl JobEvent {
    /// Returns the event of the change from `before` to `next`; `None` if the state is the same. `before` is `None` for a
    /// new job.
    fn from_change(before: Option<&Job>, next: &Job, now: Timestamp) -> Option<Self> {
        let kind = |job: &Job| if job.deleted { "deleted" } else { job.state.phase().as_str() };
        let changed = before.is_none_or(|before| kind(before) != kind(next));
        changed.then(|| Self {
            job_id: next.id.clone(),
            owner: next.owner.clone(),
            revision: next.revision,
            kind: kind(next).to_owned(),
            created_at: now,
        })
    }
}

/// A store operation failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The job changed, or the lease was lost; nothing was written.
    #[error("the job was changed concurrently")]
    Stale,
    /// The idempotency key was used with a different request.
    #[error("the idempotency key `{0}` was used before with a different request")]
    KeyConflict(String),
    /// As many jobs are queued as the setting allows.
    #[error("{limit} jobs are queued, the most that {setting} allows")]
    QueueFull {
        /// The path of the setting.
        setting: &'static str,
        /// Its value.
        limit: u32,
    },
    /// As many jobs of a key or team are in flight as its limit allows.
    #[error("the {} has as many jobs in flight as its limit allows", .0.subject)]
    InFlight(InFlightLimit),
    /// A budget has not enough left.
    #[error(transparent)]
    Budget(Box<BudgetExceeded>),
    /// The database failed.
    #[error("the job database failed: {0}")]
    Unavailable(String),
    /// The disk of the database is full or read-only.
    #[error("the job database cannot be written: {0}")]
    NotWritable(String),
    /// A row cannot be read.
    #[error("the stored job `{id}` cannot be read: {why}")]
    Corrupt {
        /// The id of the row.
        id: String,
        /// The reason why it cannot be read.
        why: String,
    },
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::KeyConflict(key) => Self::IdempotencyConflict(key),
            StoreError::Budget(exceeded) => Self::BudgetExceeded(exceeded),
            StoreError::QueueFull { setting, limit } => Self::QueueFull { what: "videos", setting, limit },
            StoreError::InFlight(InFlightLimit { subject, owners: _, limit }) => {
                Self::LimitExceeded(Box::new(LimitExceeded {
                    subject,
                    limit: "jobs_in_flight",
                    value: limit,
                    retry_after: IN_FLIGHT_DELAY,
                }))
            }
            StoreError::Corrupt { id, why } => Self::VideoUnreadable { id, why },
            error @ StoreError::Unavailable(_) => Self::Storage(error.to_string()),
            error @ StoreError::NotWritable(_) => Self::StorageNotWritable(error.to_string()),
            error @ StoreError::Stale => Self::Internal(error.to_string()),
        }
    }
}

/// Whether a call repeats the call that created the job under its idempotency key.
enum KeyMatch {
    /// It repeats that call.
    Repetition,
    /// No job has the key, or its job gives it up: it has expired, or the call cannot be a repetition.
    Free,
}

/// Compares the key of a stored job with a call in the same scope.
fn match_key(key: Option<&JobKey>, call: &Idempotency, now: Timestamp) -> Result<KeyMatch, StoreError> {
    let Some(key) = key else { return Ok(KeyMatch::Free) };
    let expired = key.expires_at.is_some_and(|expires_at| expires_at <= now);
    if expired || !call.may_be_repetition {
        return Ok(KeyMatch::Free);
    }
    if key.fingerprint != call.fingerprint {
        return Err(StoreError::KeyConflict(call.scope.explicit_key().to_owned()));
    }
    Ok(KeyMatch::Repetition)
}
