//! The core's settings: typed, with their defaults, validated once at start.
//!
//! Where they come from is the executable's business; here is what they mean and which values make sense.

mod chat;
mod image;
mod keys;
mod media;

pub use chat::{Policy, RouteRule, Routing, Upstream};
pub use image::{
    DashscopeImages, Doubao, Image, ImageServiceType, MidjourneyImages, MidjourneySingles, NanoBanana, OpenaiFamily,
    OpenaiImages, SeedreamFamily,
};
pub use keys::Key;
pub use media::Media;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use secrecy::SecretString;
use serde::{Deserialize, Deserializer, de::Error as _};
use url::Url;

use crate::chat::{dialect::Dialect, on_disconnect::OnDisconnect};

/// Everything the core can be told.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where the job database and the media live.
    pub data_dir: PathBuf,
    /// The keys that callers may show. None: nobody is asked for one.
    pub keys: Vec<Key>,
    /// The chat panel.
    pub chat: Chat,
    /// The image panel.
    pub image: Image,
    /// The video panel.
    pub video: Video,
    /// The built-in engines.
    pub offline: Offline,
    /// The video job machine.
    pub jobs: Jobs,
    /// Pictures that come with requests, finished files and the links to them.
    pub media: Media,
    /// The core's own server.
    pub grpc: Grpc,
}

/// The chat panel.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Chat {
    /// An OpenAI-compatible upstream. `None`: the offline engine answers.
    #[serde(deserialize_with = "base_url")]
    pub base_url: Option<Url>,
    /// The upstream's key, where it asks for one.
    #[serde(deserialize_with = "secret")]
    pub api_key: Option<SecretString>,
    /// Whose reading of OpenAI's API the upstream has. `None`, spelled `auto`: what its address tells.
    #[serde(deserialize_with = "dialect")]
    pub dialect: Option<Dialect>,
    /// The default chat model: the upstream's name of it, and the public one.
    pub model: String,
    /// Further models of the upstream that callers may name.
    pub models: Vec<String>,
    /// How long connecting to the upstream may take.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// How long the upstream may think before the first byte of its answer.
    #[serde(with = "humantime_serde")]
    pub first_byte_timeout: Duration,
    /// The longest silence within an answer.
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
    /// How long a call may take in all, a stream to its end included; zero: no bound.
    #[serde(with = "humantime_serde")]
    pub total_timeout: Duration,
    /// What becomes of an answer whose caller hangs up, unless the call says otherwise.
    pub on_disconnect: OnDisconnect,
    /// Several upstreams, instead of the one above.
    pub upstreams: Vec<Upstream>,
    /// What is special about some of their models.
    pub routes: Vec<RouteRule>,
    /// How calls are spread over them.
    pub routing: Routing,
}

/// The video panel.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Video {
    /// Who makes the clips.
    pub service_type: VideoServiceType,
}

/// Who makes clips.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VideoServiceType {
    /// The built-in engine.
    #[default]
    Offline,
    /// Doubao Seedance.
    Seedance,
    /// Gemini's Veo.
    Veo,
    /// Wan.
    Wan,
    /// A Midjourney proxy.
    Midjourney,
    /// An OpenAI-compatible upstream.
    Openai,
}

/// The built-in engines.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Offline {
    /// The pace of streamed chat answers in tokens a second; 0: all at once.
    pub chat_tokens_per_second: u32,
}

/// The video job machine.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Jobs {
    /// How many jobs are moved at the same time.
    pub workers: usize,
    /// How long a node that died keeps its jobs from the others.
    #[serde(with = "humantime_serde")]
    pub lease: Duration,
    /// The longest a job may take before it counts as failed.
    #[serde(with = "humantime_serde")]
    pub deadline: Duration,
    /// How long finished jobs and their media are kept. Zero: forever.
    #[serde(with = "humantime_serde")]
    pub retention: Duration,
    /// The longest file that is copied from a provider, in bytes.
    pub max_file_bytes: u64,
}

/// The core's own server.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Grpc {
    /// Where it listens; port 0 picks one.
    #[serde(deserialize_with = "listen")]
    pub listen: SocketAddr,
    /// The largest message, in bytes, either way.
    pub max_message_bytes: usize,
    /// How many calls one connection may have under way.
    pub max_concurrent_calls: u32,
    /// Whether the server describes itself to grpcurl and its like.
    pub reflection: bool,
    /// Browser origins whose pages may call by gRPC-Web; `*` stands for all.
    pub cors_allow_origins: Vec<String>,
    /// How long calls under way may take when the server goes down.
    #[serde(with = "humantime_serde")]
    pub drain: Duration,
}

