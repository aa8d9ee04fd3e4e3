//! The start-up banner: the configured providers, the addresses, and example commands.

mod providers;
mod server;
mod stores;

use std::{
    fmt::{self, Display, Formatter},
    net::SocketAddr,
};

use core_service::{
    config::{Key, Webhooks},
    database::LostEvents,
};
use http_server::ListenAddress;
use url::Position;

pub(crate) use self::{
    providers::write_providers,
    server::{Security, Server},
};
use self::{server::reachable, stores::write_stores};
use crate::config::{Config, Pages};

/// The start-up banner.
#[derive(Debug)]
pub(crate) struct Banner<'a> {
    pub(crate) config: &'a Config,
    pub(crate) core: CoreLocation<'a>,
    /// The REST server, if there is one.
    pub(crate) rest: Option<Server>,
    /// The gRPC server, if there is one.
    pub(crate) grpc: Option<Server>,
    /// The address of the admin port, if there is one.
    pub(crate) admin: Option<ListenAddress>,
    /// The events that the job database has lost since its last use.
    pub(crate) lost_events: Option<LostEvents>,
    /// The API keys that were created at run time, also those that were revoked. Calls require a key if there are any.
    pub(crate) stored_keys: usize,
}

/// The location of the core.
#[derive(Debug, Clone, Copy)]
pub(crate) enum CoreLocation<'a> {
    /// In this process.
    InProcess,
    /// At this URL.
    Remote(&'a str),
}

impl Banner<'_> {
    /// Returns the servers that other machines can reach and that, as far as this process knows, require neither an API key nor a
    /// client certificate.
    pub(crate) fn exposed(&self) -> impl Iterator<Item = (&'static str, SocketAddr)> {
        self.public()
            .filter(|(_, server, _)| !self.requires_key() && server.security != Security::ClientCertificate)
            .map(|(name, _, address)| (name, address))
    }

    /// Returns the servers that other machines can reach.
    fn public(&self) -> impl Iterator<Item = (&'static str, &Server, SocketAddr)> {
        let servers = [("REST", self.rest.as_ref()), ("gRPC", self.grpc.as_ref())].into_iter();
        servers.filter_map(|(name, server)| Some((name, server?, server?.public_address()?)))
    }

    /// Returns whether this process requires API keys. A gateway alone passes them on and does not know.
    fn requires_key(&self) -> bool {
        !self.config.core.keys.is_empty() || self.stored_keys > 0
    }

    /// Returns the end of the warning about an exposed server.
    pub(crate) fn exposure_warning(&self) -> &'static str {
        match self.core {
            CoreLocation::InProcess => "requires no API key",
            CoreLocation::Remote(_) => "requires an API key only if the core does",
        }
    }

    /// Returns why the pages for browsers are not served, if that was not set.
    pub(crate) fn pages_off(&self) -> Option<&'static str> {
        match self.config.rest.pages {
            Pages::Auto if self.rest.is_some() && !self.config.gateway.runtime.pages => Some(
                "other machines can reach the address, and the configuration has no API keys; rest.pages = \"on\" serves them",
            ),
            Pages::Auto | Pages::On | Pages::Off => None,
        }
    }

    /// Writes commands that can be pasted into a shell.
    fn write_examples(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nTry it:")?;
        let key = if self.requires_key() { r#"-H "Authorization: Bearer $KEY" "# } else { "" };
        if let Some(server) = &self.rest {
            writeln!(
                f,
                r#"  curl {} {key}-H "Content-Type: application/json" -d '{{"model":"{}","messages":[{{"role":"user","content":"Hello"}}]}}'"#,
                server.curl("/v1/chat/completions"),
                self.config.core.chat.model
            )?;
        }
        if let Some(server) = &self.grpc {
            let (options, address) = server.grpcurl();
            // Without reflection grpcurl needs the proto files.
            let protos =
                if self.config.core.grpc.reflection { "" } else { "-import-path proto -proto triptych/v1/chat.proto " };
            writeln!(
                f,
                r#"  grpcurl {options}{key}{protos}-d '{{"chat":{{"messages":[{{"role":"user","text":"Hello"}}]}}}}' {address} triptych.v1.ChatService/CreateChat"#
            )?;
        }
        if let Some(server) = &self.rest {
            writeln!(f, "\nREST API: {}", server.url("/openapi.json"))?;
        }
        Ok(())
    }
}

