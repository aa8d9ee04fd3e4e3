//! The settings of Google's video models on the Gemini API.

use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use super::{
    check,
    service_type::{SERVICE_TYPE, VideoServiceType},
};
use crate::config::{
    de::{base_url, secret, secrets},
    error::SettingError,
};

/// Google's video models on the Gemini API. Enabled by a key.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GeminiVideos {
    /// The base URL, including the version of the API.
    #[serde(deserialize_with = "base_url")]
    pub base_url: Option<Url>,
    /// The API key.
    #[serde(deserialize_with = "secret")]
    pub api_key: Option<SecretString>,
    /// Earlier API keys, of which each is used for the renders that it started.
    #[serde(deserialize_with = "secrets")]
    pub previous_api_keys: Vec<SecretString>,
    /// The models, the default first.
    pub models: Vec<String>,
    /// The interval between two polls of a render, the generation of one video.
    #[serde(with = "humantime_serde")]
    pub poll_interval: Duration,
}

impl Default for GeminiVideos {
    fn default() -> Self {
        let models = [
            "gemini-omni-1.2-flash",
            "gemini-omni-1.1-flash",
            "veo-3.1-generate-001",
            "veo-3.1-fast-generate-001",
            "veo-3.1-lite-generate-001",
        ];
        Self {
            base_url: Url::parse("https://generativelanguage.googleapis.com/v1beta").ok(),
            api_key: None,
            previous_api_keys: Vec::new(),
            models: models.map(str::to_owned).into(),
            poll_interval: Duration::from_secs(10),
        }
    }
}

impl GeminiVideos {
    /// Returns whether the provider is enabled.
    pub fn is_configured(&self) -> bool {
        self.api_key.is_some()
    }

    pub(super) fn validate(&self, service_type: VideoServiceType) -> Result<(), SettingError> {
        if service_type == VideoServiceType::Gemini && !self.is_configured() {
            let message = "`gemini` requires a key in GEMINI_API_KEY (video.gemini.api_key)";
            return Err(SettingError::new(SERVICE_TYPE, message));
        }
        check::models("video.gemini.models", &self.models)?;
        check::poll_interval("video.gemini.poll_interval", self.poll_interval)
    }
}
