//! What a person reads when the process has started: what is connected, what is not, and what to type next.

use std::{
    fmt::{self, Display, Formatter},
    net::SocketAddr,
};

use crate::config::Config;

/// The start-up text.
#[derive(Debug)]
pub(crate) struct Banner<'a> {
    pub(crate) config: &'a Config,
    pub(crate) panels: Panels<'a>,
    /// Where REST is served, if it is.
    pub(crate) rest: Option<SocketAddr>,
    /// Where gRPC is served, if it is.
    pub(crate) grpc: Option<SocketAddr>,
}

/// Where the panels are.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Panels<'a> {
    /// In this process.
    Here,
    /// Behind this address.
    At(&'a str),
}

impl Banner<'_> {
    /// The doors that other machines can reach without a key, as far as this process knows.
    pub(crate) fn exposed(&self) -> impl Iterator<Item = (&'static str, SocketAddr)> {
        let doors = [("REST", self.rest), ("gRPC", self.grpc)].into_iter();
        doors
            .filter_map(|(door, address)| Some((door, address?)))
            .filter(|(_, address)| !address.ip().is_loopback() && !self.asks())
    }

    /// Whether callers are asked for keys here. A gateway alone hands on what they show, and does not know.
    fn asks(&self) -> bool {
        !self.config.core.keys.is_empty()
    }

    /// What is wrong with a door that others can reach.
    pub(crate) fn worry(&self) -> &'static str {
        match self.panels {
            Panels::Here => "asks nobody for a key",
            Panels::At(_) => "asks for a key only if its core does",
        }
    }
}

impl Display for Banner<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "Triptych {}\n", env!("CARGO_PKG_VERSION"))?;
        match self.panels {
            Panels::Here => panels(f, self.config)?,
            Panels::At(core) => writeln!(f, "  core   {core}")?,
        }
        writeln!(f)?;
        if let Some(address) = self.rest {
            writeln!(f, "  REST   http://{}/v1", reachable(address))?;
        }
        if let Some(address) = self.grpc {
            writeln!(f, "  gRPC   {}", reachable(address))?;
        }
        if let Panels::Here = self.panels {
            let dir = &self.config.core.data_dir;
            writeln!(f, "  data   {}", std::path::absolute(dir).as_deref().unwrap_or(dir).display())?;
        }
        if self.asks() {
            writeln!(f, "  keys   asked for; known are {}", names(&self.config.core.keys))?;
        }
        for (door, address) in self.exposed() {
            writeln!(f, "\n  WARNING: {door} listens on {address}, beyond this machine, and {}.", self.worry())?;
            writeln!(
                f,
                "  Whoever reaches the port uses what is connected here. TRIPTYCH_KEYS=name:secret sets a key;"
            )?;
            writeln!(f, "  or put a firewall or a proxy in front of it.")?;
        }
        writeln!(f, "\nTry it:")?;
        let key = if self.asks() { r#"-H "Authorization: Bearer $KEY" "# } else { "" };
        if let Some(address) = self.rest {
            writeln!(
                f,
                r#"  curl http://{}/v1/chat/completions {key}-H "Content-Type: application/json" -d '{{"model":"{}","messages":[{{"role":"user","content":"Hello"}}]}}'"#,
                reachable(address),
                self.config.core.chat.model
            )?;
        }
        if let Some(address) = self.grpc {
            // Without reflection grpcurl needs the contract itself.
            let contract =
                if self.config.core.grpc.reflection { "" } else { "-import-path proto -proto triptych/v1/chat.proto " };
            writeln!(
                f,
                r#"  grpcurl -plaintext {key}{contract}-d '{{"chat":{{"messages":[{{"role":"user","text":"Hello"}}]}}}}' {} triptych.v1.ChatService/CreateChat"#,
                reachable(address)
            )?;
        }
        if let Some(address) = self.rest {
            writeln!(f, "\nThe whole REST surface: http://{}/openapi.json", reachable(address))?;
        }
        writeln!(f, "Settings: triptych --help, and triptych check to see which came from where.")
    }
}

