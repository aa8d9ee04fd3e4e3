//! The settings of MiniMax, the vendor of the Hailuo video models.

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

/// MiniMax. Enabled by a key.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Minimax {
    /// The base URL without a path.
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

impl Default for Minimax {
    fn default() -> Self {
        let models = ["MiniMax-H3", "MiniMax-H3-Max"];
        Self {
            base_url: Url::parse("https://api.minimax.io").ok(),
            api_key: None,
            previous_api_keys: Vec::new(),
            models: models.map(str::to_owned).into(),
            poll_interval: Duration::from_secs(10),
        }
    }
}

impl Minimax {
    /// Returns whether the provider is enabled.
    pub fn is_configured(&self) -> bool {
        self.api_key.is_some()
    }

    pub(super) fn validate(&self, service_type: VideoServiceType) -> Result<(), SettingError> {
        if service_type == VideoServiceType::Minimax && !self.is_configured() {
            let message = "`minimax` requires a key in MINIMAX_API_KEY (video.minimax.api_key)";
            return Err(SettingError::new(SERVICE_TYPE, message));
        }
        check::models("video.minimax.models", &self.models)?;
        check::poll_interval("video.minimax.poll_interval", self.poll_interval)
    }
}
