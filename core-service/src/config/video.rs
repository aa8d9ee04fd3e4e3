//! The settings of the video service and its providers.

use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use super::{
    de::{base_url, secret},
    error::SettingError,
    guard::GuardSettings,
};

/// The video service.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Video {
    /// The provider of the default model. Other configured providers serve their models by name.
    pub service_type: VideoServiceType,
    /// The timeout for connecting to a provider.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// The timeout for the first byte of a response.
    #[serde(with = "humantime_serde")]
    pub first_byte_timeout: Duration,
    /// The timeout for the rest of a response. Does not apply to the finished video.
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
    /// Circuit breaker and concurrency limit of the connected providers.
    pub routing: VideoRouting,
    /// An OpenAI-compatible upstream.
    pub openai: OpenaiVideos,
    /// Seedance of Volcengine Ark.
    pub seedance: Seedance,
}

/// A video provider.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VideoServiceType {
    /// The built-in engine.
    #[default]
    Offline,
    /// An OpenAI-compatible upstream.
    Openai,
    /// Doubao Seedance.
    Seedance,
    /// Kling.
    Kling,
    /// Wan.
    Wan,
    /// MiniMax.
    Minimax,
    /// Video models of Gemini.
    Gemini,
    /// Google's Veo.
    Veo,
    /// Runway.
    Runway,
    /// fal.
    Fal,
    /// A Midjourney proxy.
    Midjourney,
}

/// Protection of the connected providers. Only submissions count; they are never repeated here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VideoRouting {
    /// Consecutive failures that open the circuit breaker of a provider, at least 1.
    pub failures: u32,
    /// How long the breaker stays open before a probe.
    #[serde(with = "humantime_serde")]
    pub cooldown: Duration,
    /// Submissions in flight over all connected providers; 0: no limit.
    pub max_in_flight: usize,
    /// Submissions that may wait for one of these places.
    pub queue: usize,
}

/// An OpenAI-compatible videos upstream. Enabled by a URL or a key.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OpenaiVideos {
    /// The base URL, including `/v1`. `None`: the OpenAI API.
    #[serde(deserialize_with = "base_url")]
    pub base_url: Option<Url>,
    /// The API key; `None` if the upstream requires none.
    #[serde(deserialize_with = "secret")]
    pub api_key: Option<SecretString>,
    /// The models of the upstream, the default first.
    pub models: Vec<String>,
    /// The interval between two polls of a render, unless the upstream recommends another.
    #[serde(with = "humantime_serde")]
    pub poll_interval: Duration,
}

/// Seedance of Volcengine Ark. Enabled by a key.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Seedance {
    /// The base URL, including `/api/v3`.
    #[serde(deserialize_with = "base_url")]
    pub base_url: Option<Url>,
    /// The API key.
    #[serde(deserialize_with = "secret")]
    pub api_key: Option<SecretString>,
    /// The models, the default first.
    pub models: Vec<String>,
    /// The highest resolution that the account may use; models may have less.
    pub max_resolution: SeedanceResolution,
    /// The interval between two polls of a render.
    #[serde(with = "humantime_serde")]
    pub poll_interval: Duration,
}

/// A resolution of Seedance, in ascending order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum SeedanceResolution {
    /// About 0.4 megapixels.
    #[serde(rename = "480p")]
    P480,
    /// About 0.9 megapixels.
    #[serde(rename = "720p")]
    P720,
    /// About 2 megapixels.
    #[serde(rename = "1080p")]
    P1080,
    /// About 8 megapixels.
    #[serde(rename = "4k")]
    Uhd,
}

impl Default for Video {
    fn default() -> Self {
        Self {
            service_type: VideoServiceType::Offline,
            connect_timeout: Duration::from_secs(5),
            first_byte_timeout: Duration::from_mins(1),
            idle_timeout: Duration::from_secs(30),
            routing: VideoRouting::default(),
            openai: OpenaiVideos::default(),
            seedance: Seedance::default(),
        }
    }
}

impl Default for VideoRouting {
    fn default() -> Self {
        let GuardSettings { failure_threshold, cooldown, max_in_flight, queue_limit, .. } = GuardSettings::default();
        Self { failures: failure_threshold, cooldown, max_in_flight, queue: queue_limit }
    }
}

