//! `triptych health`: asks a running process whether it is ready.
//!
//! Images without a shell have no other program for the health check of a container.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs as _},
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
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
    let url = match &arguments.url {
        Some(url) => readiness_url(url)?,
        None => local_url(Config::load(config)?.rest.listen)?,
    };
    check_rest(&url).with_context(|| url.to_string())
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
        "rest.listen = \"{listen}\" selects a free port; name the URL of the process with --url"
    );
    let loopback = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    readiness_url(&format!("http://{}", SocketAddr::new(loopback, listen.port())))
}

/// Sends a GET request; fails unless the status is 200.
fn check_rest(url: &Url) -> anyhow::Result<()> {
    let host = url.host_str().context("has no host")?;
    let port = url.port_or_known_default().context("has no port")?;
    let name = host.trim_matches(['[', ']']);
    let address = (name, port).to_socket_addrs()?.next().context("the host name has no address")?;
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let target = &url[Position::BeforePath..Position::AfterQuery];
    write!(stream, "GET {target} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n")?;
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
            .with_context(|| format!("--core {url}: must be a URL, for example http://127.0.0.1:50051"))?;
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
