//! The location of a finished video of the OpenAI videos API: the text of `ClipFile::location`, which is stored with the job.

use serde::{Deserialize, Serialize};

use crate::error::ProviderError;

/// Where a finished video is.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Location {
    /// The id of the video, whose file is at `videos/ID/content`.
    pub(super) id: String,
    /// The link in the video object, for servers without `/content`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) url: Option<String>,
}

impl Location {
    /// Returns the location as text.
    pub(super) fn to_text(&self) -> Result<String, ProviderError> {
        serde_json::to_string(self).map_err(|error| ProviderError::Unreadable(error.to_string()))
    }

    /// Parses the text of [`to_text`](Self::to_text).
    pub(super) fn parse(text: &str) -> Result<Self, ProviderError> {
        serde_json::from_str(text)
            .map_err(|error| ProviderError::Unreadable(format!("the stored location of the video is invalid: {error}")))
    }
}
