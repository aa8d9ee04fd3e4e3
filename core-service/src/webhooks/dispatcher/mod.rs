//! The background task that turns the events in the outbox (rows that the job store writes when a job changes) into deliveries and
//! sends them.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::{
    sync::Notify,
    task::{Id, JoinHandle, JoinSet},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{attempts::Attempts, event, store::Claim};
use crate::{
    error::Error,
    video::store::{Changes, JobStore},
};

/// The longest time between two reads of the outbox, for events of other processes.
const MAX_IDLE: Duration = Duration::from_secs(5);

/// The shortest such time: a delivery that another process has just claimed must not cause a busy loop.
const MIN_IDLE: Duration = Duration::from_millis(10);

/// How long the dispatcher waits after a failure of the database.
const FAILURE_DELAY: Duration = Duration::from_secs(1);

/// The interval at which old deliveries are removed.
const REMOVAL_INTERVAL: Duration = Duration::from_hours(1);

/// One lane (the deliveries to one endpoint, or to the callbacks of one host) may have this fraction of the attempts in flight:
/// one in four.
const LANE_SHARE: usize = 4;

/// Sends the deliveries of a store.
#[derive(Debug)]
pub struct Dispatcher {
    attempts: Attempts,
    max_in_flight: usize,
    wake: Arc<Notify>,
    stop: CancellationToken,
    in_flight: InFlight,
    next_removal: Instant,
}

/// The attempts in flight, with their claims.
#[derive(Debug, Default)]
struct InFlight {
    tasks: JoinSet<()>,
    claims: HashMap<Id, Claim>,
}

/// A running [`Dispatcher`]. Dropping it aborts the attempts in flight and leaves their leases to expire, as a crash does.
#[derive(Debug)]
pub struct DispatcherHandle {
    stop: CancellationToken,
    interrupt: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl Dispatcher {
    /// Starts to deliver the events of `jobs`, including those that a previous process left. `wake` is notified
    /// when a delivery may be due.
    pub fn start(attempts: Attempts, jobs: &dyn JobStore, max_in_flight: usize, wake: Arc<Notify>) -> DispatcherHandle {
        let (stop, interrupt) = (CancellationToken::new(), CancellationToken::new());
        // Subscribed before the first read: an event in between wakes the dispatcher.
        let changes = jobs.changes();
        let dispatcher = Self {
            attempts,
            max_in_flight,
            wake,
            stop: stop.clone(),
            in_flight: InFlight::default(),
            next_removal: Instant::now(),
        };
        let task = tokio::spawn(dispatcher.run(changes, interrupt.clone()));
        DispatcherHandle { stop, interrupt, task: Some(task) }
    }

    async fn run(mut self, mut changes: Changes, interrupt: CancellationToken) {
        let stop = self.stop.clone();
        while !stop.is_cancelled() {
            let idle = self.pass().await.unwrap_or_else(|error| {
                tracing::error!("no webhooks can be delivered: {error}");
                FAILURE_DELAY
            });
            tokio::select! {
                () = stop.cancelled() => {}
                () = ended(&mut changes) => {}
                () = self.wake.notified() => {}
                () = self.in_flight.finished() => {}
                () = sleep(idle) => {}
            }
        }
        while !self.in_flight.tasks.is_empty() {
            tokio::select! {
                () = self.in_flight.finished() => {}
                () = interrupt.cancelled() => return self.release_all().await,
            }
        }
    }

    /// Creates the deliveries of new events, and starts the attempts that are due. Returns how long nothing else will be due.
    async fn pass(&mut self) -> Result<Duration, Error> {
        let store = self.attempts.registry.store.clone();
        if self.next_removal <= Instant::now() {
            self.next_removal = Instant::now() + REMOVAL_INTERVAL;
            let retention = self.attempts.registry.settings.load().retention;
            store.remove_completed_before(store.now().before(retention)).await?;
        }
        while store.fan_out(&self.attempts.registry.configured().await?).await? {}
        while self.in_flight.tasks.len() < self.max_in_flight {
            let busy = self.in_flight.busy_lanes(self.max_in_flight);
            // Read first: a claim would wait for the write connection, even if no delivery is due.
            let idle = store.next_due(&busy).await?.map_or(MAX_IDLE, |due| due.since(store.now()));
            if !idle.is_zero() {
                return Ok(idle.clamp(MIN_IDLE, MAX_IDLE));
            }
            let Some(claim) = store.claim(self.attempts.lease(), &busy).await? else { return Ok(MIN_IDLE) };
            self.in_flight.start(&self.attempts, claim);
        }
        Ok(MAX_IDLE)
    }

    /// Aborts the attempts in flight and releases their leases, so that the next process does not wait for their expiry.
    async fn release_all(mut self) {
        self.in_flight.tasks.shutdown().await;
        for claim in self.in_flight.claims.values() {
            if let Err(error) = self.attempts.registry.store.release(claim).await {
                tracing::warn!(
                    webhook.delivery = claim.delivery.id,
                    "the lease of a webhook was not released: {error}"
                );
            }
        }
    }
}

impl InFlight {
    fn start(&mut self, attempts: &Attempts, claim: Claim) {
        let (attempts, own) = (attempts.clone(), claim.clone());
        let task = self.tasks.spawn(async move {
            let id = own.delivery.id.clone();
            if let Err(error) = attempts.perform(own).await {
                // The delivery is sent again when its lease expires.
                tracing::error!(webhook.delivery = id, "an attempt of a webhook was not recorded: {error}");
            }
        });
        self.claims.insert(task.id(), claim);
    }

    /// Waits until an attempt has ended; forever without any in flight. Cancel safe.
    async fn finished(&mut self) {
        let id = match self.tasks.join_next_with_id().await {
            Some(Ok((id, ()))) => id,
            Some(Err(error)) => {
                if error.is_panic() {
                    tracing::error!("an attempt of a webhook panicked: {error}");
                }
                error.id()
            }
            None => std::future::pending().await,
        };
        self.claims.remove(&id);
    }

    /// Returns the lanes that have their share of the attempts in flight.
    fn busy_lanes(&self, max_in_flight: usize) -> Vec<String> {
        let mut lanes = HashMap::<_, usize>::new();
        for claim in self.claims.values() {
            *lanes.entry(&claim.delivery.lane).or_default() += 1;
        }
        let share = (max_in_flight / LANE_SHARE).max(1);
        lanes.into_iter().filter(|(_, count)| *count >= share).map(|(lane, _)| lane.clone()).collect()
    }
}

/// Waits until a job has ended, or until changes were missed.
async fn ended(changes: &mut Changes) {
    while changes.next().await.is_some_and(|change| event::type_of(change.job.state.phase().as_str()).is_none()) {}
    // One pass handles a burst of changes.
    while changes.next().now_or_never().is_some() {}
}

impl DispatcherHandle {
    /// Starts no further attempts, lets those in flight finish within `grace`, and aborts the others, which the next process
    /// repeats.
    pub async fn stop(mut self, grace: Duration) {
        self.stop.cancel();
        let Some(mut task) = self.task.take() else { return };
        if timeout(grace, &mut task).await.is_ok() {
            return;
        }
        self.interrupt.cancel();
        if let Err(error) = task.await {
            tracing::error!("the webhook dispatcher panicked: {error}");
        }
    }
}

impl Drop for DispatcherHandle {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

#[cfg(test)]
mod tests;
