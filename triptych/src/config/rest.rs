//! The settings of `[rest]` that the executable reads. The gateway reads the others.

use http_server::ListenAddress;
use serde::{Deserialize, Deserializer, de::Error as _};
use url::Url;

use super::tls::{CoreTlsSettings, ServerTls};

/// The names of these settings.
pub(super) const NAMES: [&str; 5] = ["core", "listen", "pages", "public_base_url", "tls"];

/// The settings of `[rest]` that the executable reads.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rest {
    /// The address to listen on. Port 0 selects a free port.
    #[serde(deserialize_with = "core_service::config::listen")]
    pub(crate) listen: ListenAddress,
    /// Whether the pages for browsers are served.
    pub(crate) pages: Pages,
    /// TLS of the REST port.
    pub(crate) tls: ServerTls,
    /// TLS of the connection to a core in another process.
    pub(crate) core: CoreTlsSettings,
    /// The base URL of media links, without a slash at the end.
    #[serde(deserialize_with = "base_url")]
    pub(crate) public_base_url: Option<String>,
}

/// Whether the pages for browsers are served (`rest.pages`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Pages {
    /// Unless other machines can reach the address and no API key is required: the pages would invite strangers to use the
    /// configured providers.
    Auto,
    On,
    Off,
}

fn base_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    let url = Url::parse(&text).ok();
    match url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none()) {
        Some(url) => Ok(Some(url.as_str().trim_end_matches('/').to_owned())),
        None => {
            Err(D::Error::custom("must be an http or https URL without a query, for example https://ai.example.org"))
        }
    }
}
