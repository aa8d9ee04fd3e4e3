//! The settings of webhooks.

use std::{collections::HashSet, fmt, time::Duration};

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer, de::Error as _};
use url::Url;

use super::{
    de::{base_url, secret},
    error::SettingError,
};
use crate::webhook_secret::WebhookSecret;

/// The `[webhooks]` settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Webhooks {
    /// Endpoints that receive the events of all videos.
    pub endpoints: Vec<ConfiguredEndpoint>,
    /// The secret that signs the requests to a `callback_url`, which a client gives for one video. `None`: requests with a `callback_url`
    /// are refused.
    #[serde(deserialize_with = "secret")]
    pub callback_secret: Option<SecretString>,
    /// Whether webhooks may be sent into private networks.
    pub allow_private_addresses: bool,
    /// The time limit of one attempt.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// How many attempts are in flight at the same time, 1 to 256.
    pub max_in_flight: usize,
    /// The delays between the attempts of a delivery, 1 to 20. The first attempt is immediate.
    #[serde(deserialize_with = "durations")]
    pub retry_delays: Vec<Duration>,
    /// How long finished deliveries are kept.
    #[serde(with = "humantime_serde")]
    pub retention: Duration,
}

/// An endpoint of the configuration.
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConfiguredEndpoint {
    /// The URL that gets the requests.
    #[serde(deserialize_with = "base_url")]
    pub url: Option<Url>,
    /// The secret that signs them.
    #[serde(deserialize_with = "secret")]
    pub secret: Option<SecretString>,
    /// The environment variable with the secret, as an alternative. Resolved by the executable.
    pub secret_env: String,
    /// A second secret that signs them as well, while receivers change from one to the other.
    #[serde(deserialize_with = "secret")]
    pub previous_secret: Option<SecretString>,
    /// The types of the events. Empty: all.
    pub events: Vec<WebhookEventType>,
}

impl fmt::Debug for ConfiguredEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfiguredEndpoint")
            .field("url", &self.name())
            .field("events", &self.events)
            .finish_non_exhaustive()
    }
}

/// The types of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
pub enum WebhookEventType {
    /// A video is finished.
    #[serde(rename = "video.completed")]
    VideoCompleted,
    /// A video ended without a result.
    #[serde(rename = "video.failed")]
    VideoFailed,
}

impl WebhookEventType {
    /// All types.
    pub const ALL: [Self; 2] = [Self::VideoCompleted, Self::VideoFailed];

    /// Returns the name in events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::VideoCompleted => "video.completed",
            Self::VideoFailed => "video.failed",
        }
    }

    /// Returns the type with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event_type| event_type.as_str() == name)
    }
}

impl Default for Webhooks {
    fn default() -> Self {
        let minutes = Duration::from_mins;
        Self {
            endpoints: Vec::new(),
            callback_secret: None,
            allow_private_addresses: false,
            timeout: Duration::from_secs(15),
            max_in_flight: 32,
            // The delays that the Standard Webhooks specification suggests.
            retry_delays: vec![
                Duration::from_secs(5),
                minutes(5),
                minutes(30),
                minutes(120),
                minutes(300),
                minutes(600),
                minutes(600),
            ],
            retention: Duration::from_hours(30 * 24),
        }
    }
}

impl ConfiguredEndpoint {
    /// Returns the URL without its query, which may contain a key.
    fn name(&self) -> String {
        let url = self.url.as_ref().map(Url::as_str).unwrap_or_default();
        url.split('?').next().unwrap_or_default().to_owned()
    }

    /// Returns an error about this endpoint.
    fn error(&self, message: &str) -> SettingError {
        SettingError::new("webhooks.endpoints", format!("`{}` {message}", self.name()))
    }

    fn validate(&self) -> Result<(), SettingError> {
        if self.url.is_none() {
            return Err(self.error("must have a url"));
        }
        if self.secret.is_none() && self.secret_env.is_empty() {
            return Err(self.error("must have one of secret and secret_env"));
        }
        for secret in [&self.secret, &self.previous_secret].into_iter().flatten() {
            if WebhookSecret::parse(secret.expose_secret()).is_none() {
                return Err(self.error(&format!("has a secret that is invalid: it {}", WebhookSecret::RULE)));
            }
        }
        Ok(())
    }

    /// Returns the secrets that sign, the current one first.
    pub(crate) fn secrets(&self) -> Vec<WebhookSecret> {
        let secrets = [&self.secret, &self.previous_secret].into_iter().flatten();
        secrets.filter_map(|secret| WebhookSecret::parse(secret.expose_secret())).collect()
    }

    /// Returns the types of the events that it receives.
    pub(crate) fn event_types(&self) -> &[WebhookEventType] {
        if self.events.is_empty() { &WebhookEventType::ALL } else { &self.events }
    }
}

