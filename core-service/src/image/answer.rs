//! Answers of the image panel in the contract's words.

use prost::Message;
use tonic::Status;
use triptych_proto::v1::{self as pb, stream_images_response::Event};

use super::fit::Encoded;
use crate::{error::Error, media::MediaKey};

/// What a request is answered with, one way or the other.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    Whole(pb::GenerateImagesResponse),
    Event(Event),
}

impl Answer {
    /// How many bytes it has in the contract's encoding.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Whole(answer) => answer.encoded_len(),
            Self::Event(event) => pb::StreamImagesResponse { event: Some(event.clone()) }.encoded_len(),
        }
    }

    /// The files that it leads to.
    pub(super) fn media_keys(&self) -> Vec<MediaKey> {
        let pictures = match self {
            Self::Whole(answer) => answer.pictures.iter().collect(),
            Self::Event(Event::Finished(finished)) => finished.picture.iter().collect(),
            // Previews are handed over as bytes.
            Self::Event(Event::Preview(_) | Event::Failed(_)) => Vec::new(),
        };
        let keys =
            pictures.into_iter().flat_map(|picture: &pb::Picture| [&picture.media_key, &picture.original_media_key]);
        keys.filter_map(|key| MediaKey::parse(key)).collect()
    }
}

/// One message of a stream.
pub(super) fn in_message(event: Result<Event, Error>) -> Result<pb::StreamImagesResponse, Status> {
    Ok(pb::StreamImagesResponse { event: Some(event?) })
}

/// A picture with its bytes.
pub(super) fn in_words(picture: Encoded, revised_prompt: String) -> pb::Picture {
    let Encoded { data, media_type, size } = picture;
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
