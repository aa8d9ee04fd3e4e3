//! Connections to an upstream: TCP, TLS where its address says https, through the proxy that the environment names.

use std::{
    sync::{Arc, LazyLock, OnceLock},
    time::Duration,
};

use http::{HeaderValue, Uri, uri::Scheme};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::{
    client::{
        legacy::connect::{HttpConnector, proxy::Tunnel},
        proxy::matcher::{Intercept, Matcher},
    },
    rt::TokioIo,
};
use rustls::{ClientConfig, crypto::ring};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::net::TcpStream;
use tower::ServiceExt;

use super::SetupError;

/// Finds dead peers below calls that are allowed to be silent for long.
const KEEPALIVE: Duration = Duration::from_mins(1);

/// What bytes travel over.
pub(super) type Io = MaybeHttpsStream<TokioIo<TcpStream>>;

/// The socket below.
pub(super) fn socket(io: &Io) -> &TcpStream {
    match io {
        MaybeHttpsStream::Http(tcp) => tcp.inner(),
        MaybeHttpsStream::Https(tls) => tls.inner().get_ref().0.inner().inner(),
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Opens connections to one upstream. They speak HTTP/1.1: one call has one connection, and hanging up ends the call.
pub(super) struct Connector {
    host: Uri,
    way: Way,
}

enum Way {
    Plain(HttpConnector),
    /// Without TLS a proxy is no tunnel: it is asked for the whole address.
    Forward(HttpConnector, Intercept),
    Tls(HttpsConnector<HttpConnector>),
    Tunnel(HttpsConnector<Tunnel<HttpConnector>>),
}

impl Connector {
    /// Connections to the host of this address, as `HTTPS_PROXY`, `NO_PROXY` and their kin want them.
    pub(super) fn new(host: Uri) -> Result<Self, SetupError> {
        static PROXIES: LazyLock<Matcher> = LazyLock::new(Matcher::from_env);
        let proxy = PROXIES.intercept(&host);
        Self::through(host, proxy)
    }

    fn through(host: Uri, proxy: Option<Intercept>) -> Result<Self, SetupError> {
        if proxy.as_ref().is_some_and(|proxy| proxy.uri().scheme() != Some(&Scheme::HTTP)) {
            return Err(SetupError::Proxy);
        }
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEEPALIVE));
        tcp.enforce_http(false);
        let secure = host.scheme() == Some(&Scheme::HTTPS);
        let way = match (secure, proxy) {
            (false, None) => Way::Plain(tcp),
            (false, Some(proxy)) => Way::Forward(tcp, proxy),
            (true, None) => Way::Tls((tcp, tls()?).into()),
            (true, Some(proxy)) => {
                let tunnel = Tunnel::new(proxy.uri().clone(), tcp);
                let tunnel = match proxy.basic_auth() {
                    Some(authorization) => tunnel.with_auth(authorization.clone()),
                    None => tunnel,
                };
                Way::Tunnel((tunnel, tls()?).into())
            }
        };
        Ok(Self { host, way })
    }

    /// Opens a connection. Dropping the future closes what stands of it.
    pub(super) async fn connect(&self) -> Result<Io, BoxError> {
        match &self.way {
            Way::Plain(tcp) => Ok(MaybeHttpsStream::Http(tcp.clone().oneshot(self.host.clone()).await?)),
            Way::Forward(tcp, proxy) => Ok(MaybeHttpsStream::Http(tcp.clone().oneshot(proxy.uri().clone()).await?)),
            Way::Tls(https) => https.clone().oneshot(self.host.clone()).await,
            Way::Tunnel(https) => https.clone().oneshot(self.host.clone()).await,
        }
    }

    /// Whether requests have to name the whole address, for a proxy to read.
    pub(super) fn forwards(&self) -> bool {
        matches!(self.way, Way::Forward(..))
    }

    /// What such a proxy wants to be shown with each request.
    pub(super) fn proxy_authorization(&self) -> Option<&HeaderValue> {
        match &self.way {
            Way::Forward(_, proxy) => proxy.basic_auth(),
            Way::Plain(_) | Way::Tls(_) | Way::Tunnel(_) => None,
        }
    }
}

/// One for all upstreams: the system's certificates take a megabyte.
fn tls() -> Result<Arc<ClientConfig>, rustls::Error> {
    static TLS: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(made) = TLS.get() {
        return Ok(made.clone());
    }
    let mut made = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()?
        .with_no_client_auth();
    made.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TLS.get_or_init(|| Arc::new(made)).clone())
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// A proxy that takes one connection, tells what it was asked and refuses it.
    async fn asked(host: &'static str) -> (String, Result<Io, BoxError>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = format!("http://me:secret@{}", listener.local_addr().unwrap());
        let proxies = Matcher::builder().all(proxy).no("inside.example").build();
        let host = Uri::from_static(host);
        let connector = Connector::through(host.clone(), proxies.intercept(&host)).unwrap();
        let serving = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 1024];
            let length = stream.read(&mut head).await.unwrap();
            stream.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").await.unwrap();
            String::from_utf8(head[..length].to_vec()).unwrap()
        };
        tokio::join!(serving, connector.connect())
    }

    #[tokio::test]
    async fn https_goes_through_a_tunnel_of_the_proxy() {
        let (head, connected) = asked("https://api.example.com").await;
        assert!(head.starts_with("CONNECT api.example.com:443 HTTP/1.1\r\n"), "{head}");
        assert!(head.to_lowercase().contains("proxy-authorization: basic bwu6c2vjcmv0"), "{head}");
        assert!(connected.is_err());
    }

    #[test]
    fn plain_http_asks_the_proxy_for_the_whole_address_and_exceptions_go_straight() {
        let proxies = Matcher::builder().all("http://me:secret@127.0.0.1:1").no("inside.example").build();
        for (host, forwards) in [("http://api.example.com", true), ("http://inside.example", false)] {
            let host = Uri::from_static(host);
            let connector = Connector::through(host.clone(), proxies.intercept(&host)).unwrap();
            assert_eq!(connector.forwards(), forwards, "{host}");
            assert_eq!(connector.proxy_authorization().is_some(), forwards, "{host}");
        }
    }

    #[test]
    fn a_proxy_that_is_not_spoken_to_in_plain_http_is_refused() {
        let host = Uri::from_static("https://api.example.com");
        let proxies = Matcher::builder().all("socks5://127.0.0.1:1").build();
        assert!(matches!(Connector::through(host.clone(), proxies.intercept(&host)), Err(SetupError::Proxy)));
    }
}