impl Display for Banner<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "Triptych {}\n", env!("CARGO_PKG_VERSION"))?;
        match self.core {
            CoreLocation::InProcess => write_providers(f, self.config)?,
            CoreLocation::Remote(url) => writeln!(f, "  core   {url}")?,
        }
        writeln!(f)?;
        if let Some(server) = &self.rest {
            match server.address {
                ListenAddress::Tcp(_) => {
                    writeln!(f, "  REST   {}{}", server.url("/v1"), server.security.client_certificate())?;
                }
                ListenAddress::Unix(_) => writeln!(f, "  REST   {}{}", server.address, server.security.note())?,
            }
            if let Some(reason) = self.pages_off() {
                writeln!(f, "  pages  off: {reason}")?;
            } else if self.config.gateway.runtime.pages && server.address.tcp().is_some() {
                writeln!(f, "  pages  {} in a browser", server.url("/"))?;
            }
        }
        if let Some(Server { address, security }) = &self.grpc {
            let reachable = address.tcp().map_or_else(|| address.to_string(), |address| reachable(address).to_string());
            writeln!(f, "  gRPC   {reachable}{}", security.note())?;
        }
        if let Some(address) = &self.admin {
            let reachable = address.tcp().map(reachable);
            let address = reachable.map_or_else(|| address.to_string(), |address| format!("http://{address}"));
            writeln!(f, "  admin  {address}")?;
        }
        if let CoreLocation::InProcess = self.core {
            write_stores(f, &self.config.core)?;
            write_webhooks(f, &self.config.core.webhooks)?;
        }
        if self.requires_key() {
            let stored = (self.stored_keys > 0).then(|| format!("{} created at run time", self.stored_keys));
            let clients = client_names(&self.config.core.keys).into_iter().chain(stored);
            writeln!(f, "  keys   required; clients: {}", clients.collect::<Vec<_>>().join(", "))?;
            for (name, _, address) in self.public().filter(|(_, server, _)| server.security == Security::Plain) {
                let section = name.to_lowercase();
                writeln!(
                    f,
                    "         sent in plain text to {name} on {address}; set {section}.tls, or use a proxy with TLS"
                )?;
            }
        }
        if let Some(lost) = self.lost_events {
            writeln!(f, "\n  WARNING: {lost}.")?;
        }
        for (server, address) in self.exposed() {
            let warning = self.exposure_warning();
            writeln!(f, "\n  WARNING: {server} listens on {address}, which other machines can reach, and {warning}.")?;
            writeln!(f, "  Anyone who reaches the port can use the configured providers at your expense.")?;
            writeln!(
                f,
                "  Set API keys (TRIPTYCH_KEYS=name:secret), or put a firewall or an authenticating proxy in front."
            )?;
        }
        self.write_examples(f)?;
        writeln!(
            f,
            "Settings: `triptych --help` lists the most common ones, `triptych check` shows the current values."
        )
    }
}

/// Returns the names of the clients with API keys, each once, and which of them are administrators.
fn client_names(keys: &[Key]) -> Vec<String> {
    let name = |key: &Key| if key.admin { format!("{} (admin)", key.name) } else { key.name.clone() };
    let mut names: Vec<_> = keys.iter().map(name).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Writes the hosts of the endpoints of webhooks, if there are any. Paths and queries of their URLs may contain keys.
fn write_webhooks(f: &mut impl fmt::Write, webhooks: &Webhooks) -> fmt::Result {
    let urls = webhooks.endpoints.iter().filter_map(|endpoint| endpoint.url.as_ref());
    let hosts: Vec<_> = urls.map(|url| url[Position::BeforeHost..Position::AfterPort].to_owned()).collect();
    if hosts.is_empty() {
        Ok(())
    } else {
        writeln!(f, "  hooks  events of all videos are sent to {}", hosts.join(", "))
    }
}
