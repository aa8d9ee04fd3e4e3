//! One call on one connection, both moved by whoever waits for the answer.
//!
//! HTTP/1.1 as a client speaks it that has one call on a connection, streams most of its answers and drops them when it
//! has heard enough. A general client hands a body over piece by piece, each in an allocation and through a channel of
//! its own; here what has arrived is lent to its reader from a buffer that all calls of a thread share, many chunks in
//! one go, and a call that waits holds no buffer at all. It also follows that dropping the reader closes the connection
//! at once, and that one who reads slowly slows the upstream down.

use std::{
    cell::RefCell,
    future::poll_fn,
    io::{self, IoSlice},
    mem::{self, MaybeUninit},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, StatusCode};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    connect::{Io, socket},
    framing::{Framing, Malformed},
    head::{Head, patience, read_head, write_head},
    pool::{Kept, Pool},
};

/// Longest head of an answer, and most that is read at once.
const BUFFER: usize = 64 << 10;

thread_local! {
    /// Where everything is read to. What is not lent on at once is copied.
    static ARRIVED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// How long a connection is kept whose other side does not say for how long it will. What serves models without TLS
/// (uvicorn, Node, llama.cpp) waits five seconds, and a new connection next door is cheap; with TLS it is dear, and load
/// balancers wait a minute.
const KEPT_PLAIN: Duration = Duration::from_secs(4);
const KEPT_TLS: Duration = Duration::from_secs(55);
/// How much earlier than the other side we give a connection up: what is sent in its last moment may cross its closing.
const MARGIN: Duration = Duration::from_secs(1);

/// A connection that carries one call at a time.
pub(super) struct Connection {
    io: TokioIo<Io>,
    /// How long it may wait for its next call.
    pub(super) patience: Duration,
}

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// Nothing of the request was written.
    Unsent,
    /// The connection broke while the upstream had the request, or a part of it.
    Broken,
}

impl Connection {
    pub(super) fn new(io: Io) -> Self {
        let patience = if matches!(io, Io::Https(_)) { KEPT_TLS } else { KEPT_PLAIN };
        Self { io: TokioIo::new(io), patience }
    }

    /// Whether it stands and waits for a call, as far as the runtime has heard.
    pub(super) fn is_idle(&mut self) -> bool {
        // Nobody waits for it, so nobody needs to be woken.
        let mut cx = Context::from_waker(Waker::noop());
        let mut byte = [0];
        Pin::new(&mut self.io).poll_read(&mut cx, &mut ReadBuf::new(&mut byte)).is_pending()
    }

    /// Whether it stands and waits for a call. A busy runtime hears late of what has come: the socket itself is asked.
    /// What was sent on a closed connection would be lost, and nobody could tell whether it was received.
    pub(super) fn is_idle_now(&mut self) -> bool {
        let nothing = |read: io::Result<usize>| read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        self.is_idle() && nothing(SockRef::from(socket(self.io.inner())).peek(&mut [MaybeUninit::uninit()]))
    }

    /// Lends what has arrived to `read`: nothing at the end. `read` must not read itself.
    fn poll_read<T>(&mut self, cx: &mut Context<'_>, read: impl FnOnce(&[u8]) -> T) -> Poll<io::Result<T>> {
        ARRIVED.with_borrow_mut(|arrived| {
            arrived.resize(BUFFER, 0);
            let mut buffer = ReadBuf::new(arrived);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer))?;
            Poll::Ready(Ok(read(buffer.filled())))
        })
    }

    /// Sends a request and waits for the head of its answer. An answer may come before the request was sent to its end;
    /// then the rest is not sent.
    pub(super) async fn send(mut self, request: &Request<Bytes>, pool: Arc<Pool>) -> Result<Reply, Unanswered> {
        let begin = write_head(request);
        let mut outgoing = Outgoing { parts: [&begin, request.body()], sent: 0, flushed: false };
        let mut incoming = Incoming::default();
        let (head, early) = poll_fn(|cx| {
            if !outgoing.flushed
                && let Poll::Ready(Err(error)) = outgoing.poll_send(&mut self.io, cx)
            {
                tracing::debug!(%error, sent = outgoing.sent, "the connection to the upstream broke");
                // Who refuses a request may close while it is sent, and have said why.
                if outgoing.sent == 0 {
                    return Poll::Ready(Err(Unanswered::Unsent));
                }
                outgoing.flushed = true;
            }
            loop {
                match ready!(self.poll_read(cx, |arrived| incoming.take(request, arrived))) {
                    Ok(Ok(None)) => {}
                    Ok(Ok(Some(answer))) => return Poll::Ready(Ok(answer)),
                    Ok(Err(Malformed)) => return Poll::Ready(Err(Unanswered::Broken)),
                    Err(error) => {
                        tracing::debug!(%error, "the connection to the upstream broke");
                        return Poll::Ready(Err(Unanswered::Broken));
                    }
                }
            }
        })
        .await?;
        let keeps = head.keeps && outgoing.is_whole();
        if let Some(patience) = patience(&head.headers) {
            self.patience = patience.saturating_sub(MARGIN).min(KEPT_TLS);
        }
        let body = Body { connection: self, rest: Rest { framing: head.framing, keeps }, early };
        Ok(Reply { status: head.status, headers: head.headers, body: Some(body), pool })
    }
}

/// A request on its way out.
struct Outgoing<'a> {
    parts: [&'a [u8]; 2],
    sent: usize,
    /// Nothing more is sent.
    flushed: bool,
}

