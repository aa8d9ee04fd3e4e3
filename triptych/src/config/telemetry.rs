//! The settings of telemetry.

use serde::{Deserialize, Deserializer, de::Error as _};
use url::Url;

/// Telemetry.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Telemetry {
    /// The base URL of the collector of traces.
    #[serde(deserialize_with = "optional_url")]
    pub(crate) otlp_endpoint: Option<Url>,
}

fn optional_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Url>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    let url = Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.map(Some)
        .ok_or_else(|| D::Error::custom("must be empty or an http or https URL, for example http://127.0.0.1:4318"))
}
