//! The settings of video jobs.

use std::time::Duration;

use serde::Deserialize;

use super::error::SettingError;

/// The `[jobs]` settings: video jobs.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Jobs {
    /// How many jobs of one provider are advanced at the same time, at most half of them by submissions, 1 to 256.
    pub concurrency: usize,
    /// How long a worker owns a job without renewing its lease. After a crash, jobs wait this long for another worker.
    #[serde(with = "humantime_serde")]
    pub lease: Duration,
    /// How long a job may take before it fails, from its first submission to the provider.
    #[serde(with = "humantime_serde")]
    pub deadline: Duration,
    /// How long finished jobs and their files are kept. Zero: forever.
    #[serde(with = "humantime_serde")]
    pub retention: Duration,
    /// The largest file that is copied from a provider, in bytes.
    pub max_file_bytes: u64,
    /// How many jobs of one owner may be queued, at least 1. Further ones are refused.
    pub max_queued_per_owner: u32,
    /// How many jobs may be queued, at least 1. Further ones are refused.
    pub max_queued: u32,
}

impl Default for Jobs {
    fn default() -> Self {
        Self {
            concurrency: 8,
            lease: Duration::from_secs(15),
            deadline: Duration::from_mins(30),
            retention: Duration::ZERO,
            max_file_bytes: 2 << 30,
            max_queued_per_owner: 1000,
            max_queued: 10_000,
        }
    }
}

impl Jobs {
    pub(super) fn validate(&self) -> Result<(), SettingError> {
        SettingError::require_nonzero([("jobs.deadline", self.deadline)])?;
        // On a busy machine a shorter lease could expire between two heartbeats.
        if self.lease < Duration::from_secs(1) {
            return Err(SettingError::new("jobs.lease", "must be at least 1s"));
        }
        if !(1..=256).contains(&self.concurrency) {
            return Err(SettingError::new("jobs.concurrency", "must be 1 to 256"));
        }
        for (key, limit) in
            [("jobs.max_queued_per_owner", self.max_queued_per_owner), ("jobs.max_queued", self.max_queued)]
        {
            if limit == 0 {
                return Err(SettingError::new(key, "must be at least 1"));
            }
        }
        Ok(())
    }
}
