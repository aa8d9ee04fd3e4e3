//! The parameters of a video, as they are stored with its job (JSON) and sent to its provider.

use serde::{Deserialize, Serialize};

use super::{
    inputs::{self, InputRole, StoredInput},
    operation::Operation,
    task::UpstreamTask,
};
use crate::{
    model_facts::{InputKind, fit::Adjustment},
    size::Size,
};

/// The validated parameters of a video, as the model gets them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VideoParameters {
    /// The prompt; never blank.
    pub prompt: String,
    /// Width in pixels; even, unless the only size of the model is odd.
    pub width: u32,
    /// Height in pixels; even, unless the only size of the model is odd.
    pub height: u32,
    /// Duration in seconds; of an extension that of the new part, unless the provider counts the whole video.
    pub seconds: u32,
    /// The seed for reproducible results.
    pub seed: Option<i64>,
    /// The inputs. Files are this job's own copies.
    #[serde(
        default,
        alias = "reference",
        deserialize_with = "inputs::deserialize",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub inputs: Vec<StoredInput>,
    /// The operation.
    #[serde(default, skip_serializing_if = "Operation::is_generate")]
    pub operation: Operation,
    /// The provider's own render that the operation starts from. `None`: it starts from an input with the role
    /// [`InputRole::Source`], or a new video is rendered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<UpstreamTask>,
    /// The key of the stored file of that render, for models that also accept files. It belongs to the job of the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_file: Option<String>,
    /// An opaque identifier of the end user; may be empty.
    #[serde(default)]
    pub user: String,
    /// The resolution in the terms of the model, for example `720p`; empty for models with sizes in pixels.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub resolution: String,
    /// The aspect ratio in the terms of the model; empty for models with sizes in pixels.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub aspect_ratio: String,
    /// Whether the video should have a sound track. `None`: the default of the model, or the model has no choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generate_audio: Option<bool>,
    /// What must not be shown; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub negative_prompt: String,
    /// The URL that is called when the job ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback_url: Option<String>,
    /// The parameters whose values differ from the request, because the model does not accept the requested ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adjustments: Vec<Adjustment>,
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

    /// Returns whether a video is among the inputs, or another video is the source of the operation.
    pub fn has_video_input(&self) -> bool {
        let is_video = |input: &StoredInput| matches!(input.role, InputRole::Video | InputRole::Source);
        self.source.is_some() || self.inputs.iter().any(is_video)
    }

    /// Returns the keys of the job's own copies of its inputs.
    pub fn input_keys(&self) -> impl Iterator<Item = &str> {
        self.inputs.iter().filter_map(StoredInput::key)
    }

    /// Returns the kind of input that the model gets beside the prompt. Some providers have one model name for each kind.
    pub fn input_kind(&self) -> InputKind {
        match self.operation {
            Operation::Edit => InputKind::Edit,
            Operation::Extend => InputKind::Extend,
            Operation::Generate | Operation::Remix if self.has_references() => InputKind::References,
            Operation::Generate | Operation::Remix if self.has_frames() => InputKind::Frames,
            Operation::Generate | Operation::Remix => InputKind::Text,
        }
    }

    /// Returns whether there is a first or last frame.
    pub fn has_frames(&self) -> bool {
        self.has_input(InputRole::FirstFrame) || self.has_input(InputRole::LastFrame)
    }

    /// Returns whether there is a reference.
    pub fn has_references(&self) -> bool {
        [InputRole::Image, InputRole::Video, InputRole::Sound].into_iter().any(|role| self.has_input(role))
    }

    /// Returns whether there is an input for the role.
    pub fn has_input(&self, role: InputRole) -> bool {
        self.inputs.iter().any(|input| input.role == role)
    }
}
