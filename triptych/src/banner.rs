//! The start-up banner: the configured providers, the addresses, and example commands.

use std::{
    fmt::{self, Display, Formatter},
    net::SocketAddr,
};

use core_service::{
    config::{Image, ImageServiceType, Key, Video, VideoServiceType, Webhooks},
    database::LostEvents,
};
use http_server::ListenAddress;
use url::Position;

use crate::config::{Config, hide_query};

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
}

/// A server of the process.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) address: ListenAddress,
    pub(crate) security: Security,
}

/// What a client of a server needs besides an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Security {
    /// Nothing: all is sent in plain text.
    Plain,
    /// TLS.
    Tls,
    /// TLS with a client certificate.
    ClientCertificate,
}

impl Server {
    /// Returns the address if other machines can reach it.
    fn public_address(&self) -> Option<SocketAddr> {
        self.address.tcp().filter(|address| !address.ip().is_loopback())
    }

    /// Returns the arguments with which curl reaches a path of the server.
    fn curl(&self, path: &str) -> String {
        let scheme = if self.security == Security::Plain { "http" } else { "https" };
        let certificate = match self.security {
            Security::Plain | Security::Tls => "",
            Security::ClientCertificate => "--cert client.pem --key client.key ",
        };
        match &self.address {
            ListenAddress::Tcp(address) => format!("{certificate}{scheme}://{}{path}", reachable(*address)),
            ListenAddress::Unix(socket) => {
                format!("{certificate}--unix-socket {} {scheme}://localhost{path}", socket.display())
            }
        }
    }

    /// Returns the options with which grpcurl reaches the server, and its address.
    fn grpcurl(&self) -> (&'static str, String) {
        match (&self.address, self.security) {
            (ListenAddress::Tcp(address), security) => {
                let options = match security {
                    Security::Plain => "-plaintext ",
                    Security::Tls => "",
                    Security::ClientCertificate => "-cert client.pem -key client.key ",
                };
                (options, reachable(*address).to_string())
            }
            (ListenAddress::Unix(socket), _) => ("-plaintext -unix ", socket.display().to_string()),
        }
    }
}

