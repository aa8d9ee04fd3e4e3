//! The main loop of a runner under one lease: claims due jobs, polls parked renders, and runs their steps in tasks. A parked render
//! is a claimed job between two polls.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt, future, stream};
use tokio::{
    task::{JoinError, JoinSet},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::{
    clock_watch::ClockWatch,
    lease::WorkerLease,
    parked::{Parked, ParkedRenders},
    shared::{Shared, StepStart},
    step::{self, ClaimEnd, Ended},
};
use crate::{
    metrics,
    video::{
        job::JobId,
        store::{BusyProviders, Change, ChangeKind, Changes, Claim, Renewed, StoreError},
        time::Timestamp,
    },
};

/// The maximum wait between two claims. This process is not notified of jobs that other nodes create or release.
const MAX_IDLE: Duration = Duration::from_secs(5);

/// The minimum wait between two claims, which prevents a busy loop if another node claims the due jobs first.
const MIN_IDLE: Duration = Duration::from_millis(10);

/// The most jobs that are claimed at once.
const MAX_BATCH: usize = 16;

/// The interval at which a provider without a free slot is checked.
const SLOT_INTERVAL: Duration = Duration::from_millis(250);

/// The longest plausible remainder of any lease, in lease periods of this process. Other processes can be configured with a longer
/// period.
const MAX_LEASE_PERIODS: u32 = 10;

/// How long the runner waits after a failure of the database.
pub(super) const FAILURE_DELAY: Duration = Duration::from_secs(1);

/// The maximum number of concurrent releases.
const MAX_CONCURRENT_RELEASES: usize = 64;

/// The state of a runner under one lease.
pub(super) struct Session<'a> {
    shared: &'a Arc<Shared>,
    /// Ends claiming.
    stop: &'a CancellationToken,
    lease: WorkerLease,
    /// The changes of all jobs by this process.
    changes: Changes,
    parked: ParkedRenders,
    /// The jobs with a step in progress, each with whether a caller has amended it (cancelled or deleted it) since the step started.
    active: HashMap<JobId, bool>,
    /// Claims to release. A failed release is retried, because no other worker can claim the job until the lease ends.
    released: Vec<Claim>,
    /// Which claims would find nothing. Any change of a job that this process learns of resets it. `None` if a claim may succeed.
    idle: Option<Idle>,
    /// How many jobs are claimed at once.
    batch: usize,
    clock: ClockWatch,
}

/// No job of other providers than these can be claimed before this time.
#[derive(Debug)]
struct Idle {
    busy: BusyProviders,
    until: Timestamp,
}

impl<'a> Session<'a> {
    pub(super) fn new(shared: &'a Arc<Shared>, stop: &'a CancellationToken, lease: WorkerLease) -> Self {
        // Subscribed before the first claim: a job that is created in between wakes the runner.
        let changes = shared.queue.changes();
        Self {
            shared,
            stop,
            lease,
            changes,
            parked: ParkedRenders::default(),
            active: HashMap::new(),
            released: Vec::new(),
            idle: None,
            batch: 1,
            clock: ClockWatch::new(shared.queue.now()),
        }
    }

    /// Runs the steps of jobs until the runner stops or the lease is lost. `steps` may contain steps that started under an earlier
    /// lease.
    pub(super) async fn run(mut self, steps: &mut JoinSet<Ended>) {
        let (stop, lost) = (self.stop.clone(), self.lease.lost.clone());
        let now = self.shared.queue.now();
        // The clock may have been set back while no process ran. Due times beyond any deadline, and leases longer than
        // MAX_LEASE_PERIODS, are left over from the old clock.
        let settings = &self.shared.jobs.settings;
        self.bound_times(now.after(settings.deadline), now.after(settings.lease * MAX_LEASE_PERIODS)).await;
        while !stop.is_cancelled() && !lost.is_cancelled() {
            self.correct_clock().await;
            self.release().await;
            let idle = if self.released.is_empty() { self.fill(steps).await } else { FAILURE_DELAY };
            tokio::select! {
                () = stop.cancelled() => {}
                () = lost.cancelled() => {}
                changed = self.changes.next() => self.handle_changes(changed),
                renewed = self.lease.renewed() => self.handle_renewal(renewed),
                Some(ended) = steps.join_next() => self.handle_all_ended(ended, steps),
                () = sleep(idle) => {}
            }
        }
        if lost.is_cancelled() {
            return;
        }
        self.released.extend(self.parked.drain());
        self.release().await;
        while let Some(ended) = steps.join_next().await {
            self.handle_ended(ended);
            self.released.extend(self.parked.drain());
            self.release().await;
        }
        if let Err(error) = self.shared.queue.deregister(&self.lease.worker).await {
            tracing::warn!("the runner could not end its lease, which will expire: {error}");
        }
    }

