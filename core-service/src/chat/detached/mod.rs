//! Calls that continue after the client disconnects.
//!
//! Such a call is a task on the core's own runtime from its start: the runtime of a gateway connection may end before the
//! call does, and its sockets and timers would end with it. Calls that end with their client, which is the default, do not
//! use this module, and have no cost from it.

use std::{future::Future, pin::pin};

use futures_util::{StreamExt, stream};
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
    time::{Instant, sleep, timeout_at},
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};
use tracing::{Instrument, Span};

use super::routing::RoutingContext;
use crate::on_disconnect::OnDisconnect;
use crate::{call::Chunks, error::ProviderError};

/// How many chunks are buffered for a connected client that reads slowly, before the upstream is slowed down.
const BUFFERED_CHUNKS: usize = 16;

/// Runs calls that may continue after their client disconnects. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DetachedCalls {
    runtime: Handle,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

impl DetachedCalls {
    /// Creates an empty set of calls that run on this runtime.
    pub fn on(runtime: Handle) -> Self {
        Self { runtime, tasks: TaskTracker::new(), shutdown: CancellationToken::new() }
    }

    /// Waits for the calls in flight until the deadline, then cancels the rest. No call is left when it returns.
    pub async fn finish(&self, deadline: Instant) {
        self.tasks.close();
        if timeout_at(deadline, self.tasks.wait()).await.is_err() {
            tracing::warn!(calls = self.tasks.len(), "cancelling calls whose clients have disconnected");
            self.shutdown.cancel();
            self.tasks.wait().await;
        }
    }

    /// Returns the result of `work`. When this future is dropped, `on_disconnect` determines whether and how long `work` continues.
    pub(super) async fn complete<T: Send + 'static>(
        &self,
        on_disconnect: OnDisconnect,
        routing: &RoutingContext,
        work: impl Future<Output = Result<T, ProviderError>> + Send + 'static,
    ) -> Result<T, ProviderError> {
        let (sender, result) = oneshot::channel();
        let _client = self.spawn(on_disconnect, routing.clone(), async move {
            let _ = sender.send(work.await);
        });
        result.await.unwrap_or_else(|_| Err(task_ended()))
    }

    /// Returns the stream that `start` resolves to. When this future or the stream is dropped, `on_disconnect` determines whether
    /// and how long the rest of the stream is read.
    pub(super) async fn stream<T: Send + 'static>(
        &self,
        on_disconnect: OnDisconnect,
        routing: &RoutingContext,
        start: impl Future<Output = Result<Chunks<T>, ProviderError>> + Send + 'static,
    ) -> Result<Chunks<T>, ProviderError> {
        let (started_sender, started) = oneshot::channel();
        let (sender, receiver) = mpsc::channel(BUFFERED_CHUNKS);
        let client = self.spawn(on_disconnect, routing.clone(), async move {
            let mut chunks = match start.await {
                Ok(chunks) => chunks,
                Err(error) => {
                    let _ = started_sender.send(Err(error));
                    return;
                }
            };
            let _ = started_sender.send(Ok(()));
            while let Some(chunk) = chunks.next().await {
                // Fails at once after the client has disconnected; the rest is read and discarded.
                let _ = sender.send(Some(chunk)).await;
            }
            let _ = sender.send(None).await;
        });
        started.await.unwrap_or_else(|_| Err(task_ended()))?;
        let chunks = stream::unfold(Some((receiver, client)), |state| async {
            let (mut receiver, client) = state?;
            match receiver.recv().await {
                Some(Some(chunk)) => Some((chunk, Some((receiver, client)))),
                Some(None) => None,
                // The task panicked: the response must not look complete.
                None => Some((Err(task_ended()), None)),
            }
        });
        Ok(chunks.boxed())
    }

    /// Spawns the work. Dropping the guard, which belongs to the client's response, means that the client has disconnected.
    fn spawn(
        &self,
        on_disconnect: OnDisconnect,
        routing: RoutingContext,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> DropGuard {
        let (client, shutdown) = (CancellationToken::new(), self.shutdown.clone());
        let disconnected = client.clone();
        let task = async move {
            let mut work = pin!(routing.scope(work));
            tokio::select! {
                biased;
                () = &mut work => return,
                () = disconnected.cancelled() => {}
            }
            // Without a request at an upstream there is nothing to continue.
            if !routing.disconnect() {
                return;
            }
            let grace = async {
                match on_disconnect {
                    OnDisconnect::Cancel => {}
                    OnDisconnect::Continue => std::future::pending().await,
                    OnDisconnect::Grace(time) => sleep(time).await,
                }
            };
            // The work is polled last: work that is always ready uses up the task's cooperative budget (`tokio::task::coop`),
            // after which no timer fires.
            tokio::select! {
                biased;
                () = shutdown.cancelled() => tracing::debug!("cancelled a call of a disconnected client at shutdown"),
                () = grace => tracing::debug!("cancelled a call of a disconnected client after the grace period"),
                () = work => tracing::debug!("completed a call of a disconnected client"),
            }
        };
        drop(self.tasks.spawn_on(task.instrument(Span::current()), &self.runtime));
        client.drop_guard()
    }
}

/// The failure of a call whose task ended without a result.
fn task_ended() -> ProviderError {
    ProviderError::Broken("the response ended before it was complete".to_owned())
}

#[cfg(test)]
mod tests;
