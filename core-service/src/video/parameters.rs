//! The parameters of a video.

use serde::{Deserialize, Serialize};

use crate::size::Size;

/// The validated parameters of a video.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VideoParameters {
    /// The prompt; never blank.
    pub prompt: String,
    /// Width in pixels; even.
    pub width: u32,
    /// Height in pixels; even.
    pub height: u32,
    /// Duration in seconds.
    pub seconds: u32,
    /// The seed for reproducible results.
    pub seed: Option<i64>,
    /// The key of this job's own copy of the reference image.
    pub reference: Option<String>,
    /// An opaque identifier of the end user; may be empty.
    #[serde(default)]
    pub user: String,
    /// Request members without a field of their own: the text of a JSON object, or empty. Stored in a column of its own, so
    /// that lists do not read it.
    #[serde(skip)]
    pub extra_json: String,
}

impl VideoParameters {
    /// Returns the size in pixels.
    pub fn size(&self) -> Size {
        Size::new(self.width, self.height)
    }
}