    /// Makes all waiting jobs due if the clock was set back, because the time that they have waited is unknown.
    async fn correct_clock(&mut self) {
        let now = self.shared.queue.now();
        if self.clock.was_set_back(now) {
            tracing::warn!("the clock was set back; all unfinished videos are polled now");
            self.parked.make_due(now);
            self.idle = None;
            self.bound_times(now, now.after(self.shared.jobs.settings.lease)).await;
        }
    }

    /// Moves later due times and leases of stored jobs back to these limits.
    async fn bound_times(&self, latest_due: Timestamp, latest_lease: Timestamp) {
        if let Err(error) = self.shared.queue.bound_times(latest_due, latest_lease).await {
            tracing::warn!("due times and leases could not be checked against the clock: {error}");
        }
    }

    /// Starts steps for due polls and claimed jobs in turn, until no more can start. Returns how long nothing will be due.
    async fn fill(&mut self, steps: &mut JoinSet<Ended>) -> Duration {
        loop {
            let now = self.shared.queue.now();
            let has_poll = self.start_polls(steps, now);
            if self.stop.is_cancelled() || self.lease.lost.is_cancelled() {
                return Duration::ZERO;
            }
            let claimed = self.claim(now).await;
            let has_claim = !claimed.is_empty();
            let mut has_failed = false;
            for claim in claimed {
                match claim {
                    Ok(claim) => match self.shared.reserve(&claim.job) {
                        Some(reservation) => self.start(steps, claim, reservation),
                        // The last slot was taken by another claim, or since the check; the next claim leaves this provider out.
                        None => self.released.push(claim),
                    },
                    // The store does not return a corrupt job again for some minutes.
                    Err(error @ StoreError::Corrupt { .. }) => tracing::error!("{error}"),
                    Err(error) => {
                        tracing::error!("no jobs can be claimed: {error}");
                        has_failed = true;
                    }
                }
            }
            if !self.released.is_empty() {
                self.batch = 1;
                self.release().await;
            }
            if has_failed {
                return FAILURE_DELAY;
            }
            if !has_claim && !has_poll {
                return self.time_to_next();
            }
        }
    }

    /// Starts as many due polls as jobs are claimed at once. Returns whether there were any.
    fn start_polls(&mut self, steps: &mut JoinSet<Ended>, now: Timestamp) -> bool {
        for started in 0..self.batch {
            let Some(claim) = self.parked.take_due(now, &self.shared.providers_with_busy_polls()) else {
                return started > 0;
            };
            if let Some(due) = claim.job.due_at {
                metrics::poll_lag(now.since(due));
            }
            let reservation = self.shared.begin_poll(&claim.job);
            self.start(steps, claim, reservation);
        }
        true
    }

    /// Claims jobs, unless it is known that there is none. Several are claimed at once if there were several before.
    async fn claim(&mut self, now: Timestamp) -> Vec<Result<Claim, StoreError>> {
        let busy = self.shared.busy_providers();
        if self.idle.as_ref().is_some_and(|idle| now < idle.until && busy.includes(&idle.busy)) {
            return Vec::new();
        }
        let queue = &self.shared.queue;
        let wanted = self.batch.min(self.shared.room()).max(1);
        let mut claimed = match queue.claim_several(&self.lease.worker, &busy, wanted).await {
            Ok(claimed) => claimed,
            Err(error) => vec![Err(error)],
        };
        if claimed.len() == wanted {
            self.batch = (2 * self.batch).min(MAX_BATCH);
            return claimed;
        }
        // No other job can be claimed now.
        self.batch = 1;
        let due = match queue.next_due(&busy).await {
            Ok(due) => due,
            Err(error) => {
                claimed.push(Err(error));
                return claimed;
            }
        };
        let max = if busy == BusyProviders::default() { MAX_IDLE } else { SLOT_INTERVAL };
        let wait = due.map_or(max, |due| due.since(now).clamp(MIN_IDLE, max));
        self.idle = Some(Idle { busy, until: now.after(wait) });
        claimed
    }

