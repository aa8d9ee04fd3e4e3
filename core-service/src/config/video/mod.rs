//! The settings of the video service; those of each provider are in a file of their own.

mod check;
mod openai;
mod seedance;
mod service_type;

use std::time::Duration;

use serde::Deserialize;

use self::service_type::SERVICE_TYPE;
pub use self::{
    openai::OpenaiVideos,
    seedance::{Seedance, SeedanceResolution},
    service_type::VideoServiceType,
};
use super::{error::SettingError, guard::GuardSettings};
use crate::model_facts::{FactsTable, fit::FitPolicy};

/// The video service.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Video {
    /// The provider of the default model. Other configured providers serve their models by name.
    pub service_type: VideoServiceType,
    /// The timeout for connecting to a provider.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// The timeout for the first byte of a response.
    #[serde(with = "humantime_serde")]
    pub first_byte_timeout: Duration,
    /// The timeout for the rest of a response. Does not apply to the finished video.
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
    /// What happens to parameters that a model does not accept, unless the request decides it.
    pub fit_policy: FitPolicy,
    /// What models accept and return, before the compiled-in facts.
    pub model_facts: FactsTable,
    /// Circuit breaker and concurrency limit of the connected providers.
    pub routing: VideoRouting,
    /// An OpenAI-compatible upstream.
    pub openai: OpenaiVideos,
    /// Seedance of Volcengine Ark.
    pub seedance: Seedance,
}

/// Protection of the connected providers. Only submissions count; they are never repeated here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VideoRouting {
    /// Consecutive failures that open the circuit breaker of a provider, at least 1.
    pub failures: u32,
    /// How long the breaker stays open before a probe.
    #[serde(with = "humantime_serde")]
    pub cooldown: Duration,
    /// Submissions in flight over all connected providers; 0: no limit.
    pub max_in_flight: usize,
    /// Submissions that may wait for a permit.
    pub queue: usize,
}

impl Default for Video {
    fn default() -> Self {
        Self {
            service_type: VideoServiceType::Offline,
            connect_timeout: Duration::from_secs(5),
            first_byte_timeout: Duration::from_mins(1),
            idle_timeout: Duration::from_secs(30),
            fit_policy: FitPolicy::default(),
            model_facts: FactsTable::default(),
            routing: VideoRouting::default(),
            openai: OpenaiVideos::default(),
            seedance: Seedance::default(),
        }
    }
}

impl Default for VideoRouting {
    fn default() -> Self {
        let GuardSettings { failure_threshold, cooldown, max_in_flight, queue_limit, .. } = GuardSettings::default();
        Self { failures: failure_threshold, cooldown, max_in_flight, queue: queue_limit }
    }
}

impl From<VideoRouting> for GuardSettings {
    fn from(settings: VideoRouting) -> Self {
        let VideoRouting { failures, cooldown, max_in_flight, queue } = settings;
        Self { retries: 0, failure_threshold: failures, cooldown, max_in_flight, queue_limit: queue }
    }
}

impl Video {
    pub(super) fn validate(&self) -> Result<(), SettingError> {
        let error = |key, message: &str| Err(SettingError::new(key, message));
        let Self { openai, seedance, .. } = self;
        if let Some(name) = self.service_type.unavailable() {
            let message = format!("`{name}` is not available in this version; set `offline`, `openai` or `seedance`");
            return error(SERVICE_TYPE, &message);
        }
        openai.validate(self.service_type)?;
        seedance.validate(self.service_type)?;
        SettingError::require_nonzero([
            ("video.connect_timeout", self.connect_timeout),
            ("video.first_byte_timeout", self.first_byte_timeout),
            ("video.idle_timeout", self.idle_timeout),
        ])?;
        if self.routing.failures == 0 {
            return error("video.routing.failures", "must be at least 1");
        }
        Ok(())
    }
}
