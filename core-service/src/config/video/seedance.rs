//! The settings of Seedance, ByteDance's video models, on Volcengine Ark.

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
    /// Earlier API keys, of which each is used for the renders that it started.
    #[serde(deserialize_with = "secrets")]
    pub previous_api_keys: Vec<SecretString>,
    /// The models, the default first.
    pub models: Vec<String>,
    /// The highest resolution that the account may use; models may have less.
    pub max_resolution: SeedanceResolution,
    /// The interval between two polls of a render, the generation of one video.
    #[serde(with = "humantime_serde")]
    pub poll_interval: Duration,
}

/// A resolution of Seedance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
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

impl SeedanceResolution {
    /// Returns the name in Ark's API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::P480 => "480p",
            Self::P720 => "720p",
            Self::P1080 => "1080p",
            Self::Uhd => "4k",
        }
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
            previous_api_keys: Vec::new(),
            models: models.map(str::to_owned).into(),
            max_resolution: SeedanceResolution::P1080,
            poll_interval: Duration::from_secs(5),
        }
    }
}

impl Seedance {
    /// Returns whether the provider is enabled.
    pub fn is_configured(&self) -> bool {
        self.api_key.is_some()
    }

    pub(super) fn validate(&self, service_type: VideoServiceType) -> Result<(), SettingError> {
        if service_type == VideoServiceType::Seedance && !self.is_configured() {
            let message = "`seedance` requires a key in ARK_API_KEY (video.seedance.api_key)";
            return Err(SettingError::new(SERVICE_TYPE, message));
        }
        check::models("video.seedance.models", &self.models)?;
        check::poll_interval("video.seedance.poll_interval", self.poll_interval)
    }
}