    /// Returns the time until the next claim or poll.
    fn time_to_next(&self) -> Duration {
        let now = self.shared.queue.now();
        let claim = self.idle.as_ref().map_or(MAX_IDLE, |idle| idle.until.since(now));
        let poll = self.parked.next_due(&self.shared.providers_with_busy_polls());
        poll.map_or(claim, |due| due.since(now).min(claim))
    }

    fn start(&mut self, steps: &mut JoinSet<Ended>, claim: Claim, reservation: StepStart) {
        self.active.insert(claim.job.id.clone(), false);
        let (shared, id, lost) = (Arc::clone(self.shared), self.lease.worker.clone(), self.lease.lost.clone());
        steps.spawn(step::run(shared, id, lost, claim, reservation));
    }

    /// Handles a step that has ended, and all others that have ended by now: steps whose commits share a transaction end together. The
    /// next claim takes up to as many jobs at once.
    fn handle_all_ended(&mut self, first: Result<Ended, JoinError>, steps: &mut JoinSet<Ended>) {
        let mut count = 0;
        let mut ended = Some(first);
        while let Some(step) = ended {
            self.handle_ended(step);
            count += 1;
            ended = steps.try_join_next();
        }
        self.batch = self.batch.max(count).min(MAX_BATCH);
    }

    /// Keeps a render for its next poll, unless a caller has amended the job during the step.
    fn handle_ended(&mut self, ended: Result<Ended, JoinError>) {
        log_panic(&ended);
        let Ok(Ended { id, worker, claim }) = ended else { return };
        if worker != self.lease.worker {
            return;
        }
        let amended = self.active.remove(&id).unwrap_or_default();
        match claim {
            ClaimEnd::Park(parked) if !amended => self.parked.insert(parked),
            ClaimEnd::Park(Parked { claim, .. }) | ClaimEnd::Release(claim) => self.released.push(claim),
            // The released job may be due already, and this runner may claim it, too.
            ClaimEnd::Released => self.idle = None,
        }
    }

    /// Handles a change and all changes queued after it, so that a burst causes one claim. Ignores the commits of lease holders.
    fn handle_changes(&mut self, first: Option<Change>) {
        let mut amended = Vec::new();
        let mut change = Some(first);
        while let Some(next) = change {
            match next {
                Some(next) if next.kind == ChangeKind::Committed => {}
                Some(next) if next.kind == ChangeKind::Created => self.idle = None,
                Some(next) => {
                    self.idle = None;
                    amended.push(next.job.id.clone());
                }
                // The subscriber lagged. The next renewal of the lease returns the claimed jobs that are final.
                None => self.idle = None,
            }
            change = self.changes.next().now_or_never();
        }
        self.release_amended(amended);
    }

    fn handle_renewal(&mut self, Renewed { final_jobs, has_released }: Renewed) {
        if has_released {
            self.idle = None;
        }
        self.release_amended(final_jobs);
    }

    /// Releases the parked claims of these jobs, and marks their running steps so that they release theirs. The next claim reads
    /// the new state.
    fn release_amended(&mut self, ids: Vec<JobId>) {
        for id in ids {
            if let Some(amended) = self.active.get_mut(&id) {
                *amended = true;
            }
            self.released.extend(self.parked.remove(&id));
        }
    }

    /// Releases the claims in `released`. Those that fail stay there for the next attempt.
    async fn release(&mut self) {
        if self.released.is_empty() {
            return;
        }
        let queue = &self.shared.queue;
        let release = async |claim: Claim| match queue.release(&claim).await {
            Ok(()) => None,
            Err(error) => {
                tracing::warn!(job.id = %claim.job.id, "a job could not be released, retrying: {error}");
                Some(claim)
            }
        };
        let claims = std::mem::take(&mut self.released);
        let failed =
            stream::iter(claims).map(release).buffer_unordered(MAX_CONCURRENT_RELEASES).filter_map(future::ready);
        self.released = failed.collect().await;
        self.idle = None;
    }
}

/// Logs a panic that the `catch_unwind` of a step did not catch.
pub(super) fn log_panic<T>(ended: &Result<T, JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!("a step of a video job panicked outside of its guard: {error}");
    }
}
