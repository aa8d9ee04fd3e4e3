//! The settings of the video service.

use serde::Deserialize;

use super::error::SettingError;

/// The video service.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Video {
    /// The provider of the default model.
    pub service_type: VideoServiceType,
}

/// A video provider.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VideoServiceType {
    /// The built-in engine.
    #[default]
    Offline,
    /// Doubao Seedance.
    Seedance,
    /// Gemini's Veo.
    Veo,
    /// Wan.
    Wan,
    /// A Midjourney proxy.
    Midjourney,
    /// An OpenAI-compatible upstream.
    Openai,
}

impl Video {
    pub(super) fn validate(&self) -> Result<(), SettingError> {
        let name = match self.service_type {
            VideoServiceType::Offline => return Ok(()),
            VideoServiceType::Seedance => "seedance",
            VideoServiceType::Veo => "veo",
            VideoServiceType::Wan => "wan",
            VideoServiceType::Midjourney => "midjourney",
            VideoServiceType::Openai => "openai",
        };
        let message = format!("`{name}` is not available in this version; set `offline`");
        Err(SettingError::new("video.service_type", message))
    }
}