impl Webhooks {
    pub(super) fn validate(&self) -> Result<(), SettingError> {
        self.endpoints.iter().try_for_each(ConfiguredEndpoint::validate)?;
        let mut urls = HashSet::new();
        if let Some(repeated) = self.endpoints.iter().find(|endpoint| !urls.insert(endpoint.url.as_ref())) {
            return Err(repeated.error("is there twice; give each endpoint its own url"));
        }
        if self.callback_secret.is_some() && self.callback_secret().is_none() {
            return Err(SettingError::new("webhooks.callback_secret", WebhookSecret::RULE));
        }
        SettingError::require_nonzero([("webhooks.timeout", self.timeout)])?;
        if !(1..=256).contains(&self.max_in_flight) {
            return Err(SettingError::new("webhooks.max_in_flight", "must be 1 to 256"));
        }
        if !(1..=20).contains(&self.retry_delays.len()) {
            return Err(SettingError::new("webhooks.retry_delays", "must have 1 to 20 delays"));
        }
        if self.retention < Duration::from_hours(1) {
            return Err(SettingError::new("webhooks.retention", "must be at least 1h"));
        }
        Ok(())
    }

    /// Returns the secret for requests to a `callback_url`.
    pub(crate) fn callback_secret(&self) -> Option<WebhookSecret> {
        WebhookSecret::parse(self.callback_secret.as_ref()?.expose_secret())
    }
}

/// Deserializes a list of durations such as `5m`.
fn durations<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Duration>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let parse = |text: &String| {
        let parsed = humantime_serde::deserialize(serde::de::value::StrDeserializer::<D::Error>::new(text));
        parsed.map_err(|_| D::Error::custom(format!("\"{text}\" is not a duration, for example \"5m\"")))
    };
    texts.iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

    fn parse(toml: &str) -> Result<Webhooks, String> {
        let settings: Webhooks = toml::from_str(toml).map_err(|error| error.to_string())?;
        settings.validate().map_err(|error| error.to_string())?;
        Ok(settings)
    }

    #[test]
    fn endpoint_has_a_url_secrets_and_events() {
        let endpoint = format!(
            "[[endpoints]]\nurl = 'https://a.test/hook?key=k1'\nsecret = '{SECRET}'\nevents = ['video.failed']\n\
             [[endpoints]]\nurl = 'https://b.test'\nsecret = '{SECRET}'\nprevious_secret = '{SECRET}'"
        );
        let Webhooks { endpoints, .. } = parse(&endpoint).unwrap();
        assert_eq!(endpoints[0].event_types(), [WebhookEventType::VideoFailed]);
        assert_eq!((endpoints[0].secrets().len(), endpoints[1].secrets().len()), (1, 2));
        assert_eq!(endpoints[1].event_types(), WebhookEventType::ALL);
        let debug = format!("{endpoints:?}");
        assert!(!debug.contains("k1") && !debug.contains("whsec_"), "{debug}");
    }

    #[test]
    fn invalid_settings_are_refused_without_repeating_a_secret() {
        let url = "url = 'https://a.test/hook?key=k1'";
        for (toml, expected) in [
            ("[[endpoints]]\nsecret = 'x'".to_owned(), "must have a url"),
            (format!("[[endpoints]]\n{url}"), "`https://a.test/hook` must have one of secret and secret_env"),
            (format!("[[endpoints]]\n{url}\nsecret = 'hunter2'"), "must be `whsec_` and the base64"),
            (format!("[[endpoints]]\n{url}\nsecret = '{SECRET}'\nevents = ['video.started']"), "unknown variant"),
            (format!("[[endpoints]]\n{url}\nsecret = '{SECRET}'\n").repeat(2), "is there twice"),
            ("[[endpoints]]\nurl = 'ftp://a.test'".to_owned(), "must be an http or https URL"),
            ("callback_secret = 'hunter2'".to_owned(), "webhooks.callback_secret: must be `whsec_`"),
            ("timeout = '0s'".to_owned(), "webhooks.timeout"),
            ("max_in_flight = 0".to_owned(), "must be 1 to 256"),
            ("retry_delays = []".to_owned(), "must have 1 to 20 delays"),
            ("retry_delays = ['soon']".to_owned(), "\"soon\" is not a duration"),
            ("retention = '1m'".to_owned(), "must be at least 1h"),
        ] {
            let message = parse(&toml).unwrap_err();
            assert!(message.contains(expected), "{toml}: {message}");
        }
        let message = parse(&format!("[[endpoints]]\n{url}\nsecret = 'hunter2'")).unwrap_err();
        assert!(!message.contains("hunter2") && !message.contains("k1"), "{message}");
    }
}
