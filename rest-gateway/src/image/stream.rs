//! The event stream of an image request: one event for each preview, finished image and failed image.

use std::ops::ControlFlow;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::BytesMut;
use futures_util::{Stream, StreamExt};
use serde::Serialize;
use tonic::Status;
use triptych_proto::{
    time::unix_seconds,
    v1::{self as pb, stream_images_response::Event as ImageEvent},
};

use super::wire::{self, Endpoint, ResponseEcho};
use crate::{
    error::GatewayError,
    links::Links,
    offload,
    sse::{Event, EventEncoder},
};

/// Data of a preview, which has `partial_image_index`, or of a finished image, which has `usage`.
#[derive(Serialize)]
struct ImageData<'a> {
    r#type: &'a str,
    b64_json: String,
    created_at: i64,
    size: String,
    quality: &'a str,
    background: &'a str,
    output_format: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    partial_image_index: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<wire::Usage>,
    /// Index of the image within the request; an extension of OpenAI's API, whose streams have a single image.
    image_index: u32,
    /// Link to the provider's original image; an extension of OpenAI's API.
    #[serde(skip_serializing_if = "Option::is_none")]
    original_url: Option<String>,
}

/// Data of an image that failed while others succeeded; an extension of OpenAI's API, whose clients skip unknown events.
#[derive(Serialize)]
struct FailureData<'a> {
    r#type: &'a str,
    image_index: u32,
    error: wire::Failure<'a>,
}

/// An event with its data in JSON.
pub(super) struct EncodedEvent {
    name: &'static str,
    json: Vec<u8>,
}

impl EncodedEvent {
    fn new(name: &'static str, data: &impl Serialize) -> Self {
        // Strings and numbers only: serialization cannot fail.
        Self { name, json: serde_json::to_vec(data).unwrap_or_default() }
    }
}

/// Writes events that [`encode_offloaded`] has encoded.
pub(super) struct ImageEventEncoder;

impl EventEncoder for ImageEventEncoder {
    type Item = EncodedEvent;

    fn encode(&mut self, event: EncodedEvent, out: &mut BytesMut) -> ControlFlow<()> {
        Event { name: Some(event.name), id: None, data: &event.json }.write(out);
        ControlFlow::Continue(())
    }
}

/// Encodes events off the connection threads: an image of several megabytes becomes base64 and JSON.
pub(super) fn encode_offloaded(
    events: impl Stream<Item = Result<pb::StreamImagesResponse, Status>> + Send + 'static,
    echo: ResponseEcho,
    endpoint: Endpoint,
    links: Links,
) -> impl Stream<Item = Result<EncodedEvent, GatewayError>> + Send + 'static {
    events.filter_map(move |event| {
        let links = links.clone();
        async move {
            let event = match event {
                Ok(pb::StreamImagesResponse { event }) => event?,
                Err(status) => return Some(Err(status.into())),
            };
            let picture = match &event {
                ImageEvent::Preview(preview) => preview.picture.as_ref(),
                ImageEvent::Finished(finished) => finished.picture.as_ref(),
                ImageEvent::Failed(_) => None,
            };
            let bytes = picture.map_or(0, |picture| picture.data.len());
            Some(offload::run(bytes, move || encode(event, echo, endpoint, &links)).await)
        }
    })
}

fn encode(event: ImageEvent, echo: ResponseEcho, endpoint: Endpoint, links: &Links) -> EncodedEvent {
    let (picture, create_time, partial_image_index, image_index, usage) = match event {
        ImageEvent::Preview(pb::ImagePreview { picture_index, partial_index, picture, create_time }) => {
            (picture.unwrap_or_default(), create_time, Some(partial_index), picture_index, None)
        }
        ImageEvent::Finished(pb::ImageFinished { picture_index, picture, create_time, usage, cost_micros }) => {
            let usage = wire::Usage::from(usage.unwrap_or_default()).with_cost(cost_micros);
            (picture.unwrap_or_default(), create_time, None, picture_index, Some(usage))
        }
        ImageEvent::Failed(failure) => {
            let name = match endpoint {
                Endpoint::Generations => "image_generation.failed",
                Endpoint::Edits => "image_edit.failed",
            };
            let error = wire::Failure::from(&failure);
            return EncodedEvent::new(name, &FailureData { r#type: name, image_index: failure.picture_index, error });
        }
    };
    let name = match (endpoint, partial_image_index.is_some()) {
        (Endpoint::Generations, true) => "image_generation.partial_image",
        (Endpoint::Generations, false) => "image_generation.completed",
        (Endpoint::Edits, true) => "image_edit.partial_image",
        (Endpoint::Edits, false) => "image_edit.completed",
    };
    let data = ImageData {
        r#type: name,
        b64_json: STANDARD.encode(&picture.data),
        created_at: unix_seconds(create_time),
        size: wire::size(&picture),
        quality: echo.quality,
        background: echo.background,
        output_format: wire::format(&picture),
        partial_image_index,
        usage,
        image_index,
        original_url: wire::original_url(&picture, links),
    };
    EncodedEvent::new(name, &data)
}
