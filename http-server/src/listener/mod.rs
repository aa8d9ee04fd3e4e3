//! Sources of connections.

mod address;
mod bound;
mod connection_io;
#[cfg(target_os = "linux")]
mod handshake_filter;
#[cfg(unix)]
mod socket_file;

use std::{future::Future, io, net::IpAddr, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};

pub use self::{address::ListenAddress, bound::BoundListener};

/// Idle time before the first TCP keepalive probe. The kernel closes connections whose peer has vanished.
const TCP_KEEPALIVE: Duration = Duration::from_mins(1);

/// A source of connections, in the shape of axum's trait of this name. A connection is accepted by one runtime and served
/// by another, so accepting and opening are two steps; a TLS handshake is part of the second one.
pub trait Listener: Send {
    /// An accepted connection that is not registered with a runtime yet.
    type Accepted: Send + 'static;
    /// A connection that can be read and written.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Accepts the next connection and returns the address of its peer, if the peer has one. Dropping the future loses no
    /// connection.
    ///
    /// # Errors
    /// A failed accept, after which the next one may succeed; or a connection that broke while it was accepted.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Accepted, Option<IpAddr>)>> + Send;

    /// Stops the operating system from establishing further connections, as far as it can. Those that are established, or about to
    /// be, are still accepted. Without this, a connection that is established between the last accept and the close of the listener
    /// is reset, possibly after its client has sent a request.
    fn stop_establishing(&mut self) {}

    /// Registers a connection with the runtime of the caller, and performs its TLS handshake. Dropping the future closes the
    /// connection.
    fn open(accepted: Self::Accepted) -> impl Future<Output = Result<Self::Io, OpenError>> + Send;

    /// Returns whether the connection is encrypted.
    fn is_encrypted(_io: &Self::Io) -> bool {
        false
    }
}

/// Why an accepted connection cannot be served.
#[derive(Debug)]
pub enum OpenError {
    /// The operating system refuses to register it.
    Register(io::Error),
    /// The TLS handshake failed.
    Handshake(io::Error),
}

impl Listener for TcpListener {
    type Accepted = std::net::TcpStream;
    type Io = TcpStream;

    async fn accept(&mut self) -> io::Result<(Self::Accepted, Option<IpAddr>)> {
        let (stream, peer) = TcpListener::accept(self).await?;
        let stream = stream.into_std()?;
        // Without Nagle's algorithm: each server-sent event is to be sent at once.
        let _ = stream.set_nodelay(true);
        let keepalive = TcpKeepalive::new().with_time(TCP_KEEPALIVE).with_interval(TCP_KEEPALIVE / 4);
        let _ = SockRef::from(&stream).set_tcp_keepalive(&keepalive);
        Ok((stream, Some(peer.ip())))
    }

    #[cfg(target_os = "linux")]
    fn stop_establishing(&mut self) {
        if let Err(error) = handshake_filter::drop_new_handshakes(self) {
            tracing::debug!(%error, "cannot drop the handshakes of new connections before the listener closes");
        }
    }

    async fn open(accepted: Self::Accepted) -> Result<TcpStream, OpenError> {
        TcpStream::from_std(accepted).map_err(OpenError::Register)
    }
}

#[cfg(unix)]
impl Listener for tokio::net::UnixListener {
    type Accepted = std::os::unix::net::UnixStream;
    type Io = tokio::net::UnixStream;

    async fn accept(&mut self) -> io::Result<(Self::Accepted, Option<IpAddr>)> {
        let (stream, _) = tokio::net::UnixListener::accept(self).await?;
        Ok((stream.into_std()?, None))
    }

    async fn open(accepted: Self::Accepted) -> Result<tokio::net::UnixStream, OpenError> {
        tokio::net::UnixStream::from_std(accepted).map_err(OpenError::Register)
    }
}
