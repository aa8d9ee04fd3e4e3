//! Where jobs are kept. A row is the job and its place in the queue at once.
//!
//! Two guards make races harmless. The *fence* grows with every claim: whoever lost the lease, frozen or slow, writes
//! nothing any more. The *revision* grows with every change: a cancel that came between reading and writing is not overrun.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use uuid::Uuid;

use super::{
    job::{Job, JobId},
    time::Timestamp,
};
use crate::error::Error;

#[cfg(test)]
pub(crate) mod conformance;
pub mod memory;
mod row;
pub mod sqlite;

/// A store of jobs. Every implementation passes the conformance suite.
#[async_trait]
pub trait JobStore: fmt::Debug + Send + Sync {
    /// Keeps a new job. Once this answers it survives a crash and a power cut.
    ///
    /// # Errors
    /// `KeyConflict`, if its key was used with another request.
    async fn insert(&self, job: &Job) -> Result<Inserted, StoreError>;

    /// The job, unless it is deleted.
    async fn get(&self, id: &JobId) -> Result<Option<Job>, StoreError>;

    /// The job created under this key.
    async fn find(&self, key: &str) -> Result<Option<Job>, StoreError>;

    /// A page of jobs by the time of creation, without the deleted ones.
    async fn list(&self, page: &Page) -> Result<Vec<Job>, StoreError>;

    /// How many queued jobs were created before this one.
    async fn ahead(&self, id: &JobId) -> Result<u32, StoreError>;

    /// Leases one job that is due and that nobody holds a lease on, the one due longest first. Deleted ones are handed out
    /// too, to be purged.
    async fn claim(&self, worker: &WorkerId, now: Timestamp, lease: Duration) -> Result<Option<Claim>, StoreError>;

    /// When the next job can be claimed, which may be in the past. `None`: no job wants a step.
    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError>;

    /// Writes the claimed job as `next`, and gives the lease back unless it is kept for another step.
    ///
    /// # Errors
    /// `Stale`, if the lease went to somebody else or the job was changed meanwhile; then nothing is written.
    async fn commit(&self, claim: &Claim, next: Job, then: Lease) -> Result<Claim, StoreError>;

    /// Prolongs a lease.
    ///
    /// # Errors
    /// `Stale`, if the lease went to somebody else.
    async fn renew(&self, claim: &Claim, until: Timestamp) -> Result<(), StoreError>;

    /// Gives a lease back without writing anything else. One that was lost already is no error.
    async fn release(&self, claim: &Claim) -> Result<(), StoreError>;

    /// Writes a change that wins over whoever holds the lease. `next.revision` is one more than the one that was read.
    ///
    /// # Errors
    /// `Stale`, if the job was changed meanwhile; then nothing is written.
    async fn amend(&self, next: &Job) -> Result<(), StoreError>;

    /// Forgets a claimed job for good.
    ///
    /// # Errors
    /// `Stale`, if the lease went to somebody else.
    async fn purge(&self, claim: &Claim) -> Result<(), StoreError>;
}

/// What became of an insert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inserted {
    /// The job is new.
    New,
    /// The same request came under the same key before; this is its job.
    Known(Box<Job>),
}

/// Whether a commit gives the lease back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease {
    /// Another step follows at once.
    Kept,
    /// The job rests until it is due.
    Ended,
}

/// Who holds leases: one for each start of a runner.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WorkerId(String);

impl WorkerId {
    /// A name nobody else has.
    pub fn new() -> Self {
        Self(Uuid::new_v4().simple().to_string())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for WorkerId {
    fn default() -> Self {
        Self::new()
    }
}

/// A leased job as it was read, and the right to move it while nobody else claims it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The job.
    pub job: Job,
    /// The number of this lease.
    pub fence: i64,
}

/// Which jobs to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// How many at most.
    pub limit: u32,
    /// Begins behind this one, whether it still exists or not.
    pub after: Option<JobId>,
    /// Oldest first instead of newest first.
    pub oldest_first: bool,
}

/// Why a store did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Somebody else was faster; nothing was written.
    #[error("the job was changed meanwhile")]
    Stale,
    /// The key was used with another request.
    #[error("the idempotency key `{0}` was used before with a different request")]
    KeyConflict(String),
    /// The database failed.
    #[error("the job database failed: {0}")]
    Unavailable(String),
    /// A row makes no sense.
    #[error("the stored job `{id}` cannot be read: {why}")]
    Corrupt {
        /// The row.
        id: String,
        /// What is wrong with it.
        why: String,
    },
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::KeyConflict(key) => Self::IdempotencyConflict(key),
            error @ StoreError::Unavailable(_) => Self::Storage(error.to_string()),
            error @ (StoreError::Stale | StoreError::Corrupt { .. }) => Self::Internal(error.to_string()),
        }
    }
}
