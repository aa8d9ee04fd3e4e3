//! The socket of a connection, between hyper and the operating system.

use std::{
    fmt::Write as _,
    io::{self, IoSlice},
    mem::MaybeUninit,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use http::{Response, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{Application, activity::Activity};

/// Vectored writes up to this length are joined. A chunk with one event is some 300 bytes, in three slices: its length, the
/// event, and a line break.
const MAX_JOINED: usize = 1024;

/// How much a closing connection reads and discards.
const MAX_LINGER_BYTES: usize = 64 << 20;

/// Records the activity of a connection, joins short writes, gives hyper's own responses a body, and lingers at the end.
pub(crate) struct Socket<I, A> {
    io: I,
    application: A,
    activity: Arc<Activity>,
    /// What remains of the response that replaces one of hyper's own.
    replacement: Bytes,
    discarded: usize,
    /// Whether the next write begins a response: hyper has flushed everything, and no request is in flight.
    at_boundary: bool,
}

impl<I, A: Application> Socket<I, A>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    pub(crate) fn new(io: I, application: A, activity: Arc<Activity>) -> Self {
        Self { io, application, activity, replacement: Bytes::new(), discarded: 0, at_boundary: true }
    }

    /// Writes the replacement, if `bytes` are a response of hyper's own: hyper answers a head that it cannot parse by itself,
    /// without a body.
    fn poll_replace(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<bool>> {
        if self.replacement.is_empty() {
            // Bytes of a body may look like such a response.
            if !std::mem::take(&mut self.at_boundary) {
                return Poll::Ready(Ok(false));
            }
            let Some(status) = own_status(bytes) else { return Poll::Ready(Ok(false)) };
            self.replacement = serialize(&self.application.refuse_head(status));
            self.activity.linger();
        }
        while !self.replacement.is_empty() {
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, &self.replacement))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.replacement.advance(written);
        }
        Poll::Ready(Ok(true))
    }

    fn record<T>(&self, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match &written {
            Poll::Pending => self.activity.write_blocked(),
            Poll::Ready(_) => self.activity.bytes_written(),
        }
        written
    }
}

/// Returns the status if these bytes are a response of hyper's own: nothing but a head with these three headers. Responses of
/// the application have a body.
fn own_status(bytes: &[u8]) -> Option<StatusCode> {
    let rest = bytes.strip_prefix(b"HTTP/1.1 4").or_else(|| bytes.strip_prefix(b"HTTP/1.0 4"))?;
    let status = match rest.get(..2)? {
        b"00" => StatusCode::BAD_REQUEST,
        b"14" => StatusCode::URI_TOO_LONG,
        b"31" => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        _ => return None,
    };
    let mut lines = std::str::from_utf8(rest).ok()?.strip_suffix("\r\n\r\n")?.split("\r\n").skip(1);
    let is_own = |line: &str| {
        line == "content-length: 0" || ["connection: ", "date: "].iter().any(|name| line.starts_with(name))
    };
    lines.all(is_own).then_some(status)
}

fn serialize(response: &Response<Bytes>) -> Bytes {
    let mut head = String::new();
    // Writing to a string cannot fail.
    let _ = write!(head, "HTTP/1.1 {}\r\nconnection: close\r\n", response.status());
    let _ = write!(head, "content-length: {}\r\n", response.body().len());
    for (name, value) in response.headers() {
        let _ = write!(head, "{name}: {}\r\n", value.to_str().unwrap_or_default());
    }
    head.push_str("\r\n");
    let mut bytes = BytesMut::from(head.as_bytes());
    bytes.extend_from_slice(response.body());
    bytes.freeze()
}

impl<I: AsyncRead + Unpin, A: Unpin> AsyncRead for Socket<I, A> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buffer))?;
        let read = &buffer.filled()[before..];
        if !read.is_empty() {
            self.activity.bytes_read(read);
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin, A: Application + Unpin> AsyncWrite for Socket<I, A> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if ready!(self.poll_replace(cx, bytes))? {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.record(written)
    }

    /// Joins the slices of a short write: copying a few hundred bytes costs less than a `writev`.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut joined = [0; MAX_JOINED];
        let mut length = 0;
        for part in parts {
            let Some(buffer) = joined.get_mut(length..length + part.len()) else {
                self.at_boundary = false;
                let written = Pin::new(&mut self.io).poll_write_vectored(cx, parts);
                return self.record(written);
            };
            buffer.copy_from_slice(part);
            length += part.len();
        }
        self.poll_write(cx, &joined[..length])
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        self.at_boundary = self.activity.is_idle();
        Poll::Ready(Ok(()))
    }

    /// Closes the sending half. If the client may still be sending, then reads until it stops.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
        if !self.activity.lingers() {
            return Poll::Ready(Ok(()));
        }
        // Ends by its timeout at the latest.
        self.activity.lingering();
        let mut storage = [MaybeUninit::uninit(); 4096];
        while self.discarded < MAX_LINGER_BYTES {
            let mut buffer = ReadBuf::uninit(&mut storage);
            match ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => self.discarded += buffer.filled().len(),
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
