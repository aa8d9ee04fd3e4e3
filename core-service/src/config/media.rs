//! The settings of input pictures, stored files and links to them.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::{de::secret, error::SettingError};

/// The highest value of [`Media::max_input_bytes`]. Jobs are created under one limit and may run under a lower one, so their
/// inputs are read up to this one.
pub const MAX_INPUT_BYTES: u64 = 256 << 20;

/// Input pictures, stored files and links to them.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Media {
    /// Whether picture URLs in requests may point into private networks.
    pub fetch_private_addresses: bool,
    /// The maximum size of an input picture, in bytes.
    pub max_input_bytes: u64,
    /// The maximum size of an input picture, in pixels.
    pub max_pixels: u64,
    /// The maximum memory for fetched input pictures of all requests in flight, in bytes. A request that needs more is
    /// refused.
    pub input_memory_bytes: usize,
    /// The maximum memory for pixels, in bytes. Applies separately to decoding and scaling, and to the generation by the
    /// built-in engine. Work that needs more waits.
    pub pixel_memory_bytes: usize,
    /// The memory for the pictures of all image responses, in bytes: two for each pixel that is requested, and five where the
    /// response contains the pictures. Further requests wait.
    pub response_memory_bytes: usize,
    /// The key with which the gateway signs links. `None`: links are not signed, and a media key alone grants access.
    #[serde(deserialize_with = "secret")]
    pub signing_key: Option<SecretString>,
    /// The base URL at which clients and providers reach the gateway: `PUBLIC_BASE_URL`, which is a setting of the gateway.
    #[serde(skip)]
    pub public_base_url: Option<String>,
    /// How long a signed link is valid, at least.
    #[serde(with = "humantime_serde")]
    pub link_ttl: Duration,
    /// How long an unused file is kept. Zero: forever. Files of video jobs follow `jobs.retention` instead.
    #[serde(with = "humantime_serde")]
    pub retention: Duration,
    /// The total size of all files, in bytes; above it the least recently used files are removed. 0: no limit.
    pub quota_bytes: u64,
}

impl Default for Media {
    fn default() -> Self {
        Self {
            fetch_private_addresses: false,
            max_input_bytes: 20 << 20,
            max_pixels: 50_000_000,
            input_memory_bytes: 512 << 20,
            pixel_memory_bytes: 512 << 20,
            response_memory_bytes: 1 << 30,
            signing_key: None,
            public_base_url: None,
            link_ttl: Duration::from_hours(24),
            retention: Duration::ZERO,
            quota_bytes: 0,
        }
    }
}

/// The minimum length of the signing key, in bytes: a shorter key could be guessed.
const MIN_SIGNING_KEY_LENGTH: usize = 16;

/// The interval between two sweeps. With a shorter retention a file could be removed before its link is followed.
const MIN_RETENTION: Duration = Duration::from_mins(1);

/// A smaller budget could not hold one of the largest pictures.
const MIN_MEMORY_BYTES: usize = 64 << 20;

/// A smaller quota could not hold the pictures of one response.
const MIN_QUOTA_BYTES: u64 = 64 << 20;

impl Media {
    pub(super) fn validate(&self) -> Result<(), SettingError> {
        let error = |key, message| Err(SettingError::new(key, message));
        if !(64..=MAX_INPUT_BYTES).contains(&self.max_input_bytes) {
            return error("media.max_input_bytes", "must be 64 to 268435456 (256 MiB)");
        }
        if self.max_pixels == 0 {
            return error("media.max_pixels", "must be at least 1");
        }
        let budgets = [
            ("media.input_memory_bytes", self.input_memory_bytes),
            ("media.pixel_memory_bytes", self.pixel_memory_bytes),
            ("media.response_memory_bytes", self.response_memory_bytes),
        ];
        if let Some((key, _)) = budgets.iter().find(|(_, bytes)| *bytes < MIN_MEMORY_BYTES) {
            return error(key, "must be at least 67108864 (64 MiB)");
        }
        if u64::try_from(self.input_memory_bytes).is_ok_and(|bytes| bytes < self.max_input_bytes) {
            return error("media.input_memory_bytes", "must be at least media.max_input_bytes");
        }
        if self.signing_key.as_ref().is_some_and(|key| key.expose_secret().len() < MIN_SIGNING_KEY_LENGTH) {
            let rule = "must have at least 16 characters; `openssl rand -hex 32` generates a suitable one";
            return error("media.signing_key", rule);
        }
        if self.link_ttl < Duration::from_secs(1) {
            return error("media.link_ttl", "must be at least 1s");
        }
        if !self.retention.is_zero() && self.retention < MIN_RETENTION {
            return error("media.retention", "must be 0s (forever) or at least 1m");
        }
        if self.quota_bytes != 0 && self.quota_bytes < MIN_QUOTA_BYTES {
            return error("media.quota_bytes", "must be 0 (no limit) or at least 67108864 (64 MiB)");
        }
        Ok(())
    }
}
