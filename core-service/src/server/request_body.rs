//! Request bodies with a time limit, so that a client cannot hold a call and a partial message indefinitely, and with a limit
//! of memory. Nothing is reserved before a body is read, so that only clients with a key reserve memory.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Duration, Instant, Sleep, sleep_until};
use tonic::Status;

use super::message_memory::MessageMemory;
use crate::error::Error;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The number of received bytes for which the time limit grows by one second, so that slow clients pass and stalled ones do not.
const BYTES_PER_EXTRA_SECOND: u64 = 64 << 10;

/// A request body that fails with [`Error::RequestTimeout`] if it does not arrive in time, and with [`Error::LimitReached`] if the
/// messages of all requests would take too much memory.
pub(super) struct LimitedBody<B> {
    body: B,
    deadline: Instant,
    received: u64,
    memory: MessageMemory,
    /// Created when the body is pending for the first time: most messages arrive with the head of their call.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<B> LimitedBody<B> {
    pub(super) fn new(body: B, timeout: Duration, memory: MessageMemory) -> Self {
        Self { body, deadline: Instant::now() + timeout, received: 0, memory, timer: None }
    }

    fn poll_timeout(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = self.deadline + Duration::from_secs(self.received / BYTES_PER_EXTRA_SECOND);
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(cx)
    }
}

impl<B> Body for LimitedBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    /// A [`Status`] for a limit, which tonic returns to the client as it is.
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending if self.poll_timeout(cx).is_ready() => {
                return Poll::Ready(Some(Err(Status::from(Error::RequestTimeout).into())));
            }
            Poll::Pending => return Poll::Pending,
        };
        let Some(frame) = frame else { return Poll::Ready(None) };
        let frame = frame.map_err(Into::into)?;
        if let Some(data) = frame.data_ref() {
            self.received += data.len() as u64;
            self.memory.grow(data.len()).map_err(Status::from)?;
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{StreamExt, stream};
    use http_body_util::{BodyExt, StreamBody};
    use http_server::MemoryBudget;
    use tonic::Code;

    use super::*;

    /// A body of these parts that does not end.
    fn body(
        parts: Vec<Vec<u8>>,
        budget: &MemoryBudget,
    ) -> LimitedBody<impl Body<Data = Bytes, Error = Infallible> + Unpin + use<>> {
        let frames = stream::iter(parts).map(|part| Ok::<_, Infallible>(Frame::data(Bytes::from(part))));
        let body = StreamBody::new(frames.chain(stream::pending()));
        LimitedBody::new(body, Duration::from_secs(30), MessageMemory::new(budget))
    }

    #[tokio::test(start_paused = true)]
    async fn stalled_message_ends_after_the_timeout_and_one_second_for_each_64_kib() {
        let start = Instant::now();
        let mut body = body(vec![vec![0; 128 << 10]], &MemoryBudget::new(1 << 20));
        assert!(body.frame().await.unwrap().is_ok());
        let error = body.frame().await.unwrap().unwrap_err().downcast::<Status>().unwrap();
        assert_eq!((error.code(), start.elapsed().as_secs()), (Code::DeadlineExceeded, 32));
    }

    #[tokio::test]
    async fn messages_beyond_the_budget_are_refused_until_others_are_dropped() {
        let budget = MemoryBudget::new(10 << 10);
        let read = async |kib| {
            let mut body = body(vec![vec![0; 1 << 10]; kib], &budget);
            for _ in 0..kib {
                body.frame().await.unwrap()?;
            }
            Ok::<_, BoxError>(body)
        };
        let first = read(8).await.unwrap();
        let error = read(8).await.err().unwrap().downcast::<Status>().unwrap();
        assert_eq!(error.code(), Code::ResourceExhausted);
        drop(first);
        assert!(read(8).await.is_ok());
    }
}
