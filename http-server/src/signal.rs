//! A cancellation token for tasks that are polled often.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Waker},
};

use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// A cancellation token that a task watches at each of its polls.
pub(crate) struct Signal {
    token: CancellationToken,
    cancelled: Pin<Box<WaitForCancellationFutureOwned>>,
    /// The waker that `cancelled` holds.
    waker: Option<Waker>,
}

impl Signal {
    pub(crate) fn new(token: CancellationToken) -> Self {
        Self { cancelled: Box::pin(token.clone().cancelled_owned()), token, waker: None }
    }

    /// Returns whether the token is cancelled. Otherwise the task is woken when it is.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        if self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            // The same as to poll the future, whose locks would cost several times as much.
            return self.token.is_cancelled();
        }
        self.waker = Some(cx.waker().clone());
        self.cancelled.as_mut().poll(cx).is_ready()
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

    #[derive(Default)]
    struct Task(AtomicBool);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Relaxed);
        }
    }

    #[test]
    fn cancellation_wakes_the_last_task_that_polled() {
        let token = CancellationToken::new();
        let mut signal = Signal::new(token.clone());
        let (first, second) = (Arc::<Task>::default(), Arc::<Task>::default());
        for task in [&first, &first, &second, &second] {
            assert!(!signal.poll(&mut Context::from_waker(&Waker::from(task.clone()))));
        }
        token.cancel();
        assert!(!first.0.load(Relaxed) && second.0.load(Relaxed));
        assert!(signal.poll(&mut Context::from_waker(&Waker::from(second))));
    }
}