/// A setting that makes no sense, though it could be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {message}")]
pub struct Invalid {
    /// The setting's path: `chat.model`.
    pub key: &'static str,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Settings {
    /// Whether the settings make sense together.
    ///
    /// # Errors
    /// The first one that does not.
    pub fn validate(&self) -> Result<(), Invalid> {
        let wrong = |key, message: &str| Err(Invalid { key, message: message.to_owned() });
        let unbuilt = |key, name: &str| {
            let message = format!("`{name}` is not built into this version yet; the one that is: offline");
            Err(Invalid { key, message })
        };
        image::validate(&self.image)?;
        match self.video.service_type {
            VideoServiceType::Offline => {}
            VideoServiceType::Seedance => return unbuilt("video.service_type", "seedance"),
            VideoServiceType::Veo => return unbuilt("video.service_type", "veo"),
            VideoServiceType::Wan => return unbuilt("video.service_type", "wan"),
            VideoServiceType::Midjourney => return unbuilt("video.service_type", "midjourney"),
            VideoServiceType::Openai => return unbuilt("video.service_type", "openai"),
        }
        if self.data_dir.as_os_str().is_empty() {
            return wrong("data_dir", "must name a directory");
        }
        keys::validate(&self.keys)?;
        if self.chat.model.trim().is_empty() {
            return wrong("chat.model", "must name a model");
        }
        if self.chat.models.iter().any(|model| model.trim().is_empty()) {
            return wrong("chat.models", "must be a list of names, none of them empty");
        }
        if self.chat.base_url.is_none() && !self.chat.models.is_empty() {
            return wrong("chat.models", "names models of an upstream, and none is connected; set chat.base_url");
        }
        chat::validate(&self.chat)?;
        let (chat, jobs) = (&self.chat, &self.jobs);
        for (key, duration) in [
            ("chat.connect_timeout", chat.connect_timeout),
            ("chat.first_byte_timeout", chat.first_byte_timeout),
            ("chat.idle_timeout", chat.idle_timeout),
            ("jobs.deadline", jobs.deadline),
        ] {
            if duration.is_zero() {
                return wrong(key, "must be longer than nothing, for instance 30s");
            }
        }
        // A shorter lease would lapse between two heartbeats of a busy machine.
        if jobs.lease < Duration::from_secs(1) {
            return wrong("jobs.lease", "must be at least 1s");
        }
        if !(1..=256).contains(&jobs.workers) {
            return wrong("jobs.workers", "must be 1 to 256");
        }
        media::validate(&self.media)?;
        // Media travel in chunks of 256 KiB; a limit below one chunk and its frame would break every download.
        if !(512 << 10..=1 << 30).contains(&self.grpc.max_message_bytes) {
            return wrong("grpc.max_message_bytes", "must be 524288 (512 KiB) to 1073741824 (1 GiB)");
        }
        if self.grpc.max_concurrent_calls == 0 {
            return wrong("grpc.max_concurrent_calls", "must be at least 1");
        }
        Ok(())
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("triptych-data"),
            keys: Vec::new(),
            chat: Chat::default(),
            image: Image::default(),
            video: Video::default(),
            offline: Offline::default(),
            jobs: Jobs::default(),
            media: Media::default(),
            grpc: Grpc::default(),
        }
    }
}

impl Default for Chat {
    fn default() -> Self {
        Self {
            base_url: None,
            api_key: None,
            dialect: None,
            model: "qwen3-next-80b-a3b-instruct".to_owned(),
            models: Vec::new(),
            connect_timeout: Duration::from_secs(5),
            first_byte_timeout: Duration::from_mins(10),
            idle_timeout: Duration::from_mins(1),
            total_timeout: Duration::from_hours(1),
            on_disconnect: OnDisconnect::Cancel,
            upstreams: Vec::new(),
            routes: Vec::new(),
            routing: Routing::default(),
        }
    }
}

impl Default for Offline {
    fn default() -> Self {
        Self { chat_tokens_per_second: 40 }
    }
}

impl Default for Jobs {
    fn default() -> Self {
        Self {
            workers: 8,
            lease: Duration::from_secs(15),
            deadline: Duration::from_mins(30),
            retention: Duration::ZERO,
            max_file_bytes: 2 << 30,
        }
    }
}

impl Default for Grpc {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 50051)),
            max_message_bytes: 64 << 20,
            max_concurrent_calls: 1024,
            reflection: true,
            cors_allow_origins: Vec::new(),
            drain: Duration::from_secs(30),
        }
    }
}

/// Reads an address to listen on: `IP:PORT`, or `localhost:PORT`.
///
/// # Errors
/// A text that is neither.
pub fn listen<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    // The one name that everybody types and that means one address. Others could resolve to something public.
    let address = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    (address.as_ref().unwrap_or(&text).parse())
        .map_err(|_| D::Error::custom("must be IP:PORT, for instance 127.0.0.1:8000, 0.0.0.0:8000 or [::1]:8000"))
}

fn base_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Url>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = || D::Error::custom("must be an http or https address, for instance https://api.example.com/v1");
    let url = Url::parse(&text).map_err(|_| wrong())?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wrong());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(D::Error::custom("must not hold a user name or password; the key belongs into chat.api_key"));
    }
    Ok(Some(url))
}

fn dialect<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Dialect>, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "" | "auto" => Ok(None),
        "openai" => Ok(Some(Dialect::Openai)),
        "dashscope" => Ok(Some(Dialect::Dashscope)),
        "deepseek" => Ok(Some(Dialect::Deepseek)),
        "ollama" => Ok(Some(Dialect::Ollama)),
        _ => Err(D::Error::custom("must be `auto`, `openai`, `dashscope`, `deepseek` or `ollama`")),
    }
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    let text = String::deserialize(deserializer)?;
    // It becomes a header; a line break would be found only at the first call.
    if text.bytes().any(|b| !(b' '..=b'~').contains(&b)) {
        return Err(D::Error::custom("must consist of printable ASCII characters"));
    }
    Ok((!text.is_empty()).then(|| text.into()))
}
