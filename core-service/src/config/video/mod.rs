//! The settings of the video service; those of each provider are in a file of their own. They call the generation of one video at its
//! provider a *render*.

mod check;
mod fal;
mod gemini;
mod google;
mod kling;
mod midjourney;
mod minimax;
mod openai;
mod runway;
mod seedance;
mod service_type;
mod vertex;
mod vidu;
mod wan;
mod xai;

use std::time::Duration;

use serde::Deserialize;

pub use self::{
    fal::Fal,
    gemini::GeminiVideos,
    kling::Kling,
    midjourney::MidjourneyVideos,
    minimax::Minimax,
    openai::OpenaiVideos,
    runway::Runway,
    seedance::{Seedance, SeedanceResolution},
    service_type::VideoServiceType,
    vertex::Vertex,
    vidu::Vidu,
    wan::Wan,
    xai::Xai,
};
use super::{error::SettingError, guard::GuardSettings};
use crate::model_facts::{FactsTable, fit::FitPolicy};

/// The `[video]` settings.
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
    /// The timeout between two reads of a response body. Does not apply to the download of the finished video.
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
    /// What happens to parameters that a model does not accept. A request can override it.
    pub fit_policy: FitPolicy,
    /// Facts: which sizes, durations and inputs a model accepts and what it returns. They take precedence over the compiled-in
    /// facts.
    pub model_facts: FactsTable,
    /// Circuit breaker and concurrency limit of the connected providers: all but the built-in engine (`offline`).
    pub routing: VideoRouting,
    /// fal.
    pub fal: Fal,
    /// Google's video models on the Gemini API.
    pub gemini: GeminiVideos,
    /// A Midjourney proxy.
    pub midjourney: MidjourneyVideos,
    /// An OpenAI-compatible upstream.
    pub openai: OpenaiVideos,
    /// Runway.
    pub runway: Runway,
    /// Seedance of Volcengine Ark.
    pub seedance: Seedance,
    /// Kling.
    pub kling: Kling,
    /// MiniMax.
    pub minimax: Minimax,
    /// Google's video models on Vertex AI.
    pub vertex: Vertex,
    /// Vidu.
    pub vidu: Vidu,
    /// Wan and the other video models of DashScope.
    pub wan: Wan,
    /// xAI.
    pub xai: Xai,
}

/// Circuit breaker and concurrency limit of the connected providers, for submissions only. There is no retry setting, because the
/// job runner retries submissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VideoRouting {
    /// Consecutive failures that open the circuit breaker of a provider, at least 1. In the configuration: `failures`.
    #[serde(rename = "failures")]
    pub failure_threshold: u32,
    /// How long the breaker stays open before it becomes half-open.
    #[serde(with = "humantime_serde")]
    pub cooldown: Duration,
    /// Submissions in flight over all connected providers; 0: no limit.
    pub max_in_flight: usize,
    /// Submissions that may wait when `max_in_flight` is reached; further ones are refused. In the configuration:
    /// `queue`.
    #[serde(rename = "queue")]
    pub queue_limit: usize,
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
            fal: Fal::default(),
            gemini: GeminiVideos::default(),
            midjourney: MidjourneyVideos::default(),
            openai: OpenaiVideos::default(),
            runway: Runway::default(),
            seedance: Seedance::default(),
            kling: Kling::default(),
            minimax: Minimax::default(),
            vertex: Vertex::default(),
            vidu: Vidu::default(),
            wan: Wan::default(),
            xai: Xai::default(),
        }
    }
}

impl Default for VideoRouting {
    fn default() -> Self {
        let GuardSettings { failure_threshold, cooldown, max_in_flight, queue_limit, .. } = GuardSettings::default();
        Self { failure_threshold, cooldown, max_in_flight, queue_limit }
    }
}

impl From<VideoRouting> for GuardSettings {
    fn from(settings: VideoRouting) -> Self {
        let VideoRouting { failure_threshold, cooldown, max_in_flight, queue_limit } = settings;
        Self { retries: 0, failure_threshold, cooldown, max_in_flight, queue_limit }
    }
}

impl Video {
    pub(super) fn validate(&self) -> Result<(), SettingError> {
        let Self { fal, gemini, kling, midjourney, minimax, openai, runway, seedance, vertex, vidu, wan, xai, .. } =
            self;
        fal.validate(self.service_type)?;
        gemini.validate(self.service_type)?;
        midjourney.validate(self.service_type)?;
        openai.validate(self.service_type)?;
        runway.validate(self.service_type)?;
        seedance.validate(self.service_type)?;
        kling.validate(self.service_type)?;
        minimax.validate(self.service_type)?;
        vertex.validate(self.service_type)?;
        vidu.validate(self.service_type)?;
        wan.validate(self.service_type)?;
        xai.validate(self.service_type)?;
        SettingError::require_nonzero([
            ("video.connect_timeout", self.connect_timeout),
            ("video.first_byte_timeout", self.first_byte_timeout),
            ("video.idle_timeout", self.idle_timeout),
        ])?;
        if self.routing.failure_threshold == 0 {
            return Err(SettingError::new("video.routing.failures", "must be at least 1"));
        }
        Ok(())
    }
}
