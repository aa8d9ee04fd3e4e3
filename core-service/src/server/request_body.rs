//! Request bodies with a time limit, so that a client cannot hold a call and a partial message indefinitely.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Duration, Instant, Sleep, sleep_until};
use tonic::Status;

use crate::error::Error;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The time limit grows by one second for each of these received, so that slow clients pass and stalled ones do not.
const BYTES_PER_EXTRA_SECOND: u64 = 64 << 10;

/// A request body that fails with `REQUEST_TIMEOUT` if it does not arrive in time.
pub(super) struct TimedBody<B> {
    body: B,
    deadline: Instant,
    received: u64,
    /// Set with the first wait: most messages arrive with the head of their call.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<B> TimedBody<B> {
    pub(super) fn new(body: B, timeout: Duration) -> Self {
        Self { body, deadline: Instant::now() + timeout, received: 0, timer: None }
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

impl<B> Body for TimedBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    /// A [`Status`] for the timeout, which tonic returns to the client as it is.
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
        self.received += frame.data_ref().map_or(0, |data| data.len() as u64);
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
    use tonic::Code;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn stalled_message_ends_after_the_timeout_and_one_second_for_each_64_kib() {
        let start = Instant::now();
        let frames = stream::iter([Ok::<_, Infallible>(Frame::data(Bytes::from(vec![0; 128 << 10])))]);
        let body = StreamBody::new(frames.chain(stream::pending()));
        let mut body = TimedBody::new(body, Duration::from_secs(30));
        assert!(body.frame().await.unwrap().is_ok());
        let error = body.frame().await.unwrap().unwrap_err().downcast::<Status>().unwrap();
        assert_eq!((error.code(), start.elapsed().as_secs()), (Code::DeadlineExceeded, 32));
    }
}
