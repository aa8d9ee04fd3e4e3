//! The task of the built-in video engine: the text that it needs to render again.

use offline_video::{FrameRate, Shot};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    call::Call,
    error::ProviderError,
    fault_injection::Fault,
    media::{MediaKey, clip::End},
    video::{
        Operation,
        inputs::{InputRole, StoredInput},
        parameters::VideoParameters,
        provider::RenderRequest,
    },
};

/// Everything that a render depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OfflineTask {
    /// The idempotency key of the submission: the same key is the same render.
    pub(super) id: String,
    pub(super) fault: Option<Fault>,
    #[serde(flatten)]
    pub(super) parameters: VideoParameters,
}

impl OfflineTask {
    pub(super) fn new(call: Call<RenderRequest>) -> Self {
        let parameters = call.request.parameters;
        Self { id: call.context.idempotency_key, fault: Fault::of(&call.model), parameters }
    }

    pub(super) fn parse(task: &str) -> Result<Self, ProviderError> {
        let unknown =
            |_| ProviderError::Refused { message: "this is not a task of the built-in engine".to_owned(), field: None };
        serde_json::from_str(task).map_err(unknown)
    }

    pub(super) fn to_json(&self) -> Result<String, ProviderError> {
        serde_json::to_string(self).map_err(|error| ProviderError::Unreadable(error.to_string()))
    }

    /// Refuses what the encoder would refuse later, after the image was generated.
    pub(super) fn validate(&self) -> Result<(), ProviderError> {
        let image = image::RgbImage::new(1, 1);
        let refused = |error: offline_video::RenderError| ProviderError::Refused {
            message: error.to_string(),
            field: Some("size".to_owned()),
        };
        self.shot(&image).validate().map_err(refused)
    }

    pub(super) fn shot<'a>(&'a self, image: &'a image::RgbImage) -> Shot<'a> {
        let VideoParameters { prompt, width, height, seconds, seed, .. } = &self.parameters;
        Shot {
            picture: image,
            prompt,
            width: *width,
            height: *height,
            seconds: *seconds,
            fps: FrameRate::default(),
            seed: seed.map_or_else(|| hash_word(prompt), i64::cast_unsigned),
        }
    }

    /// Returns the key of the video to edit or extend, and the end of it whose frame the render starts from.
    pub(super) fn source(&self) -> Option<(MediaKey, End)> {
        let end = if self.parameters.operation == Operation::Extend { End::Last } else { End::First };
        let source = self.parameters.inputs.iter().find(|input| input.role == InputRole::Source);
        source.and_then(StoredInput::key).and_then(MediaKey::parse).map(|key| (key, end))
    }

    /// Returns the key of the image to start from.
    pub(super) fn first_frame(&self) -> Option<MediaKey> {
        let first = self.parameters.inputs.iter().find(|input| input.role == InputRole::FirstFrame);
        first.and_then(StoredInput::key).and_then(MediaKey::parse)
    }
}

/// Hashes a text to the same number on every machine.
fn hash_word(text: &str) -> u64 {
    let digest = Sha256::digest(text);
    digest.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}
