//! One HTTP/1.1 connection to an upstream, driven by the task that waits for the response.
//!
//! No task of its own: received bytes are lent to the reader from a buffer that all connections of a thread share, so that
//! several body chunks are read in one go and a waiting call holds no buffer. A slow reader slows the upstream down, and
//! dropping the reader closes the connection at once.

use std::{
    cell::RefCell,
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::io::{AsyncRead, ReadBuf};

use super::connect::{Io, socket};

/// The longest response head, and the most bytes of one read.
pub(super) const BUFFER: usize = 64 << 10;

thread_local! {
    /// The read buffer of all connections of this thread. Bytes that cannot be passed on at once are copied out of it.
    static READ_BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// How long an idle connection is kept if the upstream does not announce its own timeout. Model servers without TLS
/// (uvicorn, Node, llama.cpp) close after five seconds, and a new connection to a near host is cheap; a TLS handshake is
/// expensive, and load balancers close after a minute.
const IDLE_TIMEOUT_PLAIN: Duration = Duration::from_secs(4);
const IDLE_TIMEOUT_TLS: Duration = Duration::from_secs(55);
/// How much earlier than the announced timeout a connection is given up: a request sent in the last moment could cross
/// the upstream's closing.
const IDLE_MARGIN: Duration = Duration::from_secs(1);

/// A connection that carries one request at a time.
pub(super) struct Connection {
    pub(super) io: TokioIo<Io>,
    /// How long the connection may stay idle in the pool.
    pub(super) idle_timeout: Duration,
    /// Whether the body of the last response was chunked.
    pub(super) last_was_chunked: bool,
}

impl Connection {
    pub(super) fn new(io: Io) -> Self {
        let idle_timeout = if matches!(io, Io::Https(_)) { IDLE_TIMEOUT_TLS } else { IDLE_TIMEOUT_PLAIN };
        Self { io: TokioIo::new(io), idle_timeout, last_was_chunked: false }
    }

    /// Adopts the timeout that the upstream announced in `Keep-Alive`.
    pub(super) fn set_keep_alive(&mut self, announced: Duration) {
        self.idle_timeout = announced.saturating_sub(IDLE_MARGIN).min(IDLE_TIMEOUT_TLS);
    }

    /// Returns whether the connection is open without unread bytes, as far as the runtime knows.
    pub(super) fn is_idle(&mut self) -> bool {
        // No task waits for this connection, so there is none to wake.
        let mut cx = Context::from_waker(Waker::noop());
        let mut byte = [0];
        Pin::new(&mut self.io).poll_read(&mut cx, &mut ReadBuf::new(&mut byte)).is_pending()
    }

    /// As [`is_idle`](Self::is_idle), but reads the state of the socket itself: a busy runtime learns late of a close. A request
    /// that is sent on a closed connection is lost, and whether the upstream received it is not known.
    pub(super) fn is_reusable(&mut self) -> bool {
        let is_empty = |read: io::Result<usize>| read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        self.is_idle() && is_empty(SockRef::from(socket(self.io.inner())).peek(&mut [MaybeUninit::uninit()]))
    }

    /// Lends the bytes that have arrived to `read`; an empty slice means end of stream. `read` must not read from an
    /// upstream itself: the thread's buffer is borrowed.
    pub(super) fn poll_read<T>(&mut self, cx: &mut Context<'_>, read: impl FnOnce(&[u8]) -> T) -> Poll<io::Result<T>> {
        READ_BUFFER.with_borrow_mut(|bytes| {
            bytes.resize(BUFFER, 0);
            let mut buffer = ReadBuf::new(bytes);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer))?;
            Poll::Ready(Ok(read(buffer.filled())))
        })
    }
}
