//! Opens connections to an upstream: TCP, TLS for https addresses, through the proxy that the environment names.

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

use super::settings::SetupError;

/// The TCP keep-alive interval. It detects dead peers during calls with a long first-byte timeout.
const TCP_KEEPALIVE: Duration = Duration::from_mins(1);

/// A plain or encrypted byte stream.
pub(super) type Io = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Returns the TCP socket below a stream.
pub(super) fn socket(io: &Io) -> &TcpStream {
    match io {
        MaybeHttpsStream::Http(tcp) => tcp.inner(),
        MaybeHttpsStream::Https(tls) => tls.inner().get_ref().0.inner().inner(),
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Opens connections to one upstream. They speak HTTP/1.1 only: one request has one connection, so that closing it cancels
/// the request.
pub(super) struct Connector {
    host: Uri,
    route: Route,
}

/// How a connection reaches the host.
enum Route {
    /// Plain HTTP.
    Direct(HttpConnector),
    /// A forward proxy for plain HTTP: requests name the absolute address instead of opening a tunnel.
    Forward(HttpConnector, Intercept),
    Tls(HttpsConnector<HttpConnector>),
    /// TLS through a tunnel that a proxy opens for `CONNECT`.
    Tunnel(HttpsConnector<Tunnel<HttpConnector>>),
}

impl Connector {
    /// Creates a connector to the host of this address that follows `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`.
    pub(super) fn new(host: Uri) -> Result<Self, SetupError> {
        static PROXIES: LazyLock<Matcher> = LazyLock::new(Matcher::from_env);
        let proxy = PROXIES.intercept(&host);
        Self::through(host, proxy)
    }

    /// Creates a connector to a host through a proxy, if there is one.
    fn through(host: Uri, proxy: Option<Intercept>) -> Result<Self, SetupError> {
        if proxy.as_ref().is_some_and(|proxy| proxy.uri().scheme() != Some(&Scheme::HTTP)) {
            return Err(SetupError::Proxy);
        }
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(TCP_KEEPALIVE));
        // Permits https addresses, whose TLS is above this connector.
        tcp.enforce_http(false);
        let secure = host.scheme() == Some(&Scheme::HTTPS);
        let route = match (secure, proxy) {
            (false, None) => Route::Direct(tcp),
            (false, Some(proxy)) => Route::Forward(tcp, proxy),
            (true, None) => Route::Tls((tcp, tls()?).into()),
            (true, Some(proxy)) => {
                let tunnel = Tunnel::new(proxy.uri().clone(), tcp);
                let tunnel = match proxy.basic_auth() {
                    Some(authorization) => tunnel.with_auth(authorization.clone()),
                    None => tunnel,
                };
                Route::Tunnel((tunnel, tls()?).into())
            }
        };
        Ok(Self { host, route })
    }

    /// Opens a connection. Dropping the future abandons it.
    pub(super) async fn connect(&self) -> Result<Io, BoxError> {
        match &self.route {
            Route::Direct(tcp) => Ok(MaybeHttpsStream::Http(tcp.clone().oneshot(self.host.clone()).await?)),
            Route::Forward(tcp, proxy) => Ok(MaybeHttpsStream::Http(tcp.clone().oneshot(proxy.uri().clone()).await?)),
            Route::Tls(https) => https.clone().oneshot(self.host.clone()).await,
            Route::Tunnel(https) => https.clone().oneshot(self.host.clone()).await,
        }
    }

    /// Returns whether requests must name the absolute address, because a forward proxy reads it.
    pub(super) fn is_forward_proxy(&self) -> bool {
        matches!(self.route, Route::Forward(..))
    }

    /// Returns the `Proxy-Authorization` of a forward proxy, which every request carries.
    pub(super) fn proxy_authorization(&self) -> Option<&HeaderValue> {
        match &self.route {
            Route::Forward(_, proxy) => proxy.basic_auth(),
            Route::Direct(_) | Route::Tls(_) | Route::Tunnel(_) => None,
        }
    }
}

/// Returns the TLS configuration that all upstreams share: the system's certificates take a megabyte.
fn tls() -> Result<Arc<ClientConfig>, rustls::Error> {
    static TLS: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = TLS.get() {
        return Ok(config.clone());
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()?
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TLS.get_or_init(|| Arc::new(config)).clone())
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// Connects through a proxy that refuses; returns the request head that the proxy received, and the result.
    async fn connect_through_proxy(host: &'static str) -> (String, Result<Io, BoxError>) {
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
    async fn https_uses_a_connect_tunnel_with_proxy_authorization() {
        let (head, connected) = connect_through_proxy("https://api.example.com").await;
        assert!(head.starts_with("CONNECT api.example.com:443 HTTP/1.1\r\n"), "{head}");
        // `me:secret` in base64, in lower case like the rest.
        assert!(head.to_lowercase().contains("proxy-authorization: basic bwu6c2vjcmv0"), "{head}");
        assert!(connected.is_err());
    }

    #[test]
    fn plain_http_uses_the_forward_proxy_except_for_no_proxy_hosts() {
        let proxies = Matcher::builder().all("http://me:secret@127.0.0.1:1").no("inside.example").build();
        for (host, is_forward) in [("http://api.example.com", true), ("http://inside.example", false)] {
            let host = Uri::from_static(host);
            let connector = Connector::through(host.clone(), proxies.intercept(&host)).unwrap();
            assert_eq!(connector.is_forward_proxy(), is_forward, "{host}");
            assert_eq!(connector.proxy_authorization().is_some(), is_forward, "{host}");
        }
    }

    #[test]
    fn proxy_with_another_scheme_than_http_is_rejected() {
        let host = Uri::from_static("https://api.example.com");
        let proxies = Matcher::builder().all("socks5://127.0.0.1:1").build();
        assert!(matches!(Connector::through(host.clone(), proxies.intercept(&host)), Err(SetupError::Proxy)));
    }
}
