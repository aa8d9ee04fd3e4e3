//! The settings of fal.ai, which hosts video models of many vendors.

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

/// fal. Enabled by a key.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fal {
    /// The base URL of fal's queue API.
    #[serde(deserialize_with = "base_url")]
    pub base_url: Option<Url>,
    /// The API key.
    #[serde(deserialize_with = "secret")]
    pub api_key: Option<SecretString>,
    /// Earlier API keys, of which each is used for the renders that it started.
    #[serde(deserialize_with = "secrets")]
    pub previous_api_keys: Vec<SecretString>,
    /// The model endpoints, the default first. A name that does not end in a mode (`/text-to-video`, `/image-to-video`) stands
    /// for all endpoints below it: the inputs of a request select one.
    pub models: Vec<String>,
    /// The interval between two polls of a render, the generation of one video.
    #[serde(with = "humantime_serde")]
    pub poll_interval: Duration,
}

impl Default for Fal {
    fn default() -> Self {
        let models = [
            "fal-ai/veo3.1",
            "fal-ai/veo3.1/fast",
            "fal-ai/kling-video/v3/pro",
            "bytedance/seedance-2.0",
            "fal-ai/bytedance/seedance/v1.5/pro",
            "fal-ai/wan-25-preview",
        ];
        Self {
            base_url: Url::parse("https://queue.fal.run").ok(),
            api_key: None,
            previous_api_keys: Vec::new(),
            models: models.map(str::to_owned).into(),
            poll_interval: Duration::from_secs(3),
        }
    }
}

impl Fal {
    /// Returns whether the provider is enabled.
    pub fn is_configured(&self) -> bool {
        self.api_key.is_some()
    }

    pub(super) fn validate(&self, service_type: VideoServiceType) -> Result<(), SettingError> {
        if service_type == VideoServiceType::Fal && !self.is_configured() {
            let message = "`fal` requires a key in FAL_KEY (video.fal.api_key)";
            return Err(SettingError::new(SERVICE_TYPE, message));
        }
        check::models("video.fal.models", &self.models)?;
        check::poll_interval("video.fal.poll_interval", self.poll_interval)
    }
}
