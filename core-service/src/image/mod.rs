//! Pictures: the provider trait and what it is asked, and below it the providers and the gRPC door.

pub mod providers;
pub mod service;
mod validate;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{
    call::{Call, Chunks},
    error::ProviderError,
    size::Size,
};

/// Something that makes pictures.
#[async_trait]
pub trait ImageProvider: std::fmt::Debug + Send + Sync {
    /// Makes the pictures; each [`ImageEvent::Finished`] is one of them, in any order of their indices.
    /// Dropping the stream ends the work.
    async fn generate(&self, call: Call<ImageSpec>) -> Result<Chunks<ImageEvent>, ProviderError>;

    /// Whether it can start from pictures.
    fn edits(&self) -> bool;
}

/// What to make: a checked request, its pictures fetched and known to be pictures.
#[derive(Debug, Clone)]
pub struct ImageSpec {
    /// What to show; never blank.
    pub prompt: String,
    /// How many pictures, 1 to 10.
    pub n: u32,
    /// Exact size in pixels. `None`: the provider's choice.
    pub size: Option<Size>,
    /// How much care to take.
    pub quality: Quality,
    /// `vivid`, `natural`, or empty.
    pub style: String,
    /// Whether the background shall be transparent.
    pub transparent: bool,
    /// Asks for the same picture to the same request.
    pub seed: Option<i64>,
    /// An opaque name of the end user; may be empty.
    pub user: String,
    /// Pictures to start from, encoded; any of them makes this an edit.
    pub pictures: Vec<Bytes>,
    /// Where to paint: the transparent pixels. Of the first picture's size.
    pub mask: Option<Bytes>,
    /// How many previews of each picture at most, 0 to 3.
    pub partial_images: u32,
    /// Encoding of what is handed over.
    pub format: Encoding,
    /// Members for the upstream that have no field; the text of a JSON object, or empty.
    pub extra_json: String,
}

/// How much care to take over a picture; the words of both generations of the API folded into three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quality {
    /// `low`.
    Low,
    /// `standard`, `medium`, `auto`.
    Standard,
    /// `hd`, `high` and above.
    High,
}

/// How a picture is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Lossless, with transparency.
    Png,
    /// `quality` 0 to 100; no transparency.
    Jpeg {
        /// 0 to 100.
        quality: u8,
    },
    /// Lossless, with transparency.
    Webp,
}

impl Encoding {
    /// The media type, for instance `image/png`.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg { .. } => "image/jpeg",
            Self::Webp => "image/webp",
        }
    }
}

/// One event on the way to the pictures.
#[derive(Debug, Clone)]
pub enum ImageEvent {
    /// A picture taking shape.
    Preview {
        /// Which picture, from 0.
        index: u32,
        /// Which preview of it, from 0.
        partial: u32,
        /// What it looks like so far.
        picture: MadePicture,
    },
    /// A finished picture.
    Finished {
        /// Which picture, from 0.
        index: u32,
        /// The picture.
        picture: MadePicture,
        /// The prompt as the provider rewrote it; empty where it did not.
        revised_prompt: String,
    },
}

/// An encoded picture from a provider.
#[derive(Debug, Clone)]
pub struct MadePicture {
    /// The encoded picture.
    pub data: Bytes,
    /// Its media type.
    pub media_type: &'static str,
    /// Its size in pixels.
    pub size: Size,
}
