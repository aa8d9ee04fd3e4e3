//! Reading and writing connections of any kind: TCP or Unix socket, with TLS or without.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

/// A connection with or without TLS.
#[derive(Debug)]
pub enum ConnectionIo {
    /// Without TLS.
    Plain(PlainIo),
    /// With TLS. Boxed because its state takes a kilobyte, not counting its buffers.
    Tls(Box<TlsStream<PlainIo>>),
}

/// A socket of the operating system.
#[derive(Debug)]
pub enum PlainIo {
    /// A TCP connection.
    Tcp(TcpStream),
    /// A connection of a Unix socket.
    #[cfg(unix)]
    Unix(tokio::net::UnixStream),
}

/// Implements reading and writing of an enum by calling the same method of the value in each variant.
macro_rules! delegate {
    ($name:ident { $($(#[$attribute:meta])* $variant:ident),* $(,)? }) => {
        impl AsyncRead for $name {
            fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    $($(#[$attribute])* Self::$variant(io) => Pin::new(io).poll_read(cx, buffer),)*
                }
            }
        }

        impl AsyncWrite for $name {
            fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
                match self.get_mut() {
                    $($(#[$attribute])* Self::$variant(io) => Pin::new(io).poll_write(cx, bytes),)*
                }
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                parts: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                match self.get_mut() {
                    $($(#[$attribute])* Self::$variant(io) => Pin::new(io).poll_write_vectored(cx, parts),)*
                }
            }

            fn is_write_vectored(&self) -> bool {
                match self {
                    $($(#[$attribute])* Self::$variant(io) => io.is_write_vectored(),)*
                }
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    $($(#[$attribute])* Self::$variant(io) => Pin::new(io).poll_flush(cx),)*
                }
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    $($(#[$attribute])* Self::$variant(io) => Pin::new(io).poll_shutdown(cx),)*
                }
            }
        }
    };
}

delegate!(ConnectionIo { Plain, Tls });
delegate!(PlainIo {
    Tcp,
    #[cfg(unix)]
    Unix,
});
