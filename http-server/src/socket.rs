//! The socket of a connection, between hyper and the operating system.

use std::{
    fmt::Write as _,
    io::{self, IoSlice},
    mem::MaybeUninit,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use http::{Response, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{Application, activity::Activity};

/// Vectored writes of HTTP/1.1 up to this length in bytes are joined. A chunk with one event is some 300 bytes, in three
/// slices: its length, the event, and a line break.
const MAX_JOINED: usize = 1024;

/// How many bytes of an HTTP/2 connection are buffered before they are written: the frames of a burst of 100 chat events.
const MAX_COLLECTED: usize = 32 << 10;
/// A buffer with a larger capacity is freed once it is empty, so that idle connections stay small.
const MAX_KEPT_BUFFER: usize = 4 << 10;

/// How many bytes a closing connection reads and discards.
const MAX_LINGER_BYTES: usize = 64 << 20;

/// Records the activity of a connection, joins writes, and gives hyper's own error responses a body. If the client may
/// still be sending when the connection closes, the socket lingers: it reads on and discards what it reads, because a
/// reset would discard the response at the client.
///
/// hyper writes and flushes nearly every HTTP/2 frame separately, which costs two or three packets for a response. Frames are
/// therefore buffered until the task of the connection has polled hyper and calls [`poll_send`](Self::poll_send).
pub(crate) struct Socket<I, A>(Arc<Mutex<State<I, A>>>);

/// The state of a socket. Only the task of its connection locks it.
struct State<I, A> {
    io: I,
    /// Makes the responses that replace hyper's own.
    application: A,
    activity: Arc<Activity>,
    /// The unsent rest of the response that replaces one of hyper's own.
    replacement: Bytes,
    /// The number of bytes that were read and discarded while lingering.
    discarded: usize,
    /// Whether the next write begins a response: hyper has flushed everything, and no request is in flight.
    at_boundary: bool,
    /// The buffered bytes of an HTTP/2 connection.
    collected: BytesMut,
    /// Whether bytes of an HTTP/2 connection were written since the last flush. Written bytes may wait in the buffers of TLS.
    is_unflushed: bool,
    /// Whether a flush waits for the client, which only happens with TLS.
    is_flush_blocked: bool,
}

impl<I, A> Clone for Socket<I, A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<I, A> Socket<I, A> {
    fn lock(&self) -> MutexGuard<'_, State<I, A>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<I, A: Application> Socket<I, A>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    pub(crate) fn new(io: I, application: A, activity: Arc<Activity>) -> Self {
        Self(Arc::new(Mutex::new(State {
            io,
            application,
            activity,
            replacement: Bytes::new(),
            discarded: 0,
            at_boundary: true,
            collected: BytesMut::new(),
            is_unflushed: false,
            is_flush_blocked: false,
        })))
    }

    /// Writes the collected bytes of an HTTP/2 connection.
    pub(crate) fn poll_send(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.lock().poll_send(cx)
    }
}

impl<I, A: Application> State<I, A>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.collected.is_empty() {
            let written = Pin::new(&mut self.io).poll_write(cx, &self.collected);
            match ready!(self.record(written))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.collected.advance(written),
            }
            self.is_unflushed = true;
            if self.collected.is_empty() && self.collected.capacity() > MAX_KEPT_BUFFER {
                self.collected = BytesMut::new();
            }
        }
        if self.is_unflushed {
            ready!(self.poll_flush(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Flushes the connection, and records whether the flush is blocked, for the write timeout.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        if flushed.is_pending() {
            self.is_flush_blocked = true;
            self.activity.write_blocked();
        } else {
            self.is_unflushed = false;
            // Without TLS, a flush does nothing, and says nothing about a blocked write.
            if std::mem::take(&mut self.is_flush_blocked) {
                self.activity.bytes_written();
            }
        }
        flushed
    }

    /// Collects bytes of an HTTP/2 connection. Larger writes are not copied.
    fn poll_collect(&mut self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let length = parts.iter().map(|part| part.len()).sum::<usize>();
        if self.collected.len() + length > MAX_COLLECTED {
            ready!(self.poll_send(cx))?;
        }
        if length > MAX_COLLECTED {
            self.is_unflushed = true;
            let written = Pin::new(&mut self.io).poll_write_vectored(cx, parts);
            return self.record(written);
        }
        for part in parts {
            self.collected.extend_from_slice(part);
        }
        Poll::Ready(Ok(length))
    }

    /// Writes the replacement, if `bytes` are a response of hyper's own: hyper answers a head that it cannot parse by
    /// itself, without a body. Returns whether it has replaced `bytes`.
    fn poll_replace(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<bool>> {
        if self.replacement.is_empty() {
            // Bytes of a body may look like such a response.
            if !std::mem::take(&mut self.at_boundary) {
                return Poll::Ready(Ok(false));
            }
            let Some((status, date)) = parse_own_response(bytes) else { return Poll::Ready(Ok(false)) };
            self.replacement = serialize(&self.application.refuse_head(status), date);
            self.activity.request_linger();
        }
        while !self.replacement.is_empty() {
            let written = Pin::new(&mut self.io).poll_write(cx, &self.replacement);
            match ready!(self.record(written))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.replacement.advance(written),
            }
        }
        Poll::Ready(Ok(true))
    }

    /// Writes bytes of an HTTP/1.1 connection.
    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if ready!(self.poll_replace(cx, bytes))? {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.record(written)
    }

    /// Records whether a write is blocked, for the write timeout.
    fn record<T>(&self, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match &written {
            Poll::Pending => self.activity.write_blocked(),
            Poll::Ready(Ok(_)) => self.activity.bytes_written(),
            Poll::Ready(Err(_)) => {}
        }
        written
    }
}

/// Returns the status and the `date` if these bytes are a response of hyper's own: nothing but a head with no other headers
/// than these three. Responses of the application have a body.
fn parse_own_response(bytes: &[u8]) -> Option<(StatusCode, Option<&str>)> {
    let rest = bytes.strip_prefix(b"HTTP/1.1 4").or_else(|| bytes.strip_prefix(b"HTTP/1.0 4"))?;
    let status = match rest.get(..2)? {
        b"00" => StatusCode::BAD_REQUEST,
        b"14" => StatusCode::URI_TOO_LONG,
        b"31" => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        _ => return None,
    };
    let mut date = None;
    for line in std::str::from_utf8(rest).ok()?.strip_suffix("\r\n\r\n")?.split("\r\n").skip(1) {
        match line.split_once(": ")? {
            ("content-length", "0") | ("connection", _) => {}
            ("date", value) => date = Some(value),
            _ => return None,
        }
    }
    Some((status, date))
}

/// Serializes a response in HTTP/1.1, with the `date` that RFC 9110, section 6.6.1 requires of an origin server.
fn serialize(response: &Response<Bytes>, date: Option<&str>) -> Bytes {
    let mut head = String::new();
    // Writing to a string cannot fail.
    let _ = write!(head, "HTTP/1.1 {}\r\nconnection: close\r\n", response.status());
    let _ = write!(head, "content-length: {}\r\n", response.body().len());
    if let Some(date) = date {
        let _ = write!(head, "date: {date}\r\n");
    }
    for (name, value) in response.headers() {
        let _ = write!(head, "{name}: {}\r\n", value.to_str().unwrap_or_default());
    }
    head.push_str("\r\n");
    let mut bytes = BytesMut::from(head.as_bytes());
    bytes.extend_from_slice(response.body());
    bytes.freeze()
}

impl<I: AsyncRead + Unpin, A> AsyncRead for Socket<I, A> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let state = &mut *self.lock();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut state.io).poll_read(cx, buffer))?;
        let read = &buffer.filled()[before..];
        if !read.is_empty() {
            state.activity.bytes_read(read);
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin, A: Application> AsyncWrite for Socket<I, A> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let state = &mut *self.lock();
        if state.activity.is_http2() {
            return state.poll_collect(cx, &[IoSlice::new(bytes)]);
        }
        state.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let state = &mut *self.lock();
        if state.activity.is_http2() {
            return state.poll_collect(cx, parts);
        }
        // Copying a few hundred bytes costs less than a `writev`.
        let mut joined = [0; MAX_JOINED];
        let mut length = 0;
        for part in parts {
            let Some(buffer) = joined.get_mut(length..length + part.len()) else {
                state.at_boundary = false;
                let written = Pin::new(&mut state.io).poll_write_vectored(cx, parts);
                return state.record(written);
            };
            buffer.copy_from_slice(part);
            length += part.len();
        }
        state.poll_write(cx, &joined[..length])
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Leaves the collected bytes to [`poll_send`](Self::poll_send).
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let state = &mut *self.lock();
        ready!(state.poll_flush(cx))?;
        state.at_boundary = state.activity.is_idle();
        Poll::Ready(Ok(()))
    }

    /// Closes the sending half. If the client may still be sending, then reads until it stops.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let state = &mut *self.lock();
        ready!(state.poll_send(cx))?;
        ready!(Pin::new(&mut state.io).poll_shutdown(cx))?;
        if !state.activity.must_linger() {
            return Poll::Ready(Ok(()));
        }
        // The task of the connection ends it by a timeout at the latest.
        state.activity.linger_started();
        let mut storage = [MaybeUninit::uninit(); 4096];
        while state.discarded < MAX_LINGER_BYTES {
            let mut buffer = ReadBuf::uninit(&mut storage);
            match ready!(Pin::new(&mut state.io).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => state.discarded += buffer.filled().len(),
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
