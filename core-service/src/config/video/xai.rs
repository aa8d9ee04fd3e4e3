//! The settings of xAI, the vendor of the Grok Imagine video models.

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

/// xAI. Enabled by a key.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Xai {
    /// The base URL, including `/v1`.
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

impl Default for Xai {
    fn default() -> Self {
        let models = ["grok-imagine-video-1.5", "grok-imagine-video"];
        Self {
            base_url: Url::parse("https://api.x.ai/v1").ok(),
            api_key: None,
            previous_api_keys: Vec::new(),
            models: models.map(str::to_owned).into(),
            poll_interval: Duration::from_secs(5),
        }
    }
}

impl Xai {
    /// Returns whether the provider is enabled.
    pub fn is_configured(&self) -> bool {
        self.api_key.is_some()
    }

    pub(super) fn validate(&self, service_type: VideoServiceType) -> Result<(), SettingError> {
        if service_type == VideoServiceType::Xai && !self.is_configured() {
            let message = "`xai` requires a key in XAI_API_KEY (video.xai.api_key)";
            return Err(SettingError::new(SERVICE_TYPE, message));
        }
        check::models("video.xai.models", &self.models)?;
        check::poll_interval("video.xai.poll_interval", self.poll_interval)
    }
}
