//! The settings of the admin port.

use http_server::ListenAddress;
use serde::{Deserialize, Deserializer, de::Error as _};

/// The admin port.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Admin {
    /// The address to listen on. Port 0 selects a free port. `None`: there is no admin port.
    #[serde(deserialize_with = "optional_address")]
    pub(crate) listen: Option<ListenAddress>,
}

fn optional_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ListenAddress>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(D::Error::custom) }
}
