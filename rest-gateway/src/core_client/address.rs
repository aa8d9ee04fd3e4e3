//! Addresses of a core, and the sockets that are opened to them.

use std::{
    fmt,
    io::{self, IoSlice},
    path::PathBuf,
    pin::Pin,
    task::{Context, Poll},
};

use http::uri::{Authority, Scheme, Uri};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::tls::CoreTls;

/// The port of `http`.
const HTTP: u16 = 80;
/// The port of `https`.
const HTTPS: u16 = 443;

/// The address of a core that cannot be used.
#[derive(Debug)]
pub enum ConnectError {
    /// It is not `http://HOST:PORT`, `https://HOST:PORT` or `unix:PATH`.
    Address,
    /// Its scheme is `https`, and [`ConnectOptions::tls`](super::ConnectOptions::tls) is not set.
    WithoutTls,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "expected http://HOST:PORT, https://HOST:PORT or unix:PATH",
            Self::WithoutTls => "an https URL needs TLS settings",
        })
    }
}

impl std::error::Error for ConnectError {}

/// Where a core listens.
#[derive(Debug, Clone)]
pub(super) struct CoreAddress {
    /// `:scheme` of the calls.
    pub(super) scheme: Scheme,
    /// `:authority` of the calls.
    pub(super) authority: Authority,
    target: Target,
}

#[derive(Debug, Clone)]
enum Target {
    /// An IPv6 address is without its brackets.
    Tcp {
        host: String,
        port: u16,
        tls: Option<CoreTls>,
    },
    Unix(PathBuf),
}

impl CoreAddress {
    /// Parses `http://HOST:PORT`, `https://HOST:PORT`, for which `tls` is needed, or `unix:PATH`. The path of a URL is ignored.
    pub(super) fn parse(text: &str, tls: Option<CoreTls>) -> Result<Self, ConnectError> {
        if let Some(path) = text.strip_prefix("unix://").or_else(|| text.strip_prefix("unix:")) {
            let target = Target::Unix(PathBuf::from(path));
            return Ok(Self { scheme: Scheme::HTTP, authority: Authority::from_static("localhost"), target });
        }
        let uri = text.parse::<Uri>().map_err(|_| ConnectError::Address)?.into_parts();
        let (Some(scheme), Some(authority)) = (uri.scheme, uri.authority) else { return Err(ConnectError::Address) };
        let (port, tls) = match scheme.as_str() {
            "http" => (HTTP, None),
            "https" => (HTTPS, Some(tls.ok_or(ConnectError::WithoutTls)?)),
            _ => return Err(ConnectError::Address),
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().unwrap_or(port);
        Ok(Self { scheme, authority, target: Target::Tcp { host, port, tls } })
    }

    /// Opens a socket. The caller limits the time.
    pub(super) async fn open(&self) -> io::Result<CoreSocket> {
        let (host, port, tls) = match &self.target {
            Target::Unix(path) => return UnixStream::connect(path).await.map(CoreSocket::Unix),
            Target::Tcp { host, port, tls } => (host.as_str(), *port, tls),
        };
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = tls else { return Ok(CoreSocket::Tcp(stream)) };
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, format!("host name \"{host}\": {error}")))?;
        let stream = TlsConnector::from(tls.load()).connect(name, stream).await;
        // The client of the gateway learns only that the core cannot be reached.
        let stream = stream.inspect_err(|error| tracing::warn!(%error, "the TLS handshake with the core failed"))?;
        Ok(CoreSocket::Tls(Box::new(stream)))
    }
}

/// A socket that is connected to a core.
pub(super) enum CoreSocket {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Unix(UnixStream),
}

/// Calls a method of the socket, whichever it is.
macro_rules! delegate {
    ($socket:expr, $method:ident($($argument:expr),*)) => {
        match $socket.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).$method($($argument),*),
            Self::Tls(stream) => Pin::new(&mut **stream).$method($($argument),*),
            Self::Unix(stream) => Pin::new(stream).$method($($argument),*),
        }
    };
}

impl AsyncRead for CoreSocket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        delegate!(self, poll_read(cx, buffer))
    }
}

impl AsyncWrite for CoreSocket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        delegate!(self, poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        delegate!(self, poll_write_vectored(cx, parts))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_scheme_and_default_ports_and_ipv6_is_without_brackets() {
        let target = |text: &str| match CoreAddress::parse(text, None).unwrap().target {
            Target::Tcp { host, port, .. } => format!("{host} {port}"),
            Target::Unix(path) => path.display().to_string(),
        };
        assert_eq!(target("http://core"), "core 80");
        assert_eq!(target("http://[::1]:50051"), "::1 50051");
        assert_eq!(target("unix:/run/core"), "/run/core");
        assert_eq!(target("unix:///run/core"), "/run/core");
        for text in ["", "not an address", "core:50051", "ftp://core:1", "/run/core"] {
            assert!(matches!(CoreAddress::parse(text, None), Err(ConnectError::Address)), "{text}");
        }
        assert!(matches!(CoreAddress::parse("https://core", None), Err(ConnectError::WithoutTls)));
    }
}
