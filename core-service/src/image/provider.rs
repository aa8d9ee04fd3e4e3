//! The trait of image providers, and its result types.

use async_trait::async_trait;
use bytes::Bytes;
use triptych_proto::v1 as pb;

use super::parameters::ImageParameters;
use crate::{
    call::{Call, Chunks},
    error::ProviderError,
};

/// A source of generated images.
///
/// A provider requests the closest native size from its upstream (see [`native_size`](super::native_size)) and returns the image
/// as it is. The gRPC service converts it to the requested size and format.
#[async_trait]
pub trait ImageProvider: std::fmt::Debug + Send + Sync {
    /// Returns the address of the upstream, for the log; `None` without an upstream.
    fn address(&self) -> Option<&str> {
        None
    }

    /// Generates `request.n` images.
    ///
    /// The stream yields exactly one [`Finished`](ImageEvent::Finished) or [`Failed`](ImageEvent::Failed) per image, in any
    /// order of their indices, and then ends. An error ends the stream and applies to all images without an event. Dropping
    /// the stream cancels the work.
    async fn generate(&self, call: Call<ImageParameters>) -> Result<Chunks<ImageEvent>, ProviderError>;

    /// Returns the editing capabilities of a model. `model` is its name at the upstream.
    fn edits(&self, model: &str) -> Edits;

    /// Returns the resolution that the images of a request get, in the terms of the model, for example `2K`. `None` if the model has
    /// no resolutions, or the provider does not choose one. Prices can depend on the resolution.
    fn resolution(&self, _model: &str, _parameters: &ImageParameters) -> Option<&'static str> {
        None
    }

    /// Returns the health of the provider's upstream; empty for a provider without one.
    fn targets(&self) -> Vec<pb::model::Target> {
        Vec::new()
    }
}

/// The editing capabilities of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edits {
    /// The maximum number of input images; 0 means that the model generates from prompts only.
    pub pictures: usize,
    /// Whether the model accepts a mask.
    pub mask: bool,
}

impl Edits {
    /// No editing: the model generates from prompts only.
    pub const NONE: Self = Self { pictures: 0, mask: false };
}

/// An event of a generation. Images are encoded as PNG, JPEG, WebP or GIF and have any size.
#[derive(Debug, Clone)]
pub enum ImageEvent {
    /// An unfinished image.
    Preview {
        /// The index of the image, from 0.
        index: u32,
        /// The index of the preview of that image, from 0.
        preview_index: u32,
        /// The encoded preview.
        picture: Bytes,
    },
    /// A finished image.
    Finished {
        /// The index of the image, from 0.
        index: u32,
        /// The encoded image, as the upstream returned it.
        picture: Bytes,
        /// The prompt as revised by the provider; empty if it was not revised.
        revised_prompt: String,
    },
    /// A failed image; others may still succeed.
    Failed {
        /// The index of the image, from 0.
        index: u32,
        /// The cause.
        error: ProviderError,
    },
    /// The token usage of some of the images. Several of these events are summed.
    ///
    /// Precedes the image that it belongs to: clients get it with the next image, and the gRPC service reads no event after the
    /// last image.
    Usage(Usage),
}

/// Token usage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the request.
    pub input: u64,
    /// The part of `input` that input images took, where the provider reports it.
    pub input_images: u64,
    /// Tokens of the generated images.
    pub output: u64,
    /// The total as counted by the provider.
    pub total: u64,
}
