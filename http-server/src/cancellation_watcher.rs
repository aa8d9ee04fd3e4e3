//! A cancellation token for tasks that are polled often, such as those of connections.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Watches a cancellation token for a task that checks it at each of its polls. Registers the waker of the task only when it
/// has changed.
pub(crate) struct CancellationWatcher {
    token: CancellationToken,
    cancelled: Pin<Box<WaitForCancellationFutureOwned>>,
    /// The waker that is registered with `cancelled`.
    registered: Option<Waker>,
}

impl CancellationWatcher {
    pub(crate) fn new(token: CancellationToken) -> Self {
        Self { cancelled: Box::pin(token.clone().cancelled_owned()), token, registered: None }
    }

    /// Returns `Ready` if the token is cancelled. Otherwise the last task that called this is woken by the cancellation.
    pub(crate) fn poll_cancelled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.registered.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            // The same result as from the future, whose locks cost several times as much.
            return if self.token.is_cancelled() { Poll::Ready(()) } else { Poll::Pending };
        }
        self.registered = Some(cx.waker().clone());
        self.cancelled.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering::Relaxed},
        },
        task::Wake,
    };

    use super::*;

    /// A waker that records whether it was woken.
    #[derive(Default)]
    struct WakeFlag(AtomicBool);

    impl Wake for WakeFlag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Relaxed);
        }
    }

    #[test]
    fn cancellation_wakes_only_the_last_task_that_polled() {
        let token = CancellationToken::new();
        let mut watcher = CancellationWatcher::new(token.clone());
        let (first, second) = (Arc::<WakeFlag>::default(), Arc::<WakeFlag>::default());
        for flag in [&first, &first, &second, &second] {
            let waker = Waker::from(flag.clone());
            assert!(watcher.poll_cancelled(&mut Context::from_waker(&waker)).is_pending());
        }
        token.cancel();
        assert!(!first.0.load(Relaxed) && second.0.load(Relaxed));
        assert!(watcher.poll_cancelled(&mut Context::from_waker(&Waker::from(second))).is_ready());
    }
}
