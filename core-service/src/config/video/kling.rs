//! The settings of Kling, the video models of Kuaishou.

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

/// Kling. Enabled by an API key, or by an access key and its secret key.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Kling {
    /// The base URL without a path.
    #[serde(deserialize_with = "base_url")]
    pub base_url: Option<Url>,
    /// The API key, which takes precedence over the access key and its secret key.
    #[serde(deserialize_with = "secret")]
    pub api_key: Option<SecretString>,
    /// Earlier API keys, of which each is used for the renders that it started.
    #[serde(deserialize_with = "secrets")]
    pub previous_api_keys: Vec<SecretString>,
    /// The access key of an account without API keys.
    #[serde(deserialize_with = "secret")]
    pub access_key: Option<SecretString>,
    /// The secret key that belongs to the access key.
    #[serde(deserialize_with = "secret")]
    pub secret_key: Option<SecretString>,
    /// The models, the default first.
    pub models: Vec<String>,
    /// The interval between two polls of a render, the generation of one video.
    #[serde(with = "humantime_serde")]
    pub poll_interval: Duration,
}

impl Default for Kling {
    fn default() -> Self {
        let models =
            ["kling-v3", "kling-v3-omni", "kling-v3-turbo", "kling-video-o1", "kling-v2-6", "kling-v2-5-turbo"];
        Self {
            base_url: Url::parse("https://api-singapore.klingai.com").ok(),
            api_key: None,
            previous_api_keys: Vec::new(),
            access_key: None,
            secret_key: None,
            models: models.map(str::to_owned).into(),
            poll_interval: Duration::from_secs(5),
        }
    }
}

impl Kling {
    /// Returns whether the provider is enabled.
    pub fn is_configured(&self) -> bool {
        self.api_key.is_some() || self.access_key.is_some() && self.secret_key.is_some()
    }

    pub(super) fn validate(&self, service_type: VideoServiceType) -> Result<(), SettingError> {
        if self.access_key.is_some() != self.secret_key.is_some() && self.api_key.is_none() {
            let (missing, variable) = match self.access_key {
                Some(_) => ("video.kling.secret_key", "KLING_SECRET_KEY"),
                None => ("video.kling.access_key", "KLING_ACCESS_KEY"),
            };
            let message = format!("an access key and a secret key are a pair; set {variable} as well");
            return Err(SettingError::new(missing, message));
        }
        if service_type == VideoServiceType::Kling && !self.is_configured() {
            let message = "`kling` requires a key in KLING_API_KEY (video.kling.api_key), or a pair of keys in \
                           KLING_ACCESS_KEY and KLING_SECRET_KEY (video.kling.access_key and secret_key)";
            return Err(SettingError::new(SERVICE_TYPE, message));
        }
        check::models("video.kling.models", &self.models)?;
        check::poll_interval("video.kling.poll_interval", self.poll_interval)
    }
}
