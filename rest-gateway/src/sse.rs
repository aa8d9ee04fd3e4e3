//! Event streams: whole events, joined into one frame as long as more of them are ready, and never held back.

use std::{
    convert::Infallible,
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
    Stream, StreamExt,
    stream::{BoxStream, Peekable},
    task::AtomicWaker,
};
use http::{HeaderName, HeaderValue, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::{
    task::coop::unconstrained,
    time::{Duration, Instant, Sleep, sleep, timeout},
};
use tonic::Status;

use crate::{core::Replies, error::GatewayError, meters::OpenStream};

/// A frame that has grown this long is sent even if more events are ready.
const FRAME: usize = 16 << 10;
/// Room for the frames of a stream that sends a token now and then, which most are; more is made when it is needed.
const ROOM: usize = 4 << 10;
/// A comment: clients skip it, proxies see that the stream lives.
const HEARTBEAT: &[u8] = b": keep-alive\n\n";

/// Whether more events follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// They do.
    More,
    /// The answer ends behind what was written; the rest of the stream is dropped, which cancels it.
    End,
}

/// An event stream as an answer. `write` appends whole events for each item to the buffer it is given, and is called
/// once more with `None` when the stream has ended. Comments are sent between events after `heartbeat` of silence.
pub fn answer<S, W>(stream: S, write: W, heartbeat: Duration) -> Response
where
    S: Stream + Send + 'static,
    W: FnMut(Option<S::Item>, &mut BytesMut) -> Flow + Send + 'static,
{
    let news = Arc::new(News { some: AtomicBool::new(true), reader: AtomicWaker::new() });
    let events = Events {
        stream: Some(Box::pin(stream)),
        waker: Waker::from(news.clone()),
        news,
        write,
        buffer: BytesMut::new(),
        heartbeat,
        quiet_since: Instant::now(),
        alarm: Box::pin(sleep(heartbeat)),
        alarmed: false,
        _open: OpenStream::new(),
    };
    let mut response = Response::new(Body::new(events));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

/// A failure behind the head of the answer: the event that the official clients raise an error for.
pub fn write_error(error: &GatewayError, out: &mut BytesMut) {
    out.extend_from_slice(b"event: error\ndata: ");
    out.extend_from_slice(&error.to_json());
    out.extend_from_slice(b"\n\n");
}

/// Waits for a stream's first item, so that a failure before it is still an answer with a status of its own. After
/// `patience` the stream is handed back as it is: a client must not wait for the head of its answer for ever.
///
/// # Errors
/// The first item, where it is one.
pub async fn opened<T: Send + 'static>(
    stream: Replies<T>,
    patience: Duration,
) -> Result<Peekable<BoxStream<'static, Result<T, Status>>>, Status> {
    let mut stream = stream.peekable();
    let failed = timeout(patience, Pin::new(&mut stream).peek()).await.is_ok_and(|first| matches!(first, Some(Err(_))));
    match failed.then(|| futures_util::FutureExt::now_or_never(stream.next())).flatten().flatten() {
        Some(Err(status)) => Err(status),
        Some(Ok(_)) | None => Ok(stream),
    }
}

/// The body of an event stream.
struct Events<S, W> {
    /// `None` once it has ended.
    stream: Option<Pin<Box<S>>>,
    news: Arc<News>,
    /// Tells `news`, and wakes the reader.
    waker: Waker,
    write: W,
    buffer: BytesMut,
    heartbeat: Duration,
    quiet_since: Instant,
    /// Set anew only when it rings, not with every frame: that would cost more than the frame.
    alarm: Pin<Box<Sleep>>,
    /// It is set.
    alarmed: bool,
    _open: OpenStream,
}

/// Whether the stream or the alarm has something to say. A connection asks for the next frame whenever it has written
/// one, and when its client moves: without news, asking on would cost as much as an event.
struct News {
    some: AtomicBool,
    reader: AtomicWaker,
}

impl Wake for News {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.some.store(true, Ordering::Release);
        self.reader.wake();
    }
}

impl<S, W> Events<S, W>
where
    S: Stream,
    W: FnMut(Option<S::Item>, &mut BytesMut) -> Flow,
{
    /// Collects what is ready.
    fn fill(&mut self, cx: &mut Context<'_>) {
        while let Some(stream) = &mut self.stream {
            if self.buffer.len() >= FRAME {
                // There may be more, of which nobody will be told.
                self.news.some.store(true, Ordering::Release);
                return;
            }
            let Poll::Ready(item) = stream.as_mut().poll_next(cx) else { return };
            let last = item.is_none();
            // One allocation serves many frames: each is split off and the rest of the room is used again.
            if self.buffer.capacity() == 0 {
                self.buffer.reserve(ROOM);
            }
            if (self.write)(item, &mut self.buffer) == Flow::End || last {
                self.stream = None;
            }
        }
    }
}

// Nothing in it is pinned in place: the stream and the alarm have boxes of their own.
impl<S, W> Unpin for Events<S, W> {}

impl<S, W> HttpBody for Events<S, W>
where
    S: Stream,
    W: FnMut(Option<S::Item>, &mut BytesMut) -> Flow,
{
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        this.news.reader.register(cx.waker());
        let waker = this.waker.clone();
        let cx = &mut Context::from_waker(&waker);
        if this.news.some.swap(false, Ordering::AcqRel) {
            this.fill(cx);
            if !this.buffer.is_empty() {
                this.quiet_since = Instant::now();
                return Poll::Ready(Some(Ok(Frame::data(this.buffer.split().freeze()))));
            }
        }
        if this.stream.is_none() {
            return Poll::Ready(None);
        }
        while !this.alarmed || this.alarm.is_elapsed() {
            // One that the runtime turned away, this turn's work being done, would not be set.
            this.alarmed = pin!(unconstrained(this.alarm.as_mut())).poll(cx).is_pending();
            if this.alarmed {
                break;
            }
            let due = this.quiet_since + this.heartbeat;
            let now = Instant::now();
            if due <= now {
                this.quiet_since = now;
                this.alarm.as_mut().reset(now + this.heartbeat);
                return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(HEARTBEAT)))));
            }
            this.alarm.as_mut().reset(due);
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
mod tests {
    use std::future::poll_fn;

