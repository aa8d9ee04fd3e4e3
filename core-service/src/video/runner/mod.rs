//! Drives stored jobs to a final state. A job is run only under the lease of a worker, and each change is one compare-and-set, so
//! a node that dies costs a lease period and never a second render.
//!
//! The runner claims a due job, and runs its steps (submit, poll, copy, clean up) until the job has to wait. It then releases the
//! job, or, between two polls of a render, parks it: keeps the claim in memory.

mod clean_up;
mod clock_watch;
mod copy;
mod deadline;
mod delays;
mod estimate;
mod lease;
mod load;
mod lost;
mod min_rate;
mod parked;
mod poll;
mod provider_call;
mod session;
mod shared;
mod source_file;
mod step;
mod submit;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use http_server::MemoryBudget;
use tokio::{
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use self::{
    estimate::RenderTimes,
    lease::WorkerLease,
    load::Load,
    session::{FAILURE_DELAY, Session, log_panic},
    shared::Shared,
};
use super::store::JobQueue;
use crate::{
    live::Live,
    models::Models,
    video::{VideoModel, jobs::Jobs},
};

/// How long interrupted steps have to release their jobs, after the grace period of a shutdown.
const RELEASE_GRACE: Duration = Duration::from_secs(2);

/// Runs the jobs of a queue.
#[derive(Debug)]
pub struct Runner {
    shared: Arc<Shared>,
    /// Ends claiming.
    stop: CancellationToken,
}

/// A running [`Runner`]. Dropping it aborts the steps in progress and leaves their leases to expire, as a crash does.
#[derive(Debug)]
pub struct RunnerHandle {
    stop: CancellationToken,
    interrupt: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl Runner {
    /// Starts to claim and run jobs, including those of a previous process. `jobs` are the jobs of the same store.
    pub fn start(queue: Arc<dyn JobQueue>, jobs: Jobs, models: Live<Models<VideoModel>>) -> RunnerHandle {
        let (stop, interrupt) = (CancellationToken::new(), CancellationToken::new());
        let input_memory = MemoryBudget::new(jobs.settings.input_memory_bytes);
        let shared = Shared {
            queue,
            jobs,
            models,
            interrupt: interrupt.clone(),
            load: Load::default(),
            render_times: RenderTimes::default(),
            input_memory,
        };
        let runner = Self { shared: Arc::new(shared), stop: stop.clone() };
        RunnerHandle { stop, interrupt, task: Some(tokio::spawn(runner.run())) }
    }

    /// Works under one lease after the other. A lease is lost only if the database is unavailable, or the process was frozen.
    async fn run(self) {
        let mut steps = JoinSet::new();
        while !self.stop.is_cancelled() {
            match WorkerLease::acquire(&self.shared.queue, self.shared.jobs.settings.lease).await {
                Ok(lease) => Session::new(&self.shared, &self.stop, lease).run(&mut steps).await,
                Err(error) => {
                    tracing::error!("no jobs can be claimed: {error}");
                    tokio::select! {
                        () = sleep(FAILURE_DELAY) => {}
                        () = self.stop.cancelled() => {}
                    }
                }
            }
        }
        // These steps had a lease that was lost: they still record the renders that their providers accepted.
        while let Some(ended) = steps.join_next().await {
            log_panic(&ended);
        }
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
