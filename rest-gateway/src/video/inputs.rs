//! The images that a video starts and ends with, and its references, in the form of OpenRouter, the Vercel AI SDK and LiteLLM:
//! `{"type": "image_url", "image_url": {"url": "..."}, "frame_type": "last_frame"}`.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use triptych_proto::v1::{self as pb, MediaInput, media_input::Source, video_frame::Position, video_reference::Kind};

use crate::{
    error::GatewayError,
    form::{MediaKind, Value, parse_url_input},
    links::Links,
};

/// An entry of `frame_images` or `input_references`. The URLs are strings or objects with a `url`.
#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow, default)]
    r#type: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    frame_type: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    image_url: Option<&'a RawValue>,
    #[serde(borrow, default)]
    video_url: Option<&'a RawValue>,
    #[serde(borrow, default)]
    audio_url: Option<&'a RawValue>,
    #[serde(borrow, default)]
    file_id: Option<Cow<'a, str>>,
}

/// The kinds of entries: their `type`, which is also the name of the member with the URL, and their kind in the request
/// to the core and in error messages.
const KINDS: [(&str, Kind, MediaKind); 3] = [
    ("image_url", Kind::Image, MediaKind::Image),
    ("video_url", Kind::Video, MediaKind::Video),
    ("audio_url", Kind::Audio, MediaKind::Sound),
];

/// Converts `frame_images`. An entry without a `frame_type`, and an image without an object around it, is the first frame.
pub(super) fn read_frames(values: Vec<Value<'_>>, links: &Links) -> Result<Vec<pb::VideoFrame>, GatewayError> {
    let frame = |(index, value): (usize, Value<'_>)| {
        let field = format!("frame_images[{index}]");
        let Some(object) = value.object() else {
            let image = Some(value.image_input(&field, links)?);
            return Ok(pb::VideoFrame { image, position: Position::First.into() });
        };
        let entry = Entry::parse(&field, object)?;
        let position = match entry.frame_type.as_deref() {
            None | Some("first_frame") => Position::First,
            Some("last_frame") => Position::Last,
            Some(word) => {
                let field = format!("{field}.frame_type");
                let message = format!("{field} \"{word}\": expected `first_frame` or `last_frame`");
                return Err(GatewayError::invalid(field, message));
            }
        };
        let (kind, image) = entry.input(&field, links)?;
        if kind != Kind::Image {
            return Err(GatewayError::invalid(&*field, format!("{field}: expected an image, as `image_url`")));
        }
        Ok(pb::VideoFrame { image: Some(image), position: position.into() })
    };
    values.into_iter().enumerate().map(frame).collect()
}

/// Converts `input_references`. A reference without an object around it is an image.
pub(super) fn read_references(values: Vec<Value<'_>>, links: &Links) -> Result<Vec<pb::VideoReference>, GatewayError> {
    let reference = |(index, value): (usize, Value<'_>)| {
        let field = format!("input_references[{index}]");
        let (kind, media) = match value.object() {
            Some(object) => Entry::parse(&field, object)?.input(&field, links)?,
            None => (Kind::Image, value.image_input(&field, links)?),
        };
        Ok(pb::VideoReference { media: Some(media), kind: kind.into() })
    };
    values.into_iter().enumerate().map(reference).collect()
}

impl<'a> Entry<'a> {
    fn parse(field: &str, json: &'a str) -> Result<Self, GatewayError> {
        serde_json::from_str(json).map_err(|_| {
            let example = r#"{"type": "image_url", "image_url": {"url": "https://..."}}"#;
            GatewayError::invalid(field, format!("{field}: expected an object such as {example}"))
        })
    }

    /// Returns the kind and the file. The kind follows from the only member with a URL, and the `type` must agree with
    /// it. An entry with a `file_id` has the kind of its `type`; without a `type` it is an image.
    fn input(self, field: &str, links: &Links) -> Result<(Kind, MediaInput), GatewayError> {
        let named = self.r#type.as_deref().map(|name| {
            KINDS.into_iter().find(|(known, ..)| *known == name).ok_or_else(|| {
                let field = format!("{field}.type");
                let message = format!("{field} \"{name}\": expected `image_url`, `video_url` or `audio_url`");
                GatewayError::invalid(field, message)
            })
        });
        let named = named.transpose()?;
        let urls = [self.image_url, self.video_url, self.audio_url];
        let mut given = KINDS.into_iter().zip(urls).filter_map(|(kind, url)| Some((kind, url?)));
        match (given.next(), given.next(), self.file_id) {
            (Some(((_, kind, media_kind), url)), None, None) if named.is_none_or(|named| named.1 == kind) => {
                Ok((kind, parse_url_input(field, media_kind, url, links)?))
            }
            (None, None, Some(id)) => {
                let kind = named.map_or(Kind::Image, |(_, kind, _)| kind);
                Ok((kind, MediaInput { source: Some(Source::MediaKey(id.into_owned())) }))
            }
            _ => {
                let expected = named.map_or("one of `image_url`, `video_url`, `audio_url`".to_owned(), |(name, ..)| {
                    format!("only `{name}`, as its type says,")
                });
                Err(GatewayError::invalid(field, format!("{field}: expected {expected} or `file_id`")))
            }
        }
    }
}
