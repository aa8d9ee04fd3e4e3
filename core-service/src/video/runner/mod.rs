//! Drives stored jobs to a final state. A job moves only under a lease, and each move is one compare-and-set, so a node
//! that dies costs a lease period and never a second render.

mod copy;
mod delays;
mod estimate;
mod floor_rate;
mod load;
mod lost;
mod poll;
mod provider_call;
mod step;
mod submit;
#[cfg(test)]
mod tests;
mod worker;

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt;
use http_server::MemoryBudget;
use tokio::{
    task::{JoinError, JoinHandle, JoinSet},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use self::{estimate::RenderTimes, load::Load, worker::Worker};
use super::store::{BusyProviders, ChangeKind, Changes, JobQueue, StoreError, WorkerId};
use crate::{
    live::Live,
    models::Models,
    video::{VideoModel, jobs::Jobs},
};

/// The longest time between two claims, for jobs that another node took and then lost.
const MAX_IDLE: Duration = Duration::from_secs(5);

/// The shortest time between two claims: a job that another node has just claimed must not cause a busy loop.
const MIN_IDLE: Duration = Duration::from_millis(10);

/// The interval at which a provider without a free slot is checked.
const SLOT_INTERVAL: Duration = Duration::from_millis(250);

/// How long the runner waits after a failure of the database.
const FAILURE_DELAY: Duration = Duration::from_secs(1);

/// How long interrupted steps have to release their lease.
const RELEASE_GRACE: Duration = Duration::from_secs(2);

/// Moves the jobs of a queue.
#[derive(Debug)]
pub struct Runner {
    worker: Arc<Worker>,
    /// Ends claiming.
    stop: CancellationToken,
}

/// A running [`Runner`]. Dropping it is a crash: steps end where they are, and leases expire.
#[derive(Debug)]
pub struct RunnerHandle {
    stop: CancellationToken,
    interrupt: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl Runner {
    /// Starts to claim and move jobs, including those of a previous process. `jobs` are the jobs of the same store.
    pub fn start(queue: Arc<dyn JobQueue>, jobs: Jobs, models: Live<Models<VideoModel>>) -> RunnerHandle {
        let (stop, interrupt) = (CancellationToken::new(), CancellationToken::new());
        let input_memory = MemoryBudget::new(jobs.settings.input_memory_bytes);
        let worker = Worker {
            queue,
            jobs,
            models,
            id: WorkerId::new(),
            interrupt: interrupt.clone(),
            load: Load::default(),
            render_times: RenderTimes::default(),
            input_memory,
        };
        let runner = Self { worker: Arc::new(worker), stop: stop.clone() };
        RunnerHandle { stop, interrupt, task: Some(tokio::spawn(runner.run())) }
    }

    async fn run(self) {
        let mut steps = JoinSet::new();
        // Subscribed before the first query: a job that is created in between wakes the runner.
        let mut changes = self.worker.queue.changes();
        while !self.stop.is_cancelled() {
            let idle = self.fill(&mut steps).await;
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = changed_by_caller(&mut changes) => {}
                Some(ended) = steps.join_next() => log_panic(&ended),
                () = sleep(idle) => {}
            }
        }
        while let Some(ended) = steps.join_next().await {
            log_panic(&ended);
        }
    }

    /// Claims jobs while there are free workers. Returns how long no further job will be due.
    async fn fill(&self, steps: &mut JoinSet<()>) -> Duration {
        let Worker { queue, jobs, id, .. } = &*self.worker;
        let lease = jobs.settings.lease;
        // Bounded by the workers of each provider, whose further jobs are not claimed.
        while !self.stop.is_cancelled() {
            let busy = self.worker.busy_providers();
            match queue.claim(id, lease, &busy).await {
                Ok(Some(claim)) => match self.worker.reserve(&claim.job) {
                    Some(reservation) => {
                        steps.spawn(step::run(Arc::clone(&self.worker), claim, reservation));
                    }
                    // The last slot was taken since the check; the next claim leaves this provider out.
                    None => step::release(&**queue, &claim).await,
                },
                Ok(None) => {
                    let due = queue.next_due(&busy).await.ok().flatten();
                    let max = if busy == BusyProviders::default() { MAX_IDLE } else { SLOT_INTERVAL };
                    return due.map_or(max, |due| due.since(queue.now()).clamp(MIN_IDLE, max));
                }
                // It is not claimed again for a while.
                Err(error @ StoreError::Corrupt { .. }) => tracing::error!("{error}"),
                Err(error) => {
                    tracing::error!("no jobs can be claimed: {error}");
                    return FAILURE_DELAY;
                }
            }
        }
        MAX_IDLE
    }
}

/// Waits until a caller created or amended a job, so that one may be due. What the runner's own steps commit does not count.
async fn changed_by_caller(changes: &mut Changes) {
    let by_caller = |kind| match kind {
        ChangeKind::Created | ChangeKind::Amended => true,
        ChangeKind::Moved => false,
    };
    while changes.next().await.is_some_and(|change| !by_caller(change.kind)) {}
    // One claim answers a burst of changes.
    while changes.next().now_or_never().is_some() {}
}

fn log_panic(ended: &Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!("a step of a video job panicked outside of its guard: {error}");
    }
}

impl RunnerHandle {
    /// Stops claiming, lets the steps in progress finish within `grace`, then interrupts those that can be repeated and
    /// releases their leases. A submission that is still in progress is left as a crash would leave it.
    pub async fn stop(mut self, grace: Duration) {
        self.stop.cancel();
        let Some(mut task) = self.task.take() else { return };
        if timeout(grace, &mut task).await.is_ok() {
            return;
        }
        self.interrupt.cancel();
        if timeout(RELEASE_GRACE, &mut task).await.is_err() {
            tracing::warn!("a video job was aborted while it was being submitted");
            task.abort();
        }
    }
}

impl Drop for RunnerHandle {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}
