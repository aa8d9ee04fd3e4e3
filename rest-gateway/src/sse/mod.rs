//! Server-sent events: the response body for the streams of chat completions, images and video jobs.
//!
//! The response body is written by hand, because streams of small events are where the gateway spends its time. Events
//! that are ready together share one frame, and an event never waits for the next one. Resetting the heartbeat timer with
//! each frame would cost more than the frame, and polling the stream after each write as much as an event: see
//! `EventStreamBody` and `WakeFlag`.

mod event;

use std::{
    convert::Infallible,
    ops::ControlFlow,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use axum::{body::Body, response::Response};
use bytes::{Bytes, BytesMut};
use futures_util::{
    FutureExt, Stream, StreamExt,
    stream::{BoxStream, Peekable},
    task::AtomicWaker,
};
use http::{HeaderValue, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::{
    task::coop::unconstrained,
    time::{Duration, Instant, Sleep, sleep, timeout},
};
use tonic::Status;

pub(crate) use self::event::{Event, EventEncoder};
use crate::{core_client::ReplyStream, error::GatewayError, headers::X_ACCEL_BUFFERING, metrics::OpenStream};

/// A frame of this length, in bytes, is sent even if more events are ready.
const MAX_FRAME: usize = 16 << 10;
/// Initial buffer capacity, in bytes: enough for the frames of a stream that sends a token now and then, which most do.
const INITIAL_CAPACITY: usize = 4 << 10;
/// A comment, which clients skip. It keeps proxies from closing a silent connection.
const HEARTBEAT: &[u8] = b": keep-alive\n\n";

/// Returns a response that sends the items of `stream` as events. After `heartbeat` of silence it sends a comment. An
/// error ends the response with an error event. Dropping the response body drops the stream.
pub(crate) fn response<S, E, Error>(stream: S, encoder: E, heartbeat: Duration) -> Response
where
    S: Stream<Item = Result<E::Item, Error>> + Send + 'static,
    E: EventEncoder,
    Error: Into<GatewayError> + 'static,
{
    let flag = Arc::new(WakeFlag { set: AtomicBool::new(true), reader: AtomicWaker::new() });
    let body = EventStreamBody {
        stream: Some(Box::pin(stream)),
        waker: Waker::from(flag.clone()),
        flag,
        encoder,
        buffer: BytesMut::new(),
        heartbeat,
        silent_since: Instant::now(),
        timer: Box::pin(sleep(heartbeat)),
        timer_registered: false,
        _open: OpenStream::new(),
    };
    let mut response = Response::new(Body::new(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

/// Waits for the first item of a stream, so that an error before it becomes a response with its own status. After
/// `max_wait` it returns the stream as it is, because the client needs the response head within bounded time.
///
/// # Errors
/// The first item, if it is an error.
pub(crate) async fn peek_first_item<T: Send + 'static>(
    stream: ReplyStream<T>,
    max_wait: Duration,
) -> Result<Peekable<BoxStream<'static, Result<T, Status>>>, Status> {
    let mut stream = stream.peekable();
    let failed = timeout(max_wait, Pin::new(&mut stream).peek()).await.is_ok_and(|first| matches!(first, Some(Err(_))));
    match failed.then(|| stream.next().now_or_never()).flatten().flatten() {
        Some(Err(status)) => Err(status),
        Some(Ok(_)) | None => Ok(stream),
    }
}

/// The body of an event stream.
struct EventStreamBody<S, E> {
    /// `None` after its end.
    stream: Option<Pin<Box<S>>>,
    flag: Arc<WakeFlag>,
    /// Sets `flag`.
    waker: Waker,
    encoder: E,
    /// Events that have not been sent.
    buffer: BytesMut,
    /// A heartbeat is sent after this much silence.
    heartbeat: Duration,
    silent_since: Instant,
    /// Reset only after it has fired, not with every frame, which would cost more than the frame.
    timer: Pin<Box<Sleep>>,
    /// Whether the timer has been polled, so that it wakes the body when it fires.
    timer_registered: bool,
    /// Counts the stream as open in the metrics.
    _open: OpenStream,
}

/// Whether the stream or the timer has woken the body. hyper polls the body after each write and whenever the socket
/// becomes ready: without this flag, each of those polls would poll the stream, at about the cost of an event.
struct WakeFlag {
    set: AtomicBool,
    /// The waker of the task that polls the body.
    reader: AtomicWaker,
}

impl Wake for WakeFlag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.set.store(true, Ordering::Release);
        self.reader.wake();
    }
}

impl<S, E, Error> EventStreamBody<S, E>
where
    S: Stream<Item = Result<E::Item, Error>>,
    E: EventEncoder,
    Error: Into<GatewayError>,
{
    /// Encodes the items that are ready.
    fn fill_buffer(&mut self, cx: &mut Context<'_>) {
        while let Some(stream) = &mut self.stream {
            if self.buffer.len() >= MAX_FRAME {
                // The stream may have more items ready, for which it will not wake the body.
                self.flag.set.store(true, Ordering::Release);
                return;
            }
            let Poll::Ready(item) = stream.as_mut().poll_next(cx) else { return };
            // One allocation serves many frames: each is split off, and the remaining capacity is used again.
            if self.buffer.capacity() == 0 {
                self.buffer.reserve(INITIAL_CAPACITY);
            }
            let flow = match item {
                Some(Ok(item)) => self.encoder.encode(item, &mut self.buffer),
                Some(Err(error)) => {
                    self.encoder.encode_error(&error.into(), &mut self.buffer);
                    ControlFlow::Break(())
                }
                None => {
                    self.encoder.encode_end(&mut self.buffer);
                    ControlFlow::Break(())
                }
            };
            if flow.is_break() {
                self.stream = None;
            }
        }
    }
}

// Nothing is pinned in place: stream and timer are boxed.
impl<S, E> Unpin for EventStreamBody<S, E> {}

impl<S, E, Error> HttpBody for EventStreamBody<S, E>
where
    S: Stream<Item = Result<E::Item, Error>>,
    E: EventEncoder,
    Error: Into<GatewayError>,
{
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        this.flag.reader.register(cx.waker());
        let waker = this.waker.clone();
        let cx = &mut Context::from_waker(&waker);
        if this.flag.set.swap(false, Ordering::AcqRel) {
            this.fill_buffer(cx);
            if !this.buffer.is_empty() {
                this.silent_since = Instant::now();
                return Poll::Ready(Some(Ok(Frame::data(this.buffer.split().freeze()))));
            }
        }
        if this.stream.is_none() {
            return Poll::Ready(None);
        }
        while !this.timer_registered || this.timer.is_elapsed() {
            // `unconstrained`: a timer polled after the task's coop budget is spent would not be registered.
            this.timer_registered = pin!(unconstrained(this.timer.as_mut())).poll(cx).is_pending();
            if this.timer_registered {
                break;
            }
            let due = this.silent_since + this.heartbeat;
            let now = Instant::now();
            if due <= now {
                this.silent_since = now;
                this.timer.as_mut().reset(now + this.heartbeat);
                return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(HEARTBEAT)))));
            }
            this.timer.as_mut().reset(due);
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_none() && self.buffer.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests;