impl Security {
    /// Returns the end of a line about a server.
    fn note(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Tls => " with TLS",
            Self::ClientCertificate => " with TLS and client certificates",
        }
    }

    /// Returns the end of a line about a server whose URL shows that it has TLS.
    fn client_certificate(self) -> &'static str {
        match self {
            Self::Plain | Self::Tls => "",
            Self::ClientCertificate => " with client certificates",
        }
    }
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
        !self.config.core.keys.is_empty()
    }

    /// Returns the end of the warning about an exposed server.
    pub(crate) fn exposure_warning(&self) -> &'static str {
        match self.core {
            CoreLocation::InProcess => "requires no API key",
            CoreLocation::Remote(_) => "requires an API key only if the core does",
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
            writeln!(f, "\nREST API: {}", server.curl("/openapi.json"))?;
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
            match (&server.address, server.security) {
                (ListenAddress::Tcp(address), Security::Plain) => writeln!(f, "  REST   http://{}/v1", reachable(*address))?,
                (ListenAddress::Tcp(address), security) => {
                    writeln!(f, "  REST   https://{}/v1{}", reachable(*address), security.client_certificate())?;
                }
                (ListenAddress::Unix(_), security) => writeln!(f, "  REST   {}{}", server.address, security.note())?,
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
            let dir = &self.config.core.data_dir;
            writeln!(f, "  data   {}", std::path::absolute(dir).as_deref().unwrap_or(dir).display())?;
            write_webhooks(f, &self.config.core.webhooks)?;
        }
        if self.requires_key() {
            writeln!(f, "  keys   required; clients: {}", client_names(&self.config.core.keys))?;
            for (name, _, address) in self.public().filter(|(_, server, _)| server.security == Security::Plain) {
                let section = name.to_lowercase();
                writeln!(f, "         sent in plain text to {name} on {address}; set {section}.tls, or use a proxy with TLS")?;
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
fn client_names(keys: &[Key]) -> String {
    let name = |key: &Key| if key.admin { format!("{} (admin)", key.name) } else { key.name.clone() };
    let mut names: Vec<_> = keys.iter().map(name).collect();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}

/// Writes the provider of each service and the variable that changes it.
pub(crate) fn write_providers(f: &mut impl fmt::Write, config: &Config) -> fmt::Result {
    let core = &config.core;
    if !core.chat.upstreams.is_empty() {
        writeln!(f, "  chat   routed, default model {}; offline-chat is the built-in mock engine", core.chat.model)?;
        for upstream in &core.chat.upstreams {
            let url = upstream.base_url.as_ref().map_or_else(String::new, |url| hide_query(url.as_str()));
            writeln!(f, "         {} at {url} serves {}", upstream.name, upstream.models.join(", "))?;
        }
    } else if let Some(url) = &core.chat.base_url {
        let url = hide_query(url.as_str());
        writeln!(f, "  chat   connected to {url} as {}; offline-chat is the built-in mock engine", core.chat.model)?;
        if core.chat.api_key.is_none() {
            writeln!(f, "         without an API key; set one with CHAT_API_KEY")?;
        }
    } else {
        writeln!(f, "  chat   offline: built-in mock engine, not a language model")?;
        writeln!(f, "         connect an upstream with CHAT_BASE_URL, CHAT_API_KEY and CHAT_MODEL")?;
    }
    write_image_providers(f, &core.image)?;
    write_video_providers(f, &core.video)?;
    if offline_video::ENCODER_HAS_ASSEMBLY {
        writeln!(f, "         encoder built with assembly code")
    } else {
        writeln!(f, "         slow encoder, built without assembly code; install nasm and build again")
    }
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

/// Writes the image providers, the default first.
fn write_image_providers(f: &mut impl fmt::Write, image: &Image) -> fmt::Result {
    use ImageServiceType::{Dashscope, Doubao, Midjourney, NanoBanana, Offline, Openai};
    let line = |service_type: ImageServiceType, address: &str, models: &[String]| {
        (service_type, format!("connected to {address} for {}", models.join(", ")))
    };
    let Image { openai, doubao, nano_banana, midjourney, dashscope, .. } = image;
    let connected = [
        openai.is_configured().then(|| {
            let address = openai.base_url.as_ref().map_or_else(|| "OpenAI".to_owned(), |url| hide_query(url.as_str()));
            line(Openai, &address, &openai.models)
        }),
        dashscope.is_configured().then(|| line(Dashscope, "DashScope", &dashscope.models)),
        doubao.is_configured().then(|| line(Doubao, "Volcengine Ark", &doubao.models)),
        nano_banana.is_configured().then(|| line(NanoBanana, "Gemini", &nano_banana.models)),
        midjourney.base_url.as_ref().map(|url| line(Midjourney, &hide_query(url.as_str()), &midjourney.models)),
    ];
    let offline = match image.service_type {
        Offline => "offline: built-in mock engine; select another provider with IMAGE_SERVICE_TYPE",
        Doubao | NanoBanana | Midjourney | Openai | Dashscope => "offline-image is the built-in mock engine",
    };
    let lines = [(Offline, offline.to_owned())].into_iter().chain(connected.into_iter().flatten());
    write_lines(f, "image", &image.service_type, lines)
}

/// Writes the video providers, the default first.
fn write_video_providers(f: &mut impl fmt::Write, video: &Video) -> fmt::Result {
    use VideoServiceType::{
        Fal, Gemini, Kling, Midjourney, Minimax, Offline, Openai, Runway, Seedance, Vertex, Vidu, Wan, Xai,
    };
    let Video { service_type, fal, kling, midjourney, minimax, openai, runway, seedance, vidu, wan, xai, .. } = video;
    let (gemini, vertex) = video.google();
    let line = |service_type: VideoServiceType, address: &str, models: &[String]| {
        (service_type, format!("connected to {address} for {}", models.join(", ")))
    };
    let connected = [
        openai.is_configured().then(|| {
            let address = openai.base_url.as_ref().map_or_else(|| "OpenAI".to_owned(), |url| hide_query(url.as_str()));
            line(Openai, &address, &openai.models)
        }),
        fal.is_configured().then(|| line(Fal, "fal", &fal.models)),
        (gemini.is_configured() && !gemini.models.is_empty()).then(|| line(Gemini, "the Gemini API", &gemini.models)),
        midjourney.base_url.as_ref().map(|url| line(Midjourney, &hide_query(url.as_str()), &midjourney.models)),
        runway.is_configured().then(|| line(Runway, "Runway", &runway.models)),
        seedance.is_configured().then(|| line(Seedance, "Volcengine Ark", &seedance.models)),
        kling.is_configured().then(|| line(Kling, "Kling", &kling.models)),
        minimax.is_configured().then(|| line(Minimax, "MiniMax", &minimax.models)),
        (vertex.is_configured() && !vertex.models.is_empty()).then(|| line(Vertex, "Vertex AI", &vertex.models)),
        vidu.is_configured().then(|| line(Vidu, "Vidu", &vidu.models)),
        wan.is_configured().then(|| line(Wan, "DashScope", &wan.models)),
        xai.is_configured().then(|| line(Xai, "xAI", &xai.models)),
    ];
    let offline = if *service_type == Offline {
        "offline: built-in mock engine; select another provider with VIDEO_SERVICE_TYPE"
    } else {
        "offline-video is the built-in mock engine"
    };
    let lines = [(Offline, offline.to_owned())].into_iter().chain(connected.into_iter().flatten());
    write_lines(f, "video", service_type, lines)
}

/// Writes the lines of the providers of one modality, that of the default first.
fn write_lines<T: PartialEq>(
    f: &mut impl fmt::Write,
    modality: &str,
    default: &T,
    lines: impl Iterator<Item = (T, String)>,
) -> fmt::Result {
    let mut lines: Vec<_> = lines.collect();
    lines.sort_by_key(|(service_type, _)| service_type != default);
    for (position, (_, line)) in lines.iter().enumerate() {
        writeln!(f, "  {:<6} {line}", if position == 0 { modality } else { "" })?;
    }
    Ok(())
}

/// Returns an address that clients on this machine can connect to: a wildcard becomes loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => std::net::Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => std::net::Ipv6Addr::LOCALHOST.into(),
        SocketAddr::V4(_) | SocketAddr::V6(_) => address.ip(),
    };
    SocketAddr::new(ip, address.port())
}
