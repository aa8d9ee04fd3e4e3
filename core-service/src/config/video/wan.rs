//! The settings of Wan and the other video models of DashScope, the model API of Alibaba Cloud.

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

/// Wan and the other video models of DashScope. Enabled by a key.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wan {
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

impl Default for Wan {
    fn default() -> Self {
        let models = [
            "wan3.0-video",
            "wan2.7",
            "wan2.6",
            "wan2.5",
            "happyhorse-1.1",
            "kling/kling-v3-video-generation",
            "kling/kling-v3-omni-video-generation",
        ];
        Self {
            base_url: Url::parse("https://dashscope.aliyuncs.com").ok(),
            api_key: None,
            previous_api_keys: Vec::new(),
            models: models.map(str::to_owned).into(),
            poll_interval: Duration::from_secs(10),
        }
    }
}

impl Wan {
    /// Returns whether the provider is enabled.
    pub fn is_configured(&self) -> bool {
        self.api_key.is_some()
    }

    pub(super) fn validate(&self, service_type: VideoServiceType) -> Result<(), SettingError> {
        if service_type == VideoServiceType::Wan && !self.is_configured() {
            let message = "`wan` requires a key in DASHSCOPE_API_KEY (video.wan.api_key)";
            return Err(SettingError::new(SERVICE_TYPE, message));
        }
        check::models("video.wan.models", &self.models)?;
        check::poll_interval("video.wan.poll_interval", self.poll_interval)
    }
}
