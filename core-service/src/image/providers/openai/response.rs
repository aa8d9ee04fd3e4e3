//! Responses of OpenAI-compatible upstreams: lists of images and stream events.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::common::{
    decode::base64_image,
    image_list::{self, ImageList, ImageWire, UpstreamImage, UsageWire, non_null},
};
use crate::{error::ProviderError, image::Usage, upstream::failure_in_reply};

/// An event of a streamed response.
#[derive(Debug, Default)]
pub(super) enum StreamEvent {
    Preview {
        partial: u32,
        picture: Bytes,
    },
    Finished {
        image: UpstreamImage,
        usage: Option<Usage>,
    },
    /// An unknown event, which is ignored.
    #[default]
    Unknown,
}

#[derive(Deserialize)]
struct EventWire<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    partial_image_index: Option<u32>,
    usage: Option<UsageWire>,
    #[serde(borrow)]
    b64_json: Option<Cow<'a, str>>,
    #[serde(borrow)]
    url: Option<Cow<'a, str>>,
    revised_prompt: Option<String>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

/// Parses a non-streaming response.
pub(super) fn parse(body: &[u8]) -> Result<ImageList, ProviderError> {
    image_list::parse(body, failure_in_reply)
}

/// Parses the data of one stream event.
pub(super) fn parse_event(data: &[u8]) -> Result<StreamEvent, ProviderError> {
    let invalid = |error: &dyn std::fmt::Display| {
        ProviderError::Unreadable(format!("the upstream sent an invalid stream event: {error}"))
    };
    let EventWire { kind, partial_image_index, usage, b64_json, url, revised_prompt, error } =
        serde_json::from_slice(data).map_err(|error| invalid(&error))?;
    if let Some(error) = non_null(error) {
        return Err(failure_in_reply(error));
    }
    match kind.as_deref().unwrap_or_default() {
        "error" => Err(failure_in_reply(&String::from_utf8_lossy(data))),
        kind if kind.ends_with(".partial_image") => {
            let encoded = b64_json.ok_or_else(|| invalid(&"a preview without an image"))?;
            Ok(StreamEvent::Preview {
                partial: partial_image_index.unwrap_or_default(),
                picture: base64_image(&encoded)?,
            })
        }
        kind if kind.ends_with(".completed") => {
            let image = ImageWire { b64_json, url, revised_prompt, error }.into_image(failure_in_reply);
            Ok(StreamEvent::Finished { image, usage: usage.and_then(UsageWire::into_usage) })
        }
        _ => Ok(StreamEvent::Unknown),
    }
}
