//! The settings of Midjourney's videos through a Midjourney proxy: a third-party REST API in front of Midjourney.

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

/// Midjourney's videos through a proxy. Enabled by a URL.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MidjourneyVideos {
    /// The base URL, including `/mj`.
    #[serde(deserialize_with = "base_url")]
    pub base_url: Option<Url>,
    /// The API secret; `None` if the proxy requires none.
    #[serde(deserialize_with = "secret")]
    pub api_secret: Option<SecretString>,
    /// Earlier API secrets, of which each is used for the renders that it started.
    #[serde(deserialize_with = "secrets")]
    pub previous_api_secrets: Vec<SecretString>,
    /// The public model names, the default first.
    pub models: Vec<String>,
    /// The interval between two polls of a render, the generation of one video.
    #[serde(with = "humantime_serde")]
    pub poll_interval: Duration,
}

impl Default for MidjourneyVideos {
    fn default() -> Self {
        let models = vec!["midjourney-video".to_owned()];
        Self {
            base_url: None,
            api_secret: None,
            previous_api_secrets: Vec::new(),
            models,
            poll_interval: Duration::from_secs(3),
        }
    }
}

impl MidjourneyVideos {
    pub(super) fn validate(&self, service_type: VideoServiceType) -> Result<(), SettingError> {
        if service_type == VideoServiceType::Midjourney && self.base_url.is_none() {
            let message = "`midjourney` requires the URL of a proxy in MJ_BASE_URL (video.midjourney.base_url)";
            return Err(SettingError::new(SERVICE_TYPE, message));
        }
        check::models("video.midjourney.models", &self.models)?;
        check::poll_interval("video.midjourney.poll_interval", self.poll_interval)
    }
}
