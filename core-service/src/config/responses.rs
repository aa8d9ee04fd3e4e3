//! The settings of stored responses of the Responses API.

use std::time::Duration;

use serde::Deserialize;

use super::error::SettingError;

/// The smallest value of `responses.max_stored_bytes`: a response has up to some megabytes, with its images.
const MIN_STORED_BYTES: u64 = 1 << 20;

/// The `[responses]` settings: stored responses, and those that are generated in the background.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Responses {
    /// How long a response is kept after it was created or continued. Zero: without limit.
    #[serde(with = "humantime_serde")]
    pub retention: Duration,
    /// The total size of all stored responses in bytes, at least 1 MiB. Above it, those that were not used for the longest time are
    /// removed.
    pub max_stored_bytes: u64,
    /// How many responses are generated in the background at the same time, 1 to 1024.
    pub concurrency: usize,
    /// How many responses of one owner may be queued, at least 1. Further ones are refused.
    pub max_queued_per_owner: u32,
    /// How many responses may be queued, at least 1. Further ones are refused.
    pub max_queued: u32,
}

impl Default for Responses {
    fn default() -> Self {
        Self {
            retention: Duration::from_hours(30 * 24),
            max_stored_bytes: 4 << 30,
            concurrency: 16,
            max_queued_per_owner: 1000,
            max_queued: 10_000,
        }
    }
}

impl Responses {
    pub(super) fn validate(&self) -> Result<(), SettingError> {
        if self.max_stored_bytes < MIN_STORED_BYTES {
            return Err(SettingError::new("responses.max_stored_bytes", "must be at least 1048576"));
        }
        if !(1..=1024).contains(&self.concurrency) {
            return Err(SettingError::new("responses.concurrency", "must be 1 to 1024"));
        }
        for (key, limit) in
            [("responses.max_queued_per_owner", self.max_queued_per_owner), ("responses.max_queued", self.max_queued)]
        {
            if limit == 0 {
                return Err(SettingError::new(key, "must be at least 1"));
            }
        }
        Ok(())
    }
}
