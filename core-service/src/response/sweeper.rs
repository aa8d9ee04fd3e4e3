//! Removes stored responses after their retention.

use std::time::Duration;

use tokio::{task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;

use super::store::ResponseStore;
use crate::error::Error;

/// The time between two passes.
const INTERVAL: Duration = Duration::from_mins(1);
/// How many responses one write removes, and how many writes a pass has. Other writes wait at most for one such write.
const BATCH: u32 = 100;
const BATCHES: u32 = 50;

/// Removes the responses of a store that were not used for `retention`.
#[derive(Debug)]
pub(crate) struct ResponseSweeper {
    pub(crate) store: ResponseStore,
    pub(crate) retention: Duration,
}

/// A running [`ResponseSweeper`]. Dropping it ends the task.
#[derive(Debug)]
pub(crate) struct ResponseSweeperHandle {
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl ResponseSweeper {
    /// Starts a task that removes expired responses at once, and then at intervals until it is stopped. A retention of zero removes
    /// nothing.
    pub(crate) fn start(self) -> ResponseSweeperHandle {
        let stop = CancellationToken::new();
        let task = (!self.retention.is_zero()).then(|| tokio::spawn(self.run(stop.clone())));
        ResponseSweeperHandle { stop, task }
    }

    async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            match self.pass(&stop).await {
                Ok(0) => {}
                Ok(removed) => tracing::debug!(removed, "removed expired responses"),
                Err(error) => tracing::error!("expired responses were not removed: {error}"),
            }
            stop.run_until_cancelled(sleep(INTERVAL.min(self.retention))).await;
        }
    }

    async fn pass(&self, stop: &CancellationToken) -> Result<usize, Error> {
        let mut removed = 0;
        for _ in 0..BATCHES {
            let batch = self.store.remove_expired(self.retention, BATCH).await?;
            removed += batch;
            if batch < BATCH as usize || stop.is_cancelled() {
                break;
            }
        }
        Ok(removed)
    }
}

impl ResponseSweeperHandle {
    /// Ends the task.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take()
            && let Err(error) = task.await
        {
            tracing::error!("the sweeper of responses panicked: {error}");
        }
    }
}

impl Drop for ResponseSweeperHandle {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}
