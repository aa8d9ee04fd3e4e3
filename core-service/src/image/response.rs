//! Response messages of the gRPC service for images.

use prost::Message;
use triptych_proto::v1::{self as pb, stream_images_response::Event};

use super::resize::EncodedImage;
use crate::media::MediaKey;

/// An item of a response that repeated requests share. One type for both methods, because they have one `SingleFlight`, in which an
/// idempotency key is unique.
#[derive(Debug, Clone)]
pub(super) enum SharedItem {
    /// The only item of a response of `GenerateImages`.
    Unary(pb::GenerateImagesResponse),
    /// A message of a stream of `StreamImages`.
    Streamed(pb::StreamImagesResponse),
}

impl SharedItem {
    /// Returns the encoded size in bytes.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Unary(response) => response.encoded_len(),
            Self::Streamed(response) => response.encoded_len(),
        }
    }

    /// Returns the keys of the media files that the item refers to.
    pub(super) fn media_keys(&self) -> Vec<MediaKey> {
        let pictures: Vec<&pb::Picture> = match self {
            Self::Unary(response) => response.pictures.iter().collect(),
            Self::Streamed(pb::StreamImagesResponse { event: Some(Event::Finished(finished)) }) => {
                finished.picture.iter().collect()
            }
            // Previews are always delivered as bytes.
            Self::Streamed(pb::StreamImagesResponse { event: Some(Event::Preview(_) | Event::Failed(_)) | None }) => {
                Vec::new()
            }
        };
        let keys = pictures.into_iter().flat_map(|picture| [&picture.media_key, &picture.original_media_key]);
        keys.filter_map(|key| MediaKey::parse(key)).collect()
    }
}

/// Returns a message of a stream for a repeated request, which costs nothing.
pub(super) fn without_cost(mut message: pb::StreamImagesResponse) -> pb::StreamImagesResponse {
    if let Some(Event::Finished(finished)) = &mut message.event {
        finished.cost_micros = None;
    }
    message
}

/// Returns the message for an image that is delivered as bytes.
pub(super) fn picture(image: EncodedImage, revised_prompt: String) -> pb::Picture {
    let EncodedImage { data, media_type, size } = image;
    pb::Picture {
        data,
        media_key: String::new(),
        media_type: media_type.as_str().to_owned(),
        width: size.width,
        height: size.height,
        revised_prompt,
        original_media_key: String::new(),
    }
}
