//! A socket whose writes are joined.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

/// The largest number of bytes that are joined, and the longest write that is copied for that: a few dozen requests.
const MAX_JOINED: usize = 32 << 10;

/// A socket that collects what is written to it until [`poll_send`](Self::poll_send).
///
/// h2 writes nearly every frame separately. A call has two, its head and its message, and several calls may be ready at the same
/// time; joined, they are one packet, for which the core wakes up once.
pub(super) struct JoinedWrites<I>(Arc<Mutex<State<I>>>);

/// Only the task of the connection locks it, through two handles: the one that h2 writes to, and its own.
struct State<I> {
    io: I,
    joined: BytesMut,
    /// Whether bytes were written to `io` since the last flush. TLS keeps written bytes until a flush.
    is_unflushed: bool,
    last_read: Instant,
}

impl<I> Clone for JoinedWrites<I> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<I> JoinedWrites<I> {
    fn lock(&self) -> MutexGuard<'_, State<I>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when bytes were read last.
    pub(super) fn last_read(&self) -> Instant {
        self.lock().last_read
    }
}

impl<I: AsyncWrite + Unpin> JoinedWrites<I> {
    pub(super) fn new(io: I) -> Self {
        let (joined, last_read) = (BytesMut::new(), Instant::now());
        Self(Arc::new(Mutex::new(State { io, joined, is_unflushed: false, last_read })))
    }

    /// Writes the collected bytes. Called after h2 has been polled.
    pub(super) fn poll_send(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.lock().poll_send(cx)
    }
}

impl<I: AsyncWrite + Unpin> State<I> {
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.joined.is_empty() {
            match ready!(Pin::new(&mut self.io).poll_write(cx, &self.joined))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.joined.advance(written),
            }
            self.is_unflushed = true;
        }
        if self.is_unflushed {
            ready!(Pin::new(&mut self.io).poll_flush(cx))?;
            self.is_unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for JoinedWrites<I> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.lock();
        ready!(Pin::new(&mut state.io).poll_read(cx, buffer))?;
        state.last_read = Instant::now();
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for JoinedWrites<I> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.lock();
        let length = parts.iter().map(|part| part.len()).sum::<usize>();
        if state.joined.len() + length > MAX_JOINED {
            ready!(state.poll_send(cx))?;
        }
        if length > MAX_JOINED {
            state.is_unflushed = true;
            return Pin::new(&mut state.io).poll_write_vectored(cx, parts);
        }
        for part in parts {
            state.joined.extend_from_slice(part);
        }
        Poll::Ready(Ok(length))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Does nothing: [`poll_send`](Self::poll_send) flushes.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.lock();
        ready!(state.poll_send(cx))?;
        Pin::new(&mut state.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn writes_wait_for_the_send_and_long_ones_follow_what_was_written_before() {
        let (io, mut peer) = duplex(4 * MAX_JOINED);
        let mut socket = JoinedWrites::new(io);
        socket.write_all(b"head").await.unwrap();
        socket.flush().await.unwrap();
        socket.write_all(b"body").await.unwrap();
        let mut read = vec![0; 8];
        let nothing = futures_util::FutureExt::now_or_never(peer.read(&mut read));
        assert!(nothing.is_none(), "written before the send");
        std::future::poll_fn(|cx| socket.poll_send(cx)).await.unwrap();
        assert_eq!(peer.read(&mut read).await.unwrap(), 8);
        assert_eq!(read, b"headbody");
        socket.write_all(b"first").await.unwrap();
        let long = vec![b'x'; 2 * MAX_JOINED];
        socket.write_all(&long).await.unwrap();
        std::future::poll_fn(|cx| socket.poll_send(cx)).await.unwrap();
        let mut read = vec![0; 5 + long.len()];
        peer.read_exact(&mut read).await.unwrap();
        assert!(read.starts_with(b"first") && read[5..] == long);
    }
}
