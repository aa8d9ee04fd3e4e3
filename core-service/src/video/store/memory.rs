//! Jobs in memory, for tests.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;

use super::{
    AfterCommit, BusyProviders, ChangeKind, Changes, Claim, Inserted, JobChanges, JobEvent, JobLimits, JobQueue,
    JobStore, KeyMatch, Page, Renewed, StoreError, WorkerId, changes::ChangeFeed, match_key, turns::Turns,
};
use crate::{
    idempotency::Idempotency,
    keys::{Owner, Owners},
    priority::Priority,
    video::{
        job::{Job, JobId},
        provider::UpstreamTask,
        state::Phase,
        time::{Clock, Timestamp},
    },
};

/// A store that keeps jobs as long as the process lives. It checks no budgets.
#[derive(Debug, Default)]
pub struct MemoryStore {
    // A std mutex: never held across an await.
    rows: Arc<Mutex<BTreeMap<JobId, Row>>>,
    /// The ends of the leases.
    workers: Arc<Mutex<HashMap<WorkerId, Timestamp>>>,
    clock: Clock,
    feed: ChangeFeed,
    /// The order in which priorities and owners are served.
    turns: Turns,
}

#[derive(Debug)]
struct Row {
    job: Job,
    events: Vec<JobEvent>,
    /// The worker that has claimed the job.
    worker: Option<WorkerId>,
    fence: i64,
}

impl MemoryStore {
    /// Creates an empty store.
    pub fn new(clock: Clock) -> Self {
        Self { clock, ..Self::default() }
    }

    /// Returns a store over the same jobs that publishes its changes to its own subscribers, like another node.
    #[cfg(test)]
    pub(crate) fn other_node(&self) -> Self {
        let (rows, workers) = (Arc::clone(&self.rows), Arc::clone(&self.workers));
        Self { rows, workers, clock: self.clock.clone(), ..Self::default() }
    }

    #[cfg(test)]
    pub(crate) fn subscribed_jobs(&self) -> usize {
        self.feed.subscribed_jobs()
    }

    fn rows(&self) -> MutexGuard<'_, BTreeMap<JobId, Row>> {
        // Every change is a single assignment, so a panic elsewhere leaves no half-written row.
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn workers(&self) -> MutexGuard<'_, HashMap<WorkerId, Timestamp>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Releases the jobs of workers whose lease has expired. Returns whether there were any.
    fn release_orphans(&self, workers: &mut HashMap<WorkerId, Timestamp>) -> bool {
        let now = self.now();
        let mut has_released = false;
        workers.retain(|_, until| *until > now);
        for row in self.rows().values_mut() {
            if row.worker.as_ref().is_some_and(|worker| !workers.contains_key(worker)) {
                row.worker = None;
                row.fence += 1;
                has_released = true;
            }
        }
        has_released
    }

    /// Writes the row of a claimed job, unless the claim is outdated.
    fn leased<T>(&self, claim: &Claim, write: impl FnOnce(&mut Row) -> T) -> Result<T, StoreError> {
        let mut rows = self.rows();
        let row = rows.get_mut(&claim.job.id).filter(|row| row.fence == claim.fence);
        row.map(write).ok_or(StoreError::Stale)
    }

    /// Claims the next job, if there is one.
    fn claim_next(&self, worker: &WorkerId, busy: &BusyProviders) -> Option<Claim> {
        let now = self.now();
        let queued_first = self.turns.queued_first();
        let mut rows = self.rows();
        let is_due = |row: &Row| row.job.due_at.is_some_and(|due| due <= now) && row.is_claimable(busy);
        let waits = |priority| rows.values().any(|row| row.is_queued() && row.job.priority == priority && is_due(row));
        let waiting: Vec<_> = Priority::DESCENDING.into_iter().filter(|priority| waits(*priority)).collect();
        let priority = self.turns.next_priority(&waiting);
        let last = self.turns.last_owner(priority.unwrap_or_default());
        let has_turn = |row: &&mut Row| is_due(row) && (!row.is_queued() || Some(row.job.priority) == priority);
        rows.values_mut().filter(has_turn).min_by_key(|row| row.claim_order(queued_first, &last)).map(|row| {
            row.fence += 1;
            row.worker = Some(worker.clone());
            if row.is_queued() {
                self.turns.record_claim(&row.job, &waiting);
            }
            Claim { job: row.job.clone(), fence: row.fence }
        })
    }
}

impl Row {
    fn write(&mut self, next: Job, now: Timestamp) {
        self.events.extend(JobEvent::from_change(Some(&self.job), &next, now));
        // The key is only ever removed: between the read and this write a later call may have taken it over.
        let key = next.key.as_ref().and(self.job.key.take());
        self.job = Job { key, ..next };
    }

