//! Connects to a core with TLS. tonic's own connector reads the certificates once, and could not replace them.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tower::Service;

use super::tls::CoreTls;

/// The port of `https`.
const HTTPS: u16 = 443;

/// Opens TCP connections with TLS to the host of a URI.
#[derive(Debug, Clone)]
pub(super) struct TlsConnector {
    tls: CoreTls,
}

impl TlsConnector {
    pub(super) fn new(tls: CoreTls) -> Self {
        Self { tls }
    }
}

impl Service<Uri> for TlsConnector {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// The caller limits the time.
    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = tokio_rustls::TlsConnector::from(self.tls.load());
        Box::pin(async move {
            // An IPv6 address has brackets in a URI.
            let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
            let name = ServerName::try_from(host.to_owned()).map_err(|error| {
                io::Error::new(io::ErrorKind::InvalidInput, format!("host name \"{host}\": {error}"))
            })?;
            let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(HTTPS))).await?;
            stream.set_nodelay(true)?;
            let stream = connector.connect(name, stream).await;
            // The client of the gateway learns only that the core cannot be reached.
            let stream =
                stream.inspect_err(|error| tracing::warn!(%error, "the TLS handshake with the core failed"))?;
            Ok(TokioIo::new(stream))
        })
    }
}
