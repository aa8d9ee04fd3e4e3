//! Pictures: the provider trait and what it is asked; what providers lean on; below them the providers and the gRPC door.

mod answer;
pub(crate) mod assembly;
mod fan_out;
mod fit;
mod generation;
pub mod grpc;
mod guarded;
mod joined;
mod native;
mod outcomes;
pub mod providers;
mod spec;
mod validate;

use async_trait::async_trait;
use bytes::Bytes;
use triptych_proto::v1 as pb;

pub(crate) use self::spec::{MOST_PIXELS, SIDES};
pub use self::{
    fan_out::fan_out,
    native::{Ratio, Window, closest},
    spec::{Background, Encoding, ImageSpec, Quality, Style},
};
use crate::{
    call::{Call, Chunks},
    error::ProviderError,
};

/// Something that makes pictures.
///
/// A provider asks its upstream for the closest native size (see [`closest`] and [`Window`]) and hands over what it got;
/// bringing a picture to the size and the format asked for is the door's business.
#[async_trait]
pub trait ImageProvider: std::fmt::Debug + Send + Sync {
    /// Makes the pictures; for each of them one [`Finished`](ImageEvent::Finished) or [`Failed`](ImageEvent::Failed), in
    /// any order of their indices, and then the end of the stream. An error ends the stream and stands for all pictures
    /// not told yet. Dropping the stream ends the work.
    async fn generate(&self, call: Call<ImageSpec>) -> Result<Chunks<ImageEvent>, ProviderError>;

    /// What this model, by the provider's name of it, can start from.
    fn edits(&self, model: &str) -> Edits;

    /// Returns the health of the provider's upstream; empty for a provider without one.
    fn targets(&self) -> Vec<pb::model::Target> {
        Vec::new()
    }
}

/// What a model can start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edits {
    /// How many input pictures at most; 0: it makes pictures from words only.
    pub pictures: usize,
    /// Whether a mask may say where to paint.
    pub mask: bool,
}

impl Edits {
    /// From words only.
    pub const NONE: Self = Self { pictures: 0, mask: false };
}

/// One event on the way to the pictures. Pictures are encoded: PNG, JPEG, WebP or GIF, of whatever size.
#[derive(Debug, Clone)]
pub enum ImageEvent {
    /// A picture taking shape.
    Preview {
        /// Which picture, from 0.
        index: u32,
        /// Which preview of it, from 0.
        partial: u32,
        /// What it looks like so far.
        picture: Bytes,
    },
    /// A finished picture.
    Finished {
        /// Which picture, from 0.
        index: u32,
        /// The picture as the upstream made it.
        picture: Bytes,
        /// The prompt as the provider rewrote it; empty where it did not.
        revised_prompt: String,
    },
    /// A picture that will not come, while others may.
    Failed {
        /// Which picture, from 0.
        index: u32,
        /// Why.
        error: ProviderError,
    },
    /// What some of the pictures cost; several are added up. Streams tell it with the next picture, and nothing is waited
    /// for behind the last one, so it comes before the picture it is about.
    Usage(Usage),
}

/// What pictures cost, in tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the request.
    pub input: u64,
    /// Those of `input` that input pictures took, where the provider tells them apart.
    pub input_images: u64,
    /// Tokens of the pictures.
    pub output: u64,
    /// Both together, as the provider counts.
    pub total: u64,
}