    use futures_util::stream;
    use http_body_util::BodyExt;
    use tokio::{sync::mpsc, task::coop::poll_proceed};

    use super::*;

    fn line(item: Option<u32>, out: &mut BytesMut) -> Flow {
        match item {
            Some(number) => out.extend_from_slice(format!("data: {number}\n\n").as_bytes()),
            None => out.extend_from_slice(b"data: [DONE]\n\n"),
        }
        Flow::More
    }

    async fn frame(body: &mut Body) -> Option<Bytes> {
        Some(body.frame().await?.unwrap().into_data().unwrap())
    }

    fn channel() -> (mpsc::UnboundedSender<u32>, impl Stream<Item = u32> + Send) {
        let (send, receive) = mpsc::unbounded_channel();
        (send, stream::unfold(receive, async |mut receive| receive.recv().await.map(|item| (item, receive))))
    }

    const QUIET: Duration = Duration::from_secs(15);

    #[tokio::test]
    async fn events_ready_together_leave_in_one_frame_and_the_end_with_them() {
        let response = answer(stream::iter([1, 2]), line, QUIET);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        let mut body = response.into_body();
        assert_eq!(frame(&mut body).await.unwrap(), "data: 1\n\ndata: 2\n\ndata: [DONE]\n\n");
        assert!(body.is_end_stream());
        assert_eq!(frame(&mut body).await, None);
    }

    #[tokio::test]
    async fn an_event_does_not_wait_for_the_next_one() {
        let (send, items) = channel();
        let mut body = answer(items, line, QUIET).into_body();
        send.send(1).unwrap();
        assert_eq!(frame(&mut body).await.unwrap(), "data: 1\n\n");
        send.send(2).unwrap();
        assert_eq!(frame(&mut body).await.unwrap(), "data: 2\n\n");
    }

    #[tokio::test]
    async fn a_frame_stays_near_its_bound_however_many_events_are_ready() {
        let mut body = answer(stream::iter(0..100_000), line, QUIET).into_body();
        let mut all = Vec::new();
        while let Some(data) = frame(&mut body).await {
            assert!(data.len() < FRAME + 64);
            all.extend_from_slice(&data);
        }
        let all = String::from_utf8(all).unwrap();
        let events = all.strip_suffix("data: [DONE]\n\n").unwrap().split_terminator("\n\n");
        assert!(events.eq((0..100_000).map(|number| format!("data: {number}"))));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_broken_by_a_comment_after_exactly_the_heartbeat() {
        let (send, items) = channel();
        let mut body = answer(items, line, QUIET).into_body();
        let start = Instant::now();
        assert_eq!(frame(&mut body).await.unwrap(), HEARTBEAT);
        assert_eq!(start.elapsed().as_secs(), 15);
        tokio::time::advance(Duration::from_secs(10)).await;
        send.send(1).unwrap();
        assert_eq!(frame(&mut body).await.unwrap(), "data: 1\n\n");
        let spoken = Instant::now();
        assert_eq!(frame(&mut body).await.unwrap(), HEARTBEAT);
        assert_eq!(spoken.elapsed().as_secs(), 15);
    }

    #[tokio::test(start_paused = true)]
    async fn a_first_look_at_the_end_of_a_turn_does_not_lose_the_heartbeat() {
        let (_send, items) = channel();
        let mut body = answer(items, line, QUIET).into_body();
        poll_fn(|cx| {
            while let Poll::Ready(step) = poll_proceed(cx) {
                step.made_progress();
            }
            assert!(Pin::new(&mut body).poll_frame(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        assert_eq!(timeout(QUIET * 2, frame(&mut body)).await.unwrap().unwrap(), HEARTBEAT);
    }

    #[tokio::test]
    async fn a_writer_can_end_the_stream_early_and_thereby_drops_it() {
        let (send, items) = channel();
        let end = |item: Option<u32>, out: &mut BytesMut| {
            line(item, out);
            Flow::End
        };
        let mut body = answer(items, end, QUIET).into_body();
        send.send(1).unwrap();
        assert_eq!(frame(&mut body).await.unwrap(), "data: 1\n\n");
        assert_eq!(frame(&mut body).await, None);
        assert!(send.is_closed());
    }

    #[tokio::test]
    async fn a_failure_before_the_first_item_is_told_apart() {
        let failing = stream::iter([Err::<u32, _>(Status::not_found("x"))]).boxed();
        assert_eq!(opened(failing, QUIET).await.err().unwrap().code(), tonic::Code::NotFound);
        let fine = stream::iter([Ok(1), Err(Status::not_found("x"))]).boxed();
        let items: Vec<_> = opened(fine, QUIET).await.unwrap().map(|item| item.is_ok()).collect().await;
        assert_eq!(items, [true, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_stream_is_handed_back_after_the_patience() {
        let start = Instant::now();
        assert!(opened(stream::pending::<Result<u32, Status>>().boxed(), QUIET).await.is_ok());
        assert_eq!(start.elapsed(), QUIET);
    }
}
