//! `triptych health`: asks a running process whether it is ready.
//!
//! Images without a shell have no other program for the health check of a container.

use std::{
    io::{self, Read as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs as _},
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use http_server::ListenAddress;
use rest_gateway::core_client::{ConnectOptions, CoreServices};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};
use url::{Position, Url};

use crate::{cli::Health, config::Config};

/// Maximum time for each step: connecting, and each read of the response. `/readyz` responds within 2 seconds.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Maximum size of a response of `/readyz`, in bytes.
const MAX_RESPONSE: u64 = 64 << 10;

/// Asks the process that the arguments name, or the one that has this configuration.
///
/// # Errors
/// The process cannot be reached, or is not ready.
pub(crate) fn run(arguments: &Health, config: Option<&Path>) -> anyhow::Result<()> {
    if let Some(core) = &arguments.core {
        return check_core(core);
    }
    match &arguments.url {
        Some(url) => check_url(&readiness_url(url)?),
        None => check_local(&Config::load(config)?),
    }
}

/// Asks the process on this machine that has this configuration, by its admin port if it has one.
fn check_local(config: &Config) -> anyhow::Result<()> {
    let address = config.admin.listen.as_ref().unwrap_or(&config.rest.listen);
    ensure!(
        config.admin.listen.is_some() || config.rest.tls.files().is_none(),
        "the REST port has TLS; set admin.listen, whose port has /readyz without TLS"
    );
    match address {
        ListenAddress::Tcp(address) => check_url(&local_url(*address)?),
        ListenAddress::Unix(path) => check_socket(path).with_context(|| address.to_string()),
    }
}

/// Returns the URL to ask: without a path, that of the readiness endpoint.
fn readiness_url(text: &str) -> anyhow::Result<Url> {
    let url = Url::parse(text).ok().filter(|url| url.scheme() == "http" && url.has_host());
    let mut url =
        url.with_context(|| format!("--url {text}: must be an http URL, for example http://127.0.0.1:8000"))?;
    if url.path() == "/" {
        url.set_path("/readyz");
    }
    Ok(url)
}

/// Returns the URL of a process on this machine that listens on this address.
fn local_url(listen: SocketAddr) -> anyhow::Result<Url> {
    ensure!(
        listen.port() != 0,
        "the configured address {listen} selects a free port; name the URL of the process with --url"
    );
    let loopback = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    readiness_url(&format!("http://{}", SocketAddr::new(loopback, listen.port())))
}

fn check_url(url: &Url) -> anyhow::Result<()> {
    connect_and_check(url).with_context(|| url.to_string())
}

fn connect_and_check(url: &Url) -> anyhow::Result<()> {
    let host = url.host_str().context("has no host")?;
    let port = url.port_or_known_default().context("has no port")?;
    let name = host.trim_matches(['[', ']']);
    // A host name may have several addresses, and the server may listen on one of them only: `localhost` often has an IPv6 address too.
    let mut streams = (name, port).to_socket_addrs()?.map(|address| TcpStream::connect_timeout(&address, TIMEOUT));
    let first = streams.next().context("the host name has no address")?;
    let stream = streams.fold(first, io::Result::or)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    check_response(stream, &url[Position::BeforePath..Position::AfterQuery], &format!("{host}:{port}"))
}

#[cfg(unix)]
fn check_socket(path: &Path) -> anyhow::Result<()> {
    let stream = std::os::unix::net::UnixStream::connect(path)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    check_response(stream, "/readyz", "localhost")
}

#[cfg(not(unix))]
fn check_socket(_path: &Path) -> anyhow::Result<()> {
    bail!("this system has no Unix sockets")
}

/// Sends a GET request; fails unless the status is 200.
fn check_response(mut stream: impl io::Read + io::Write, target: &str, host: &str) -> anyhow::Result<()> {
    stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut response = Vec::new();
    stream.take(MAX_RESPONSE).read_to_end(&mut response)?;
    let response = String::from_utf8_lossy(&response);
    let (head, body) = response.split_once("\r\n\r\n").context("the response is not HTTP")?;
    let status = head.split_whitespace().nth(1).unwrap_or_default();
    if status == "200" {
        return Ok(());
    }
    bail!("status {status}: {}", body.trim())
}

/// Asks the whole core by the gRPC health protocol.
fn check_core(url: &str) -> anyhow::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
    let status = runtime.block_on(async {
        let core = CoreServices::connect(url, ConnectOptions::default())
            .with_context(|| {
                format!("--core {url}: must be an http URL, for example http://127.0.0.1:50051; for a core with TLS, set admin.listen and use --url")
            })?;
        // The empty name means the whole server.
        let call = core.health.check(tonic::Request::new(HealthCheckRequest { service: String::new() }));
        let response = tokio::time::timeout(TIMEOUT, call).await.with_context(|| format!("{url} has not responded"))?;
        let response = response.map_err(|status| anyhow::anyhow!("{url}: {}: {}", status.code(), status.message()))?;
        anyhow::Ok(response.into_inner().status())
    })?;
    runtime.shutdown_background();
    ensure!(status == ServingStatus::Serving, "{url}: the core cannot use its stores, or is shutting down");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_without_a_path_means_the_readiness_endpoint() {
        for (text, expected) in [
            ("http://127.0.0.1:8000", "http://127.0.0.1:8000/readyz"),
            ("http://gateway:8000/healthz", "http://gateway:8000/healthz"),
        ] {
            assert_eq!(readiness_url(text).unwrap().as_str(), expected);
        }
        for text in ["", "127.0.0.1:8000", "https://127.0.0.1:8000", "http://"] {
            let error = readiness_url(text).unwrap_err().to_string();
            assert!(error.contains("--url") && error.contains("http://127.0.0.1:8000"), "{error}");
        }
    }

    #[test]
    fn unspecified_addresses_are_asked_over_loopback() {
        for (listen, expected) in [
            ("0.0.0.0:8000", "http://127.0.0.1:8000/readyz"),
            ("[::]:8000", "http://[::1]:8000/readyz"),
            ("10.0.0.7:80", "http://10.0.0.7/readyz"),
        ] {
            assert_eq!(local_url(listen.parse().unwrap()).unwrap().as_str(), expected);
        }
        assert!(local_url("127.0.0.1:0".parse().unwrap()).unwrap_err().to_string().contains("--url"));
    }
}
