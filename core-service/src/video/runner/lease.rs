//! The lease of this runner on the jobs that it has claimed: one lease for all of them, in the name of a worker id. A runner that
//! loses its lease continues as a new worker.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::video::store::{JobQueue, Renewed, StoreError, WorkerId};

/// A lease that a task renews three times per lease period, until it is lost or dropped.
#[derive(Debug)]
pub(super) struct WorkerLease {
    pub(super) worker: WorkerId,
    /// Cancelled once another worker may have the jobs.
    pub(super) lost: CancellationToken,
    renewed: mpsc::Receiver<Renewed>,
    _renewal: AbortOnDropHandle<()>,
}

impl WorkerLease {
    /// Registers a new worker.
    pub(super) async fn acquire(queue: &Arc<dyn JobQueue>, lease: Duration) -> Result<Self, StoreError> {
        let (worker, lost) = (WorkerId::new(), CancellationToken::new());
        let held_until = Instant::now() + lease;
        queue.register(&worker, lease).await?;
        let (sender, renewed) = mpsc::channel(1);
        let queue = Arc::clone(queue);
        let unsent = Renewed::default();
        let renewal = Renewal { queue, worker: worker.clone(), lease, held_until, renewed: sender, unsent };
        let ended = lost.clone();
        let renewal = tokio::spawn(async move {
            renewal.run().await;
            ended.cancel();
        });
        Ok(Self { worker, lost, renewed, _renewal: AbortOnDropHandle::new(renewal) })
    }

    /// Waits for the next renewal. Cancel safe.
    pub(super) async fn renewed(&mut self) -> Renewed {
        match self.renewed.recv().await {
            Some(renewed) => renewed,
            // The lease is lost.
            None => std::future::pending().await,
        }
    }
}

/// The task that renews a lease.
struct Renewal {
    queue: Arc<dyn JobQueue>,
    worker: WorkerId,
    lease: Duration,
    /// Until when the lease is certain: counted from the start of the last successful call.
    held_until: Instant,
    renewed: mpsc::Sender<Renewed>,
    /// The results of renewals that the runner has not received.
    unsent: Renewed,
}

impl Renewal {
    /// Renews the lease. Returns only when it is lost.
    async fn run(mut self) {
        loop {
            sleep(self.lease / 3).await;
            let start = Instant::now();
            match timeout_at(self.held_until, self.queue.renew(&self.worker, self.lease)).await {
                Ok(Ok(renewed)) => {
                    self.held_until = start + self.lease;
                    let has_released = renewed.has_released || self.unsent.has_released;
                    self.unsent = Renewed { has_released, ..renewed };
                    // While the runner does not receive, the result is kept for the next renewal.
                    if let Ok(place) = self.renewed.try_reserve() {
                        place.send(std::mem::take(&mut self.unsent));
                    }
                }
                Ok(Err(StoreError::Stale)) => {
                    tracing::warn!("another worker has taken over the jobs of this one, whose lease had expired");
                    return;
                }
                Ok(Err(error)) if Instant::now() < self.held_until => {
                    tracing::warn!("the lease could not be renewed, retrying: {error}");
                }
                Ok(Err(error)) => {
                    tracing::error!("the lease on the jobs in progress was lost: {error}");
                    return;
                }
                Err(_) => {
                    tracing::error!("the lease on the jobs in progress was lost: the database does not respond");
                    return;
                }
            }
        }
    }
}
