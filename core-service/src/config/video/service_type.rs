//! The names of the video providers in the settings.

use serde::Deserialize;

/// The path of the setting.
pub(super) const SERVICE_TYPE: &str = "video.service_type";

/// A video provider.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VideoServiceType {
    /// The built-in engine.
    #[default]
    Offline,
    /// An OpenAI-compatible upstream.
    Openai,
    /// Doubao Seedance.
    Seedance,
    /// Kling.
    Kling,
    /// Wan.
    Wan,
    /// MiniMax.
    Minimax,
    /// Google's video models: Gemini Omni and Veo.
    #[serde(alias = "veo")]
    Gemini,
    /// Runway.
    Runway,
    /// fal.
    Fal,
    /// A Midjourney proxy.
    Midjourney,
    /// xAI.
    Xai,
}

impl VideoServiceType {
    /// Returns the name of a provider that this version does not have.
    pub(super) fn unavailable(self) -> Option<&'static str> {
        match self {
            Self::Fal
            | Self::Gemini
            | Self::Kling
            | Self::Midjourney
            | Self::Offline
            | Self::Openai
            | Self::Runway
            | Self::Seedance
            | Self::Wan
            | Self::Xai => None,
            Self::Minimax => Some("minimax"),
        }
    }
}
