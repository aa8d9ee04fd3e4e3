//! The operations of video jobs: generate, edit, extend, remix.

use serde::{Deserialize, Serialize};

/// What a job does with its prompt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Renders a new video.
    #[default]
    Generate,
    /// Changes a video.
    Edit,
    /// Continues a video.
    Extend,
    /// Varies a render by the remix operation of its provider. A remix by a model without such an operation is stored as
    /// the operation of its source, with another prompt.
    Remix,
}

impl Operation {
    /// Returns whether the operation is [`Generate`](Self::Generate), the default, which stored jobs leave out.
    pub fn is_generate(&self) -> bool {
        *self == Self::Generate
    }

    /// Returns the verb for messages: what a model does with a video.
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Generate => "generate",
            Self::Edit => "edit",
            Self::Extend => "extend",
            Self::Remix => "remix",
        }
    }
}
