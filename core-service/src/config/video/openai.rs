//! The settings of an OpenAI-compatible videos upstream.

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
    /// Earlier API keys, of which each is used for the renders that it started.
    #[serde(deserialize_with = "secrets")]
    pub previous_api_keys: Vec<SecretString>,
    /// The models of the upstream, the default first.
    pub models: Vec<String>,
    /// The interval between two polls of a render, the generation of one video, unless the upstream recommends another.
    #[serde(with = "humantime_serde")]
    pub poll_interval: Duration,
}

impl Default for OpenaiVideos {
    fn default() -> Self {
        let models = ["sora-2", "sora-2-pro"].map(str::to_owned).into();
        Self {
            base_url: None,
            api_key: None,
            previous_api_keys: Vec::new(),
            models,
            poll_interval: Duration::from_secs(2),
        }
    }
}

impl OpenaiVideos {
    /// Returns whether the provider is enabled.
    pub fn is_configured(&self) -> bool {
        self.base_url.is_some() || self.api_key.is_some()
    }

    pub(super) fn validate(&self, service_type: VideoServiceType) -> Result<(), SettingError> {
        if service_type == VideoServiceType::Openai && !self.is_configured() {
            let message = "`openai` requires a key in VIDEO_API_KEY (video.openai.api_key), or the URL of an upstream \
                           without keys in VIDEO_BASE_URL (video.openai.base_url)";
            return Err(SettingError::new(SERVICE_TYPE, message));
        }
        check::models("video.openai.models", &self.models)?;
        check::poll_interval("video.openai.poll_interval", self.poll_interval)
    }
}
