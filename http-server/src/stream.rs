//! The tasks of HTTP/2 streams: on which thread they run, and how long a client may leave them unread.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    time::Duration,
};

use hyper::rt::Executor;
use tokio::time::{Instant, sleep_until};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::ConnectionThreads;

thread_local! {
    /// The last poll of a response body on this thread. A stream's task polls the body of its response, which hyper owns.
    static LAST_POLL: Cell<BodyPoll> = const { Cell::new(BodyPoll::None) };
}

/// How a poll of a response body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyPoll {
    /// No body was polled.
    None,
    Pending,
    Ready,
}

/// Records the poll of a response body for the task of its stream.
pub(crate) fn record(poll: BodyPoll) {
    LAST_POLL.set(poll);
}

/// The executor of the streams of one HTTP/2 connection.
#[derive(Debug, Clone)]
pub(crate) struct StreamExecutor {
    pub(crate) threads: ConnectionThreads,
    /// The thread of the connection.
    pub(crate) thread: usize,
    /// Counts the streams, so that the server can wait for their ends.
    pub(crate) tracker: TaskTracker,
    /// Cancelled when the connection is aborted.
    pub(crate) abort: CancellationToken,
    pub(crate) write_timeout: Duration,
}

impl<F> Executor<F> for StreamExecutor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, stream: F) {
        let thread = self.threads.choose_for_stream(self.thread);
        let load = self.threads.load(thread).enter();
        let (abort, write_timeout) = (self.abort.clone(), self.write_timeout);
        // Boxed: the future has several kilobytes, and each wrapper below would copy it.
        let stream = Box::pin(stream);
        let task = async move {
            let _load = load;
            until_ended(stream, write_timeout, &abort).await;
        };
        self.threads.spawn(thread, self.tracker.track_future(task));
    }
}

/// Runs a stream until it ends, until its connection is aborted, or until the client has left the response unread for
/// `write_timeout`. Dropping the stream resets it.
///
/// Does not register for the abort: it drops the connection, and hyper wakes every stream when the connection ends.
///
/// If the task waits after the body returned a frame, it waits for the client to open the window of the stream: for
/// anything else it would have polled the body again.
async fn until_ended(stream: impl Future, write_timeout: Duration, abort: &CancellationToken) {
    let mut stream = pin!(stream);
    // When the write timeout expires; `None` while the client is not waited for.
    let mut stalled = None;
    let mut timer = pin!(None);
    poll_fn(|cx| {
        LAST_POLL.set(BodyPoll::None);
        if abort.is_cancelled() || stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        match LAST_POLL.get() {
            BodyPoll::Pending => stalled = None,
            BodyPoll::Ready => stalled = Some(Instant::now() + write_timeout),
            BodyPoll::None => {}
        }
        let Some(deadline) = stalled else { return Poll::Pending };
        loop {
            match timer.as_mut().as_pin_mut() {
                None => timer.set(Some(sleep_until(deadline))),
                Some(sleep) if sleep.deadline() < deadline && sleep.is_elapsed() => timer.set(None),
                Some(sleep) => match sleep.poll(cx) {
                    Poll::Ready(()) if deadline <= Instant::now() => return Poll::Ready(()),
                    Poll::Ready(()) => timer.set(None),
                    Poll::Pending => return Poll::Pending,
                },
            }
        }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use tokio::time::{sleep, timeout};

    use super::*;

    const WRITE_TIMEOUT: Duration = Duration::from_mins(1);

    /// Runs a stream whose body is polled once a second, with these results, and which then waits forever. Returns
    /// `None` if the write timeout does not end it.
    async fn script(polls: &[BodyPoll]) -> Option<()> {
        let polls = polls.to_vec();
        let stream = async {
            for poll in polls {
                record(poll);
                sleep(Duration::from_secs(1)).await;
            }
            std::future::pending::<()>().await;
        };
        timeout(10 * WRITE_TIMEOUT, until_ended(stream, WRITE_TIMEOUT, &CancellationToken::new())).await.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn stream_that_waits_for_its_client_ends_after_the_write_timeout() {
        let start = Instant::now();
        // The last poll is 2 s after the first.
        assert_eq!(script(&[BodyPoll::Pending, BodyPoll::Ready, BodyPoll::Ready]).await, Some(()));
        assert_eq!(start.elapsed().as_secs(), 2 + WRITE_TIMEOUT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn stream_that_waits_for_its_body_is_not_limited() {
        assert_eq!(script(&[BodyPoll::Ready, BodyPoll::Pending]).await, None);
    }
}