    fn is_queued(&self) -> bool {
        self.job.state.phase() == Phase::Queued
    }

    fn is_claimable(&self, busy: &BusyProviders) -> bool {
        let busy = if self.is_queued() { &busy.submissions } else { &busy.steps };
        self.worker.is_none() && !busy.contains(&self.job.request.provider_id)
    }

    /// Returns the sort key of a due job in the order of claims. Queued jobs and jobs in progress take turns to be first. Queued jobs,
    /// which all have the same priority here, follow the names of their owners, from the one after `last`, and then their due times.
    fn claim_order(&self, queued_first: bool, last: &Owner) -> (bool, bool, String, Option<Timestamp>) {
        let Job { owner, due_at, .. } = &self.job;
        if self.is_queued() {
            (!queued_first, owner.as_str() <= last.as_str(), owner.as_str().to_owned(), *due_at)
        } else {
            (queued_first, false, String::new(), *due_at)
        }
    }

    fn has_key(&self, call: &Idempotency) -> bool {
        let key = self.job.key.as_ref();
        self.job.owner == call.scope.owner && key.is_some_and(|key| key.key == call.scope.key)
    }
}

#[async_trait]
impl JobStore for MemoryStore {
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
        let now = self.now();
        let mut rows = self.rows();
        if let Some(call) = call
            && let Some(row) = rows.values_mut().find(|row| row.has_key(call))
        {
            match match_key(row.job.key.as_ref(), call, now)? {
                KeyMatch::Repetition => return Ok(Inserted::Existing(Box::new(row.job.clone()))),
                KeyMatch::Free => row.job.key = None,
            }
        }
        let queued = |owner: Option<&Owner>| {
            let jobs = rows.values().map(|row| &row.job).filter(|job| job.state.phase() == Phase::Queued);
            jobs.filter(|job| owner.is_none_or(|owner| job.owner == *owner)).count() as u64
        };
        limits.check(queued(Some(&job.owner)), queued(None))?;
        let is_in_flight = |job: &Job, owners: &[Owner]| !job.state.is_final() && owners.contains(&job.owner);
        for limit in &limits.in_flight {
            let in_flight = rows.values().filter(|row| is_in_flight(&row.job, &limit.owners)).count();
            if in_flight >= limit.limit as usize {
                return Err(StoreError::InFlight(limit.clone()));
            }
        }
        let events = JobEvent::from_change(None, job, now).into_iter().collect();
        rows.insert(job.id.clone(), Row { job: job.clone(), events, worker: None, fence: 0 });
        drop(rows);
        self.feed.publish(job, ChangeKind::Created);
        Ok(Inserted::New)
    }

    async fn get(&self, id: &JobId, owners: &Owners) -> Result<Option<Job>, StoreError> {
        let rows = self.rows();
        Ok(rows.get(id).map(|row| &row.job).filter(|job| !job.deleted && owners.include(&job.owner)).cloned())
    }

    async fn contains(&self, id: &JobId) -> Result<bool, StoreError> {
        Ok(self.rows().get(id).is_some_and(|row| !row.job.deleted))
    }

    async fn find(&self, call: &Idempotency) -> Result<Option<Job>, StoreError> {
        let rows = self.rows();
        let Some(row) = rows.values().find(|row| row.has_key(call)) else { return Ok(None) };
        Ok(match match_key(row.job.key.as_ref(), call, self.now())? {
            KeyMatch::Repetition => Some(row.job.clone()),
            KeyMatch::Free => None,
        })
    }

    async fn list(&self, page: &Page) -> Result<Vec<Job>, StoreError> {
        let Page { limit, after, oldest_first, .. } = page;
        let rows = self.rows();
        let visible = |job: &&Job| page.matches(job);
        let limit = *limit as usize;
        let mut jobs: Vec<Job> = if *oldest_first {
            let behind = |job: &&Job| after.as_ref().is_none_or(|after| job.id > *after);
            rows.values().map(|row| &row.job).filter(visible).filter(behind).take(limit).cloned().collect()
        } else {
            let behind = |job: &&Job| after.as_ref().is_none_or(|after| job.id < *after);
            rows.values().rev().map(|row| &row.job).filter(visible).filter(behind).take(limit).cloned().collect()
        };
        for job in &mut jobs {
            job.request.parameters.extra_json.clear();
        }
        Ok(jobs)
    }

    async fn queue_positions(&self, ids: &[JobId]) -> Result<Vec<u32>, StoreError> {
        let rows = self.rows();
        let position = |id: &JobId| rows.range(..id).filter(|(_, row)| row.is_queued()).count();
        Ok(ids.iter().map(|id| u32::try_from(position(id)).unwrap_or(u32::MAX)).collect())
    }

    async fn amend(&self, before: &Job, next: &Job) -> Result<(), StoreError> {
        let next = &next.clone().with_charge_settled();
        let now = self.now();
        let mut rows = self.rows();
        let row = rows.get_mut(&next.id).filter(|row| row.job.revision == before.revision);
        row.map(|row| row.write(next.clone(), now)).ok_or(StoreError::Stale)?;
        drop(rows);
        self.feed.publish(next, ChangeKind::Amended);
        Ok(())
    }

    async fn remove_unreadable(&self, _: &JobId, _: &Owners) -> Result<bool, StoreError> {
        // All jobs in memory can be read.
        Ok(false)
    }

    async fn events(&self, id: &JobId) -> Result<Vec<JobEvent>, StoreError> {
        Ok(self.rows().get(id).map(|row| row.events.clone()).unwrap_or_default())
    }
}

