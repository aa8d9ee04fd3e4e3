//! Drives stored jobs to a final state. A job moves only under a lease, and each move is one compare-and-set, so a node
//! that dies costs a lease period and never a second render.

use std::{sync::Arc, time::Duration};

use tokio::{
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    jobs::Jobs,
    store::{StoreError, WorkerId},
};
use crate::catalog::Catalog;
use crate::live::Live;

mod effects;
mod pace;
mod step;
#[cfg(test)]
mod tests;

/// The longest wait without looking, for jobs that another node took and then left.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// The shortest wait: a job that somebody else just claimed must not become a busy loop.
const BREATH: Duration = Duration::from_millis(10);

/// How long the runner waits after the database failed.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// How long steps get to give their lease back once they are told to stop at once.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Moves the jobs of a store.
#[derive(Debug)]
pub struct Runner {
    jobs: Jobs,
    catalog: Live<Catalog>,
    worker: WorkerId,
    /// Ends the claiming.
    stop: CancellationToken,
    /// Interrupts the steps under way.
    halt: CancellationToken,
}

/// A runner at work. Dropping it is a crash: steps end where they stand, and leases lapse.
#[derive(Debug)]
pub struct RunnerHandle {
    stop: CancellationToken,
    halt: CancellationToken,
    work: Option<JoinHandle<()>>,
}

impl Runner {
    /// Begins to claim and move jobs, those of a previous process included.
    pub fn start(jobs: Jobs, catalog: Live<Catalog>) -> RunnerHandle {
        let (stop, halt) = (CancellationToken::new(), CancellationToken::new());
        let runner = Self { jobs, catalog, worker: WorkerId::new(), stop: stop.clone(), halt: halt.clone() };
        RunnerHandle { stop, halt, work: Some(tokio::spawn(runner.run())) }
    }

    async fn run(self) {
        let runner = Arc::new(self);
        let mut steps = JoinSet::new();
        while !runner.stop.is_cancelled() {
            // Registered before the query: a job that comes in between is not slept over.
            let woken = runner.jobs.wake.notified();
            let wait = runner.fill(&mut steps).await;
            tokio::select! {
                () = runner.stop.cancelled() => {}
                () = woken => {}
                Some(ended) = steps.join_next() => report(&ended),
                () = sleep(wait) => {}
            }
        }
        while let Some(ended) = steps.join_next().await {
            report(&ended);
        }
    }

    /// Claims as many jobs as there are free workers, and tells how long nothing more will be due.
    async fn fill(self: &Arc<Self>, steps: &mut JoinSet<()>) -> Duration {
        let Jobs { store, clock, settings, .. } = &self.jobs;
        while steps.len() < settings.workers.max(1) && !self.stop.is_cancelled() {
            match store.claim(&self.worker, clock.now(), settings.lease).await {
                Ok(Some(claim)) => {
                    steps.spawn(step::drive(Arc::clone(self), claim));
                }
                Ok(None) => {
                    let due = store.next_due().await.ok().flatten();
                    return due.map_or(LOOK_AGAIN, |due| due.since(clock.now()).clamp(BREATH, LOOK_AGAIN));
                }
                // Its lease keeps it away from the next claim for a while.
                Err(error @ StoreError::Corrupt { .. }) => tracing::error!("{error}"),
                Err(error) => {
                    tracing::error!("no jobs can be claimed: {error}");
                    return AFTER_FAILURE;
                }
            }
        }
        LOOK_AGAIN
    }
}

fn report(ended: &Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!("a step of a video job panicked outside of its guard: {error}");
    }
}

impl RunnerHandle {
    /// Stops claiming, lets the steps under way finish within `grace`, interrupts those that can be repeated and gives
    /// their leases back. What is being submitted even then is left as a crash would leave it.
    pub async fn stop(mut self, grace: Duration) {
        self.stop.cancel();
        let Some(mut work) = self.work.take() else { return };
        if timeout(grace, &mut work).await.is_ok() {
            return;
        }
        self.halt.cancel();
        if timeout(LAST_WORDS, &mut work).await.is_err() {
            tracing::warn!("a video job was cut off while it was being submitted");
            work.abort();
        }
    }
}

impl Drop for RunnerHandle {
    fn drop(&mut self) {
        if let Some(work) = &self.work {
            work.abort();
        }
    }
}
