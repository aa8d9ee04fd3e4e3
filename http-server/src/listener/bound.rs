//! A bound address: TCP or a Unix socket, with TLS or without.

use std::{io, net::IpAddr};

use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{
    Listener, OpenError,
    address::ListenAddress,
    connection_io::{ConnectionIo, PlainIo},
};
use crate::Tls;

/// A listener on a [`ListenAddress`], with or without TLS. The file of a Unix socket is removed when this is dropped.
#[derive(Debug)]
pub struct BoundListener {
    socket: Socket,
    tls: Option<Tls>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(super::socket_file::SocketFile),
}

/// An accepted connection that is not registered with a runtime yet.
#[derive(Debug)]
pub struct Accepted {
    socket: AcceptedSocket,
    tls: Option<Tls>,
}

#[derive(Debug)]
enum AcceptedSocket {
    Tcp(std::net::TcpStream),
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixStream),
}

impl BoundListener {
    /// Listens on an address. All connections begin with a TLS handshake if `tls` is set.
    ///
    /// A Unix socket has the mode 0660. The file of a socket on which no process listens is replaced.
    ///
    /// # Errors
    /// If the address is in use or not available.
    pub async fn bind(address: &ListenAddress, tls: Option<Tls>) -> io::Result<Self> {
        let socket = match address {
            ListenAddress::Tcp(address) => Socket::Tcp(TcpListener::bind(address).await?),
            #[cfg(unix)]
            ListenAddress::Unix(path) => Socket::Unix(super::socket_file::SocketFile::bind(path)?),
            #[cfg(not(unix))]
            ListenAddress::Unix(_) => return Err(io::ErrorKind::Unsupported.into()),
        };
        Ok(Self { socket, tls })
    }

    /// Returns the address, with the port that was selected for port 0.
    pub fn address(&self) -> io::Result<ListenAddress> {
        match &self.socket {
            Socket::Tcp(listener) => listener.local_addr().map(ListenAddress::Tcp),
            #[cfg(unix)]
            Socket::Unix(socket) => Ok(ListenAddress::Unix(socket.path().to_owned())),
        }
    }
}

impl Listener for BoundListener {
    type Accepted = Accepted;
    type Io = ConnectionIo;

    async fn accept(&mut self) -> io::Result<(Accepted, Option<IpAddr>)> {
        let (socket, peer) = match &mut self.socket {
            Socket::Tcp(listener) => {
                let (stream, peer) = Listener::accept(listener).await?;
                (AcceptedSocket::Tcp(stream), peer)
            }
            #[cfg(unix)]
            Socket::Unix(socket) => {
                let (stream, peer) = Listener::accept(socket.listener()).await?;
                (AcceptedSocket::Unix(stream), peer)
            }
        };
        Ok((Accepted { socket, tls: self.tls.clone() }, peer))
    }

    fn stop_establishing(&mut self) {
        match &mut self.socket {
            Socket::Tcp(listener) => listener.stop_establishing(),
            #[cfg(unix)]
            Socket::Unix(socket) => socket.remove(),
        }
    }

    async fn open(accepted: Accepted) -> Result<ConnectionIo, OpenError> {
        let io = match accepted.socket {
            AcceptedSocket::Tcp(stream) => PlainIo::Tcp(TcpListener::open(stream).await?),
            #[cfg(unix)]
            AcceptedSocket::Unix(stream) => PlainIo::Unix(tokio::net::UnixListener::open(stream).await?),
        };
        match accepted.tls {
            None => Ok(ConnectionIo::Plain(io)),
            Some(tls) => handshake(tls.acceptor(), io).await,
        }
    }

    fn is_encrypted(io: &ConnectionIo) -> bool {
        matches!(io, ConnectionIo::Tls(_))
    }
}

async fn handshake(acceptor: TlsAcceptor, io: PlainIo) -> Result<ConnectionIo, OpenError> {
    // Boxed: a handshake has several hundred bytes, which connections without TLS need not have.
    let stream = Box::pin(acceptor.accept(io)).await.map_err(OpenError::Handshake)?;
    Ok(ConnectionIo::Tls(Box::new(stream)))
}
