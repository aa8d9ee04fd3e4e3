//! The socket of a client connection.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// Vectored writes up to this length are joined. A chunk with one event is some 300 bytes, in three slices: its length, the
/// event, and a line break.
const MAX_JOINED: usize = 1024;

/// Joins the slices of a short vectored write: copying a few hundred bytes costs less than a `writev`.
pub(super) struct Socket(pub(super) TcpStream);

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut joined = [0; MAX_JOINED];
        let mut length = 0;
        for part in parts {
            match joined.get_mut(length..length + part.len()) {
                Some(buffer) => buffer.copy_from_slice(part),
                None => return Pin::new(&mut self.0).poll_write_vectored(cx, parts),
            }
            length += part.len();
        }
        Pin::new(&mut self.0).poll_write(cx, &joined[..length])
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    #[tokio::test]
    async fn slices_arrive_in_order_whether_joined_or_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let mut socket = Socket(client);
        for lengths in [[3, 0, 4], [5, MAX_JOINED - 7, 2], [5, MAX_JOINED - 6, 2], [MAX_JOINED, 1, 0]] {
            let parts = [0, 1, 2].map(|number: usize| vec![b"abc"[number]; lengths[number]]);
            let slices = parts.each_ref().map(|part| IoSlice::new(part));
            let written = socket.write_vectored(&slices).await.unwrap();
            let mut arrived = vec![0; written];
            server.read_exact(&mut arrived).await.unwrap();
            // The send buffer is empty, and takes all of it.
            assert_eq!(arrived, parts.concat(), "{lengths:?}");
        }
    }
}
