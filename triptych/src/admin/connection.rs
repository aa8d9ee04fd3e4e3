//! The connection to the server that is administered.

use std::{
    env,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, anyhow, ensure};
use http_server::ListenAddress;
use rest_gateway::core_client::{ConnectOptions, CoreServices};
use tonic::{Request, Status, metadata::AsciiMetadataValue};
use triptych_proto::v1::admin_service_server::AdminService;

use super::arguments::Connection;
use crate::{
    certificates::Certificates,
    config::{Config, ConfigError},
};

/// How long a call may take. The check of a ledger with millions of entries takes seconds.
const CALL_TIMEOUT: Duration = Duration::from_mins(2);

/// The administration service of a server, and the key for it.
pub(super) struct AdminClient {
    pub(super) service: Arc<dyn AdminService>,
    authorization: AsciiMetadataValue,
    url: String,
}

impl Connection {
    /// Prepares a connection; it is opened by the first call.
    ///
    /// # Errors
    /// The variable with the key is not set; the URL is invalid.
    pub(super) fn open(&self, config: impl Fn() -> Result<Config, ConfigError>) -> anyhow::Result<AdminClient> {
        let key = env::var(&self.key_env).map_err(|_| {
            anyhow!("set the key of an administrator in {}, or name another variable with --key-env", self.key_env)
        })?;
        let mut authorization: AsciiMetadataValue =
            format!("Bearer {}", key.trim()).parse().map_err(|_| anyhow!("{}: the key is not ASCII", self.key_env))?;
        authorization.set_sensitive(true);
        let url = if let Some(url) = &self.url {
            url.clone()
        } else {
            let config = config()?;
            let scheme = if config.grpc_tls.files().is_some() { "https" } else { "http" };
            default_url(scheme, &config.core.grpc.listen)?
        };
        let tls = if url.starts_with("https:") { Some(Certificates::default().core(&config()?)?) } else { None };
        let services = CoreServices::connect(&url, ConnectOptions { tls, ..ConnectOptions::default() }).with_context(|| {
            format!("--url {url}: must be the gRPC address of the server, http://HOST:PORT, https://HOST:PORT or unix:PATH")
        })?;
        Ok(AdminClient { service: services.admin, authorization, url })
    }
}

/// Returns the URL at which this machine reaches a server that listens on this address. `scheme` is `http` or `https`.
fn default_url(scheme: &str, listen: &ListenAddress) -> anyhow::Result<String> {
    let ListenAddress::Tcp(listen) = listen else { return Ok(listen.to_string()) };
    ensure!(listen.port() != 0, "the setting grpc.listen has port 0; give the address of the server with --url");
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    Ok(format!("{scheme}://{}", SocketAddr::new(ip, listen.port())))
}

impl AdminClient {
    /// Returns a call with the key.
    pub(super) fn call<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.authorization.clone());
        request.set_timeout(CALL_TIMEOUT);
        request
    }

    /// Returns the error for a failed call.
    pub(super) fn error(&self, status: &Status) -> anyhow::Error {
        anyhow!("{}: {}", self.url, status.message())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_url_is_reachable_from_this_machine() {
        for (listen, url) in [
            ("127.0.0.1:50051", "http://127.0.0.1:50051"),
            ("0.0.0.0:7", "http://127.0.0.1:7"),
            ("[::]:7", "http://[::1]:7"),
            ("10.0.0.5:7", "http://10.0.0.5:7"),
            ("unix:/run/grpc.sock", "unix:/run/grpc.sock"),
        ] {
            assert_eq!(default_url("http", &listen.parse().unwrap()).unwrap(), url);
        }
        assert_eq!(default_url("https", &"127.0.0.1:7".parse().unwrap()).unwrap(), "https://127.0.0.1:7");
        assert!(default_url("http", &"127.0.0.1:0".parse().unwrap()).is_err());
    }
}
