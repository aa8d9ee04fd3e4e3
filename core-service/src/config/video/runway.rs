//! The settings of Runway, which offers its own video models and those of other vendors.

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

/// Runway. Enabled by a key.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Runway {
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

impl Default for Runway {
    fn default() -> Self {
        let models = [
            "gen4.5",
            "gen4_turbo",
            "veo3.1",
            "veo3.1_fast",
            "seedance2",
            "seedance2_5",
            "gemini_omni_flash_1.1",
            "hailuo3",
            "wan3",
            "happyhorse_1_0",
            "grok_imagine_1_5",
            "kling3.0_pro",
        ];
        Self {
            // The host of Runway's public API, in spite of its name.
            base_url: Url::parse("https://api.dev.runwayml.com/v1").ok(),
            api_key: None,
            previous_api_keys: Vec::new(),
            models: models.map(str::to_owned).into(),
            poll_interval: Duration::from_secs(5),
        }
    }
}

impl Runway {
    /// Returns whether the provider is enabled.
    pub fn is_configured(&self) -> bool {
        self.api_key.is_some()
    }

    pub(super) fn validate(&self, service_type: VideoServiceType) -> Result<(), SettingError> {
        if service_type == VideoServiceType::Runway && !self.is_configured() {
            let message = "`runway` requires a key in RUNWAYML_API_SECRET (video.runway.api_key)";
            return Err(SettingError::new(SERVICE_TYPE, message));
        }
        check::models("video.runway.models", &self.models)?;
        check::poll_interval("video.runway.poll_interval", self.poll_interval)
    }
}