#[async_trait]
impl JobQueue for MemoryStore {
    async fn register(&self, worker: &WorkerId, lease: Duration) -> Result<(), StoreError> {
        let mut workers = self.workers();
        workers.insert(worker.clone(), self.now().after(lease));
        self.release_orphans(&mut workers);
        Ok(())
    }

    async fn renew(&self, worker: &WorkerId, lease: Duration) -> Result<Renewed, StoreError> {
        let mut workers = self.workers();
        *workers.get_mut(worker).ok_or(StoreError::Stale)? = self.now().after(lease);
        let has_released = self.release_orphans(&mut workers);
        let rows = self.rows();
        let claimed = rows.values().filter(|row| row.worker.as_ref() == Some(worker));
        let final_jobs = claimed.filter(|row| row.job.state.is_final()).map(|row| row.job.id.clone()).collect();
        Ok(Renewed { final_jobs, has_released })
    }

    async fn deregister(&self, worker: &WorkerId) -> Result<(), StoreError> {
        let mut workers = self.workers();
        workers.remove(worker);
        self.release_orphans(&mut workers);
        Ok(())
    }

    async fn bound_times(&self, latest_due: Timestamp, latest_lease: Timestamp) -> Result<(), StoreError> {
        let now = self.now();
        for until in self.workers().values_mut() {
            *until = latest_lease.min(*until);
        }
        for Row { job, .. } in self.rows().values_mut() {
            if job.due_at.is_some_and(|due| due > latest_due) && (!job.state.is_final() || job.abandoned.is_some()) {
                job.due_at = Some(now);
            }
        }
        Ok(())
    }

    async fn claim_several(
        &self,
        worker: &WorkerId,
        busy: &BusyProviders,
        max: usize,
    ) -> Result<Vec<Result<Claim, StoreError>>, StoreError> {
        Ok(std::iter::from_fn(|| self.claim_next(worker, busy)).take(max).map(Ok).collect())
    }

    async fn next_due(&self, busy: &BusyProviders) -> Result<Option<Timestamp>, StoreError> {
        let rows = self.rows();
        Ok(rows.values().filter(|row| row.is_claimable(busy)).filter_map(|row| row.job.due_at).min())
    }

    async fn read(&self, id: &JobId) -> Result<Option<Job>, StoreError> {
        Ok(self.rows().get(id).map(|row| row.job.clone()))
    }

    async fn has_render(&self, provider_id: &str, task: &UpstreamTask, id: &JobId) -> Result<bool, StoreError> {
        let is_other = |job: &Job| job.id != *id && job.request.provider_id == provider_id;
        Ok(self.rows().values().any(|row| is_other(&row.job) && row.job.state.task() == Some(task)))
    }

    async fn commit(&self, claim: &Claim, next: Job, then: AfterCommit) -> Result<Claim, StoreError> {
        let next = next.with_charge_settled();
        let now = self.now();
        let committed = self.leased(claim, |row| {
            if row.job.revision != claim.job.revision {
                return Err(StoreError::Stale);
            }
            row.write(next.clone(), now);
            if then == AfterCommit::ReleaseLease {
                row.worker = None;
            }
            Ok(Claim { job: next, fence: claim.fence })
        })??;
        if committed.job.revision != claim.job.revision {
            self.feed.publish(&committed.job, ChangeKind::Committed);
        }
        Ok(committed)
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        match self.leased(claim, |row| row.worker = None) {
            Ok(()) | Err(StoreError::Stale) => Ok(()),
            Err(error) => Err(error),
        }
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
