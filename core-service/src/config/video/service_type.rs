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
    /// Google's video models, Gemini Omni and Veo, on the Gemini API. Also written `veo`.
    #[serde(alias = "veo")]
    Gemini,
    /// Google's video models on Vertex AI.
    Vertex,
    /// Runway.
    Runway,
    /// fal.ai, which hosts models of many vendors.
    Fal,
    /// A Midjourney proxy.
    Midjourney,
    /// xAI.
    Xai,
}