impl Outgoing<'_> {
    fn poll_send(&mut self, io: &mut TokioIo<Io>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let [head, body] = self.parts;
        while !self.is_whole() {
            let rest = [&head[self.sent.min(head.len())..], &body[self.sent.saturating_sub(head.len())..]];
            match ready!(Pin::new(&mut *io).poll_write_vectored(cx, &rest.map(IoSlice::new)))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.sent += written,
            }
        }
        ready!(Pin::new(io).poll_flush(cx))?;
        self.flushed = true;
        Poll::Ready(Ok(()))
    }

    fn is_whole(&self) -> bool {
        let [head, body] = self.parts;
        self.sent == head.len() + body.len()
    }
}

/// The head of an answer as far as it has come, where that takes several packets.
#[derive(Default)]
struct Incoming(Vec<u8>);

impl Incoming {
    /// The head and what came behind it, once it is whole.
    fn take(&mut self, request: &Request<Bytes>, arrived: &[u8]) -> Result<Option<(Head, Vec<u8>)>, Malformed> {
        if arrived.is_empty() || self.0.len() + arrived.len() > 2 * BUFFER {
            return Err(Malformed);
        }
        let all = if self.0.is_empty() {
            arrived
        } else {
            self.0.extend_from_slice(arrived);
            &self.0
        };
        let head = read_head(request.method(), all)?;
        if let Some((head, length)) = head {
            return Ok(Some((head, all[length..].to_vec())));
        }
        if self.0.is_empty() {
            self.0 = arrived.to_vec();
        }
        if self.0.len() > BUFFER { Err(Malformed) } else { Ok(None) }
    }
}

/// An answer under way. Dropping it closes its connection, unless it was read to its end.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// `None` once its end was seen.
    body: Option<Body>,
    pool: Arc<Pool>,
}

/// The body of an answer and the connection it comes over.
pub(super) struct Body {
    connection: Connection,
    rest: Rest,
    /// What came with the head and was not lent yet.
    early: Vec<u8>,
}

/// What is still to come of a body.
struct Rest {
    framing: Framing,
    /// The connection may serve another call behind it.
    keeps: bool,
}

/// The connection broke within an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection to the upstream broke")]
pub(crate) struct Broken;

impl Reply {
    /// What has arrived of the body, never empty; `None` at its end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Broken> {
        let mut chunk = BytesMut::new();
        let more = poll_fn(|cx| self.poll_body(cx, |data| chunk.extend_from_slice(data))).await?;
        Ok(more.then(|| chunk.freeze()))
    }

    /// Lends what has arrived of the body to `read`, in one call or several; `false` at its end, and then to nobody.
    /// `read` must not read from an upstream itself.
    pub(crate) fn poll_body(&mut self, cx: &mut Context<'_>, read: impl FnMut(&[u8])) -> Poll<Result<bool, Broken>> {
        let Some(body) = &mut self.body else { return Poll::Ready(Ok(false)) };
        let more = ready!(body.poll_data(cx, read));
        if let Ok(false) = more
            && let Some(connection) = self.body.take().and_then(Body::into_idle)
        {
            self.pool.put(Kept::Idle(connection));
        }
        Poll::Ready(more)
    }

    /// Ends it here, all that matters being read. Upstreams often send the end of the body behind the end of what they
    /// say, in a packet of its own: nobody waits for it, and the connection serves the next call if it has come by then.
    pub(crate) fn done(&mut self) {
        match self.poll_body(&mut Context::from_waker(Waker::noop()), |_| {}) {
            Poll::Pending => {
                if let Some(body) = self.body.take() {
                    self.pool.put(Kept::Ending(body));
                }
            }
            Poll::Ready(_) => self.body = None,
        }
    }
}

impl Body {
    /// See [`Reply::poll_body`].
    fn poll_data(&mut self, cx: &mut Context<'_>, mut read: impl FnMut(&[u8])) -> Poll<Result<bool, Broken>> {
        let Self { connection, rest, early } = self;
        let mut lent = rest.lend(&mem::take(early), &mut read);
        while lent == Ok(false) && !rest.framing.has_ended() {
            let arrived = connection.poll_read(cx, |arrived| {
                if arrived.is_empty() { rest.framing.close().map(|()| false) } else { rest.lend(arrived, &mut read) }
            });
            lent = ready!(arrived).unwrap_or_else(|error| {
                tracing::debug!(%error, "the connection to the upstream broke");
                Err(Malformed)
            });
        }
        Poll::Ready(lent.map_err(|Malformed| Broken))
    }

    /// See [`Connection::patience`].
    pub(super) fn patience(&self) -> Duration {
        self.connection.patience
    }

    /// Whether nothing but its end was still to come, and has.
    pub(super) fn has_ended(&mut self) -> bool {
        matches!(self.poll_data(&mut Context::from_waker(Waker::noop()), |_| {}), Poll::Ready(Ok(false)))
    }

    /// The connection of a body that has ended.
    pub(super) fn into_idle(mut self) -> Option<Connection> {
        (self.rest.keeps && self.connection.is_idle()).then_some(self.connection)
    }
}

impl Rest {
    /// Lends the data among these bytes; `false` if there is none.
    fn lend(&mut self, mut arrived: &[u8], read: &mut impl FnMut(&[u8])) -> Result<bool, Malformed> {
        let mut some = false;
        let all = loop {
            match self.framing.take(&mut arrived) {
                Ok(Some(data)) => read(data),
                Ok(None) => break Ok(()),
                Err(Malformed) => break Err(Malformed),
            }
            some = true;
        };
        // Whoever says more than the answer has said it to nobody.
        self.keeps &= arrived.is_empty();
        // What stands before a fault is whole and may matter; the next read fails as well.
        if some { Ok(true) } else { all.map(|()| false) }
    }
}
