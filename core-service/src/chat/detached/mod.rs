//! What becomes of an answer whose caller hangs up: the work that goes on alone.
//!
//! A call that may outlive its caller is a task of the core from its beginning, on the core's own runtime: that of the
//! connection it came by may end before it does, and would take its sockets and timers along. Calls that end with their caller, which
//! is the rule unless somebody says otherwise, never come here and cost nothing.

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

use super::{on_disconnect::OnDisconnect, routing::RoutingContext};
use crate::{call::Chunks, error::ProviderError};

/// How many pieces may wait for a caller who is there but reads slowly; after that the upstream waits.
const AHEAD: usize = 16;

/// Keeps calls that may outlive their callers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DetachedCalls {
    runtime: Handle,
    calls: TaskTracker,
    cut: CancellationToken,
}

impl DetachedCalls {
    /// One whose calls run on this runtime.
    pub fn on(runtime: Handle) -> Self {
        Self { runtime, calls: TaskTracker::new(), cut: CancellationToken::new() }
    }

    /// Waits for the calls that go on, and cuts those that are not done by then. None outlives this.
    pub async fn finish(&self, by: Instant) {
        self.calls.close();
        if timeout_at(by, self.calls.wait()).await.is_err() {
            tracing::warn!(calls = self.calls.len(), "cutting answers that nobody waits for any more");
            self.cut.cancel();
            self.calls.wait().await;
        }
    }

    /// The outcome of `work`, which goes on by the rule when this future is dropped.
    pub(super) async fn complete<T: Send + 'static>(
        &self,
        rule: OnDisconnect,
        route: &RoutingContext,
        work: impl Future<Output = Result<T, ProviderError>> + Send + 'static,
    ) -> Result<T, ProviderError> {
        let (tell, told) = oneshot::channel();
        let _here = self.keep(rule, route.clone(), async move {
            let _ = tell.send(work.await);
        });
        told.await.unwrap_or_else(|_| Err(lost()))
    }

    /// The stream that `begin` leads to, which is read on by the rule when this future or the stream is dropped.
    pub(super) async fn stream<T: Send + 'static>(
        &self,
        rule: OnDisconnect,
        route: &RoutingContext,
        begin: impl Future<Output = Result<Chunks<T>, ProviderError>> + Send + 'static,
    ) -> Result<Chunks<T>, ProviderError> {
        let (tell, told) = oneshot::channel();
        let (send, receive) = mpsc::channel(AHEAD);
        let here = self.keep(rule, route.clone(), async move {
            let mut pieces = match begin.await {
                Ok(pieces) => pieces,
                Err(error) => {
                    let _ = tell.send(Err(error));
                    return;
                }
            };
            let _ = tell.send(Ok(()));
            while let Some(piece) = pieces.next().await {
                // Without a caller it fails at once, and the rest is read for nobody.
                let _ = send.send(Some(piece)).await;
            }
            let _ = send.send(None).await;
        });
        told.await.unwrap_or_else(|_| Err(lost()))?;
        let pieces = stream::unfold(Some((receive, here)), |kept| async {
            let (mut receive, here) = kept?;
            match receive.recv().await {
                Some(Some(piece)) => Some((piece, Some((receive, here)))),
                Some(None) => None,
                // A task that panicked must not look like an answer that is complete.
                None => Some((Err(lost()), None)),
            }
        });
        Ok(pieces.boxed())
    }

    /// Begins the work. Dropping the guard tells it that the caller has gone.
    fn keep(
        &self,
        rule: OnDisconnect,
        route: RoutingContext,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> DropGuard {
        let (caller, cut) = (CancellationToken::new(), self.cut.clone());
        let gone = caller.clone();
        let kept = async move {
            let mut work = pin!(route.scope(work));
            tokio::select! {
                biased;
                () = &mut work => return,
                () = gone.cancelled() => {}
            }
            // No upstream has the request, so there is nothing to go on with.
            if !route.leave() {
                return;
            }
            let patience = async {
                match rule {
                    OnDisconnect::Cancel => {}
                    OnDisconnect::Continue => std::future::pending().await,
                    OnDisconnect::Grace(time) => sleep(time).await,
                }
            };
            // The work comes last: where it never pauses, nothing is left of a turn for a timer behind it.
            tokio::select! {
                biased;
                () = cut.cancelled() => tracing::debug!("the caller has gone; the answer was cut with the service"),
                () = patience => tracing::debug!("the caller has gone, and the time to read on is over"),
                () = work => tracing::debug!("the caller has gone; the answer was read to its end"),
            }
        };
        drop(self.calls.spawn_on(kept.instrument(Span::current()), &self.runtime));
        caller.drop_guard()
    }
}

fn lost() -> ProviderError {
    ProviderError::Broken("the answer broke off".to_owned())
}

#[cfg(test)]
mod tests;
