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
    /// Vidu.
    Vidu,
    /// Video models of Gemini.
    Gemini,
    /// Google's Veo.
    Veo,
    /// Runway.
    Runway,
    /// fal.
    Fal,
    /// A Midjourney proxy.
    Midjourney,
}

impl VideoServiceType {
    /// Returns the name of a provider that this version does not have.
    pub(super) fn unavailable(self) -> Option<&'static str> {
        match self {
            Self::Offline | Self::Openai | Self::Seedance | Self::Kling | Self::Wan | Self::Minimax | Self::Vidu => {
                None
            }
            Self::Gemini => Some("gemini"),
            Self::Veo => Some("veo"),
            Self::Runway => Some("runway"),
            Self::Fal => Some("fal"),
            Self::Midjourney => Some("midjourney"),
        }
    }
}