impl From<VideoRouting> for GuardSettings {
    fn from(settings: VideoRouting) -> Self {
        let VideoRouting { failures, cooldown, max_in_flight, queue } = settings;
        Self { retries: 0, failure_threshold: failures, cooldown, max_in_flight, queue_limit: queue }
    }
}

impl Default for OpenaiVideos {
    fn default() -> Self {
        let models = ["sora-2", "sora-2-pro"].map(str::to_owned).into();
        Self { base_url: None, api_key: None, models, poll_interval: Duration::from_secs(2) }
    }
}

impl Default for Seedance {
    fn default() -> Self {
        let models = [
            "doubao-seedance-1-5-pro-251215",
            "doubao-seedance-2-0-260128",
            "doubao-seedance-2-0-fast-260128",
            "doubao-seedance-2-5-260628",
            "doubao-seedance-1-0-pro-250528",
        ];
        Self {
            base_url: Url::parse("https://ark.cn-beijing.volces.com/api/v3").ok(),
            api_key: None,
            models: models.map(str::to_owned).into(),
            max_resolution: SeedanceResolution::P1080,
            poll_interval: Duration::from_secs(5),
        }
    }
}

impl OpenaiVideos {
    /// Returns whether the provider is enabled.
    pub fn is_configured(&self) -> bool {
        self.base_url.is_some() || self.api_key.is_some()
    }
}

impl Seedance {
    /// Returns whether the provider is enabled.
    pub fn is_configured(&self) -> bool {
        self.api_key.is_some()
    }
}

impl VideoServiceType {
    /// Returns the name of a provider that this version does not have.
    fn unavailable(self) -> Option<&'static str> {
        match self {
            Self::Offline | Self::Openai | Self::Seedance => None,
            Self::Kling => Some("kling"),
            Self::Wan => Some("wan"),
            Self::Minimax => Some("minimax"),
            Self::Gemini => Some("gemini"),
            Self::Veo => Some("veo"),
            Self::Runway => Some("runway"),
            Self::Fal => Some("fal"),
            Self::Midjourney => Some("midjourney"),
        }
    }
}

const SERVICE_TYPE: &str = "video.service_type";

/// The shortest accepted poll interval.
const MIN_POLL_INTERVAL: Duration = Duration::from_millis(100);

impl Video {
    pub(super) fn validate(&self) -> Result<(), SettingError> {
        let error = |key, message: &str| Err(SettingError::new(key, message));
        let Self { openai, seedance, .. } = self;
        if let Some(name) = self.service_type.unavailable() {
            let message = format!("`{name}` is not available in this version; set `offline`, `openai` or `seedance`");
            return error(SERVICE_TYPE, &message);
        }
        if self.service_type == VideoServiceType::Openai && !openai.is_configured() {
            return error(
                SERVICE_TYPE,
                "`openai` requires a key in VIDEO_API_KEY (video.openai.api_key), or the URL of an upstream without keys \
                 in VIDEO_BASE_URL (video.openai.base_url)",
            );
        }
        if self.service_type == VideoServiceType::Seedance && !seedance.is_configured() {
            return error(SERVICE_TYPE, "`seedance` requires a key in ARK_API_KEY (video.seedance.api_key)");
        }
        for (key, models) in [("video.openai.models", &openai.models), ("video.seedance.models", &seedance.models)] {
            if models.is_empty() || models.iter().any(|model| model.trim().is_empty()) {
                return error(key, "must be a list of at least one name, none of them empty");
            }
        }
        SettingError::require_nonzero([
            ("video.connect_timeout", self.connect_timeout),
            ("video.first_byte_timeout", self.first_byte_timeout),
            ("video.idle_timeout", self.idle_timeout),
        ])?;
        for (key, interval) in [
            ("video.openai.poll_interval", openai.poll_interval),
            ("video.seedance.poll_interval", seedance.poll_interval),
        ] {
            if interval < MIN_POLL_INTERVAL {
                return error(key, "must be at least 100ms");
            }
        }
        if self.routing.failures == 0 {
            return error("video.routing.failures", "must be at least 1");
        }
        Ok(())
    }
}
