//! Jobs in memory: for tests, and for a service that may forget.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;

use super::{Claim, Inserted, JobStore, Lease, Page, StoreError, WorkerId};
use crate::video::{
    job::{Job, JobId},
    state::Phase,
    time::Timestamp,
};

/// Keeps jobs for as long as the process lives.
#[derive(Debug, Default)]
pub struct MemoryStore {
    // A std mutex: no await happens under it.
    rows: Mutex<BTreeMap<JobId, Row>>,
}

#[derive(Debug)]
struct Row {
    job: Job,
    lease_until: Timestamp,
    fence: i64,
}

const FREE: Timestamp = Timestamp(0);

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn rows(&self) -> MutexGuard<'_, BTreeMap<JobId, Row>> {
        // Every change is a single assignment, so a panic elsewhere leaves no half-written row.
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leased<T>(&self, claim: &Claim, write: impl FnOnce(&mut Row) -> T) -> Result<T, StoreError> {
        let mut rows = self.rows();
        let row = rows.get_mut(&claim.job.id).filter(|row| row.fence == claim.fence);
        row.map(write).ok_or(StoreError::Stale)
    }
}

#[async_trait]
impl JobStore for MemoryStore {
    async fn insert(&self, job: &Job) -> Result<Inserted, StoreError> {
        let mut rows = self.rows();
        if let Some(key) = &job.key {
            let known = rows.values().find_map(|row| {
                let used = row.job.key.as_ref().filter(|used| used.text == key.text)?;
                Some((used.fingerprint == key.fingerprint, row.job.clone()))
            });
            match known {
                Some((true, job)) => return Ok(Inserted::Known(Box::new(job))),
                Some((false, _)) => return Err(StoreError::KeyConflict(key.text.clone())),
                None => {}
            }
        }
        rows.insert(job.id.clone(), Row { job: job.clone(), lease_until: FREE, fence: 0 });
        Ok(Inserted::New)
    }

    async fn get(&self, id: &JobId) -> Result<Option<Job>, StoreError> {
        Ok(self.rows().get(id).map(|row| &row.job).filter(|job| !job.deleted).cloned())
    }

    async fn find(&self, key: &str) -> Result<Option<Job>, StoreError> {
        let rows = self.rows();
        let found = rows.values().find(|row| row.job.key.as_ref().is_some_and(|used| used.text == key));
        Ok(found.map(|row| row.job.clone()))
    }

    async fn list(&self, page: &Page) -> Result<Vec<Job>, StoreError> {
        let rows = self.rows();
        let limit = page.limit as usize;
        let shown = |row: &&Row| !row.job.deleted;
        Ok(if page.oldest_first {
            let behind = |row: &&Row| page.after.as_ref().is_none_or(|after| row.job.id > *after);
            rows.values().filter(shown).filter(behind).take(limit).map(|row| row.job.clone()).collect()
        } else {
            let behind = |row: &&Row| page.after.as_ref().is_none_or(|after| row.job.id < *after);
            rows.values().rev().filter(shown).filter(behind).take(limit).map(|row| row.job.clone()).collect()
        })
    }

    async fn ahead(&self, id: &JobId) -> Result<u32, StoreError> {
        let rows = self.rows();
        let before = rows.range(..id).filter(|(_, row)| row.job.state.phase() == Phase::Queued);
        Ok(u32::try_from(before.count()).unwrap_or(u32::MAX))
    }

    async fn claim(&self, _: &WorkerId, now: Timestamp, lease: Duration) -> Result<Option<Claim>, StoreError> {
        let mut rows = self.rows();
        let free =
            rows.values_mut().filter(|row| row.job.due_at.is_some_and(|due| due <= now) && row.lease_until <= now);
        Ok(free.min_by_key(|row| row.job.due_at).map(|row| {
            row.fence += 1;
            row.lease_until = now.after(lease);
            Claim { job: row.job.clone(), fence: row.fence }
        }))
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.rows().values().filter_map(|row| row.job.due_at.map(|due| due.max(row.lease_until))).min())
    }

    async fn commit(&self, claim: &Claim, next: Job, then: Lease) -> Result<Claim, StoreError> {
        self.leased(claim, |row| {
            if row.job.revision != claim.job.revision {
                return Err(StoreError::Stale);
            }
            row.job = next.clone();
            if then == Lease::Ended {
                row.lease_until = FREE;
            }
            Ok(Claim { job: next, fence: claim.fence })
        })?
    }

    async fn renew(&self, claim: &Claim, until: Timestamp) -> Result<(), StoreError> {
        self.leased(claim, |row| row.lease_until = until)
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        match self.leased(claim, |row| row.lease_until = FREE) {
            Ok(()) | Err(StoreError::Stale) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn amend(&self, next: &Job) -> Result<(), StoreError> {
        let mut rows = self.rows();
        let row = rows.get_mut(&next.id).filter(|row| row.job.revision + 1 == next.revision);
        row.map(|row| row.job = next.clone()).ok_or(StoreError::Stale)
    }

    async fn purge(&self, claim: &Claim) -> Result<(), StoreError> {
        let mut rows = self.rows();
        match rows.get(&claim.job.id) {
            Some(row) if row.fence == claim.fence => drop(rows.remove(&claim.job.id)),
            Some(_) | None => return Err(StoreError::Stale),
        }
        Ok(())
    }
}