/// The callers, each once.
fn names(keys: &[core_service::config::Key]) -> String {
    let mut names: Vec<_> = keys.iter().map(|key| key.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}

/// What answers, panel by panel, and which variable changes that.
pub(crate) fn panels(f: &mut impl fmt::Write, config: &Config) -> fmt::Result {
    let core = &config.core;
    if !core.chat.upstreams.is_empty() {
        writeln!(f, "  chat   routed, {} by default; offline-chat stays the built-in engine", core.chat.model)?;
        for upstream in &core.chat.upstreams {
            let address = upstream.base_url.as_ref().map_or("", |url| url.as_str());
            writeln!(f, "         {} at {address} serves {}", upstream.name, upstream.models.join(", "))?;
        }
    } else if let Some(url) = &core.chat.base_url {
        writeln!(f, "  chat   connected to {url} as {}; offline-chat stays the built-in engine", core.chat.model)?;
        if core.chat.api_key.is_none() {
            writeln!(f, "         without a key; CHAT_API_KEY sets one")?;
        }
    } else {
        writeln!(f, "  chat   offline: the built-in engine answers, and no language model does")?;
        writeln!(f, "         CHAT_BASE_URL connects one, with CHAT_API_KEY and CHAT_MODEL")?;
    }
    images(f, &core.image)?;
    writeln!(f, "  video  offline: the built-in engine films (VIDEO_SERVICE_TYPE; this version has no other)")?;
    if offline_video::ENCODER_HAS_ASSEMBLY {
        writeln!(f, "         its encoder was built with the assembler")
    } else {
        writeln!(
            f,
            "         its encoder was built without the assembler, and is slow; have nasm on PATH when building"
        )
    }
}

/// Who makes pictures, the default first.
fn images(f: &mut impl fmt::Write, image: &core_service::config::Image) -> fmt::Result {
    use core_service::config::ImageServiceType as Kind;
    let line = |kind: Kind, address: &str, models: &[String]| {
        (kind, format!("connected to {address} for {}", models.join(", ")))
    };
    let core_service::config::Image { openai, doubao, nano_banana, midjourney, dashscope, .. } = image;
    let connected = [
        openai.is_connected().then(|| {
            let address = openai.base_url.as_ref().map_or("OpenAI", |url| url.as_str());
            line(Kind::Openai, address, &openai.models)
        }),
        dashscope.is_connected().then(|| line(Kind::Dashscope, "DashScope", &dashscope.models)),
        doubao.is_connected().then(|| line(Kind::Doubao, "Volcengine Ark", &doubao.models)),
        nano_banana.is_connected().then(|| line(Kind::NanoBanana, "Gemini", &nano_banana.models)),
        midjourney.base_url.as_ref().map(|url| line(Kind::Midjourney, url.as_str(), &midjourney.models)),
    ];
    let offline = match image.service_type {
        Kind::Offline => "offline: the built-in engine paints; IMAGE_SERVICE_TYPE chooses another",
        Kind::Doubao | Kind::NanoBanana | Kind::Midjourney | Kind::Openai | Kind::Dashscope => {
            "offline-image stays the built-in engine"
        }
    };
    let mut lines: Vec<_> =
        [(Kind::Offline, offline.to_owned())].into_iter().chain(connected.into_iter().flatten()).collect();
    lines.sort_by_key(|(kind, _)| *kind != image.service_type);
    for (place, (_, line)) in lines.iter().enumerate() {
        writeln!(f, "  {:<6} {line}", if place == 0 { "image" } else { "" })?;
    }
    Ok(())
}

/// An address that works when pasted: a wildcard is reached through the loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => std::net::Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => std::net::Ipv6Addr::LOCALHOST.into(),
        SocketAddr::V4(_) | SocketAddr::V6(_) => address.ip(),
    };
    SocketAddr::new(ip, address.port())
}
