//! Pictures that come with requests, finished files, and the links to them.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::{Invalid, secret};

/// What is taken, what is kept, and who may follow a link to it.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Media {
    /// Whether addresses given by callers may lead into private networks.
    pub fetch_private_addresses: bool,
    /// The longest picture, in bytes.
    pub max_input_bytes: u64,
    /// The largest picture, in pixels.
    pub max_pixels: u64,
    /// What links are signed with, at the gateway. `None`: links are not signed, and whoever knows a key may read.
    #[serde(deserialize_with = "secret")]
    pub signing_key: Option<SecretString>,
    /// How long a signed link works at least.
    #[serde(with = "humantime_serde")]
    pub link_ttl: Duration,
    /// How long a file is kept that nobody uses. Zero: for ever. Files of video jobs follow `jobs.retention` instead.
    #[serde(with = "humantime_serde")]
    pub retention: Duration,
    /// How many bytes all files together may have; beyond, the longest unused ones go first. 0: no bound.
    pub quota_bytes: u64,
}

impl Default for Media {
    fn default() -> Self {
        Self {
            fetch_private_addresses: false,
            max_input_bytes: 20 << 20,
            max_pixels: 50_000_000,
            signing_key: None,
            link_ttl: Duration::from_hours(24),
            retention: Duration::ZERO,
            quota_bytes: 0,
        }
    }
}

/// A key that is shorter could be guessed.
const SHORTEST_KEY: usize = 16;

/// Between two sweeps; what is not kept that long would vanish before its link was read.
const SHORTEST_RETENTION: Duration = Duration::from_mins(1);

/// Less could not hold the pictures of one answer.
const SMALLEST_QUOTA: u64 = 64 << 20;

/// Whether the values make sense.
pub(super) fn validate(media: &Media) -> Result<(), Invalid> {
    let wrong = |key, message: &str| Err(Invalid { key, message: message.to_owned() });
    if !(64..=256 << 20).contains(&media.max_input_bytes) {
        return wrong("media.max_input_bytes", "must be 64 to 268435456 (256 MiB)");
    }
    if media.max_pixels == 0 {
        return wrong("media.max_pixels", "must be at least 1");
    }
    if media.signing_key.as_ref().is_some_and(|key| key.expose_secret().len() < SHORTEST_KEY) {
        return wrong("media.signing_key", "must have at least 16 characters; `openssl rand -hex 32` makes a good one");
    }
    if media.link_ttl < Duration::from_secs(1) {
        return wrong("media.link_ttl", "must be at least 1s");
    }
    if !media.retention.is_zero() && media.retention < SHORTEST_RETENTION {
        return wrong("media.retention", "must be 0s (for ever) or at least 1m");
    }
    if media.quota_bytes != 0 && media.quota_bytes < SMALLEST_QUOTA {
        return wrong("media.quota_bytes", "must be 0 (no bound) or at least 67108864 (64 MiB)");
    }
    Ok(())
}
