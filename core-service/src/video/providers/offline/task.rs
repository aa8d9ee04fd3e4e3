//! The task of the built-in video engine: the text, stored with a job, from which any process can start the render again.

use offline_video::{FrameRate, Shot};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    call::Call,
    error::ProviderError,
    fault_injection::Fault,
    media::{MediaKey, clip::End},
    video::{Operation, inputs::InputRole, parameters::VideoParameters, provider::RenderRequest},
};

/// Everything that a render depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OfflineTask {
    /// The idempotency key of the submission, which is the id of the job: the same key is the same render.
    pub(super) id: String,
    /// The injected fault, if the model is a fault model.
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

    /// Checks size and duration now, before pictures are decoded and generated; the encoder would refuse them after that.
    pub(super) fn validate(&self) -> Result<(), ProviderError> {
        // A shot has at least one picture, whose content the check does not use.
        let image = image::RgbImage::new(1, 1);
        let refused = |error: offline_video::RenderError| ProviderError::Refused {
            message: error.to_string(),
            field: Some("size".to_owned()),
        };
        self.shot(std::slice::from_ref(&image)).validate().map_err(refused)
    }

    /// Returns the request to the engine, a shot: a camera that moves over `pictures`.
    pub(super) fn shot<'a>(&'a self, pictures: &'a [image::RgbImage]) -> Shot<'a> {
        let VideoParameters { prompt, width, height, seconds, seed, generate_audio, .. } = &self.parameters;
        Shot {
            pictures,
            ends_on_last_picture: self.parameters.has_input(InputRole::LastFrame),
            prompt,
            width: *width,
            height: *height,
            seconds: *seconds,
            fps: FrameRate::default(),
            seed: seed.map_or_else(|| hash_to_u64(prompt), i64::cast_unsigned),
            audio: generate_audio.unwrap_or_default(),
        }
    }

    /// Returns whether the video starts with a generated image of the prompt, rather than with an input.
    pub(super) fn starts_with_the_prompt(&self) -> bool {
        !self.parameters.has_input(InputRole::FirstFrame) && !self.parameters.has_input(InputRole::Source)
    }

    /// Returns the input pictures in the order in which the video shows them: a frame of the video to edit or extend or the first
    /// frame, the references in the order of the request, the last frame.
    pub(super) fn input_pictures(&self) -> Vec<InputPicture> {
        let of_roles = |roles: &'static [InputRole]| {
            let inputs = self.parameters.inputs.iter().filter(|input| roles.contains(&input.role));
            inputs.filter_map(|input| {
                let key = input.key().and_then(MediaKey::parse)?;
                Some(match input.role {
                    InputRole::Source if self.parameters.operation == Operation::Extend => {
                        InputPicture::Video(key, End::Last)
                    }
                    InputRole::Source | InputRole::Video => InputPicture::Video(key, End::First),
                    InputRole::FirstFrame | InputRole::LastFrame | InputRole::Image | InputRole::Sound => {
                        InputPicture::Image(key)
                    }
                })
            })
        };
        let first = of_roles(&[InputRole::Source, InputRole::FirstFrame]);
        first.chain(of_roles(&[InputRole::Image, InputRole::Video])).chain(of_roles(&[InputRole::LastFrame])).collect()
    }
}

/// An input of which a video shows a picture.
#[derive(Debug, Clone)]
pub(super) enum InputPicture {
    Image(MediaKey),
    /// Its first or last frame is shown.
    Video(MediaKey, End),
}

/// Hashes a text to the same number on every machine: the seed of requests without one, so that a render is reproducible.
fn hash_to_u64(text: &str) -> u64 {
    let digest = Sha256::digest(text);
    digest.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}
