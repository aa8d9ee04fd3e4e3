//! Pictures as they come: one event per preview and per finished picture.

use axum::response::Response;
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::BytesMut;
use futures_util::{Stream, StreamExt};
use serde::Serialize;
use tokio::time::Duration;
use tonic::Status;
use triptych_proto::{
    time::unix_seconds,
    v1::{self as pb, stream_images_response::Event as Made},
};

use super::{Endpoint, wire};
use crate::{error::GatewayError, links::Links, offload, sse};

/// One event's document; `usage` and `partial_image_index` stand only in their own kind of event.
#[derive(Serialize)]
struct Event<'a> {
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
    /// Which picture of the request; not OpenAI's, but without it two pictures cannot be told apart.
    image_index: u32,
    /// Where the picture is as the provider made it; not OpenAI's.
    #[serde(skip_serializing_if = "Option::is_none")]
    original_url: Option<String>,
}

/// The event of a picture that could not be made although others were; not OpenAI's, whose clients read over it.
#[derive(Serialize)]
struct Failed<'a> {
    r#type: &'a str,
    image_index: u32,
    error: wire::Failure<'a>,
}

pub(super) fn answer<S>(events: S, echo: wire::Echo, endpoint: Endpoint, links: Links, heartbeat: Duration) -> Response
where
    S: Stream<Item = Result<pb::StreamImagesResponse, Status>> + Send + 'static,
{
    let texts = events.then(move |event| {
        let links = links.clone();
        async move {
            let event = event?.event;
            let bytes = match &event {
                Some(Made::Preview(preview)) => preview.picture.as_ref(),
                Some(Made::Finished(finished)) => finished.picture.as_ref(),
                Some(Made::Failed(_)) | None => None,
            };
            let bytes = bytes.map_or(0, |picture| picture.data.len());
            offload::run(bytes, move || event.map(|event| text(event, echo, endpoint, &links)).unwrap_or_default())
                .await
        }
    });
    let write = |event: Option<Result<Vec<u8>, GatewayError>>, out: &mut BytesMut| match event {
        None => sse::Flow::End,
        Some(Ok(text)) => {
            out.extend_from_slice(&text);
            sse::Flow::More
        }
        Some(Err(error)) => {
            sse::write_error(&error, out);
            sse::Flow::End
        }
    };
    sse::answer(texts, write, heartbeat)
}

fn text(event: Made, echo: wire::Echo, endpoint: Endpoint, links: &Links) -> Vec<u8> {
    let (picture, create_time, partial_image_index, image_index, usage) = match event {
        Made::Preview(pb::ImagePreview { picture_index, partial_index, picture, create_time }) => {
            (picture.unwrap_or_default(), create_time, Some(partial_index), picture_index, None)
        }
        Made::Finished(pb::ImageFinished { picture_index, picture, create_time, usage }) => {
            let usage = wire::Usage::from(usage.unwrap_or_default());
            (picture.unwrap_or_default(), create_time, None, picture_index, Some(usage))
        }
        Made::Failed(failure) => {
            let kind = match endpoint {
                Endpoint::Generations => "image_generation.failed",
                Endpoint::Edits => "image_edit.failed",
            };
            let error = wire::Failure::from(&failure);
            return event_of(kind, &Failed { r#type: kind, image_index: failure.picture_index, error });
        }
    };
    let kind = match (endpoint, partial_image_index.is_some()) {
        (Endpoint::Generations, true) => "image_generation.partial_image",
        (Endpoint::Generations, false) => "image_generation.completed",
        (Endpoint::Edits, true) => "image_edit.partial_image",
        (Endpoint::Edits, false) => "image_edit.completed",
    };
    let event = Event {
        r#type: kind,
        b64_json: STANDARD.encode(&picture.data),
        created_at: unix_seconds(create_time),
        size: wire::size(&picture),
        quality: echo.quality,
        background: echo.background,
        output_format: wire::format(&picture),
        partial_image_index,
        usage,
        image_index,
        original_url: wire::original(&picture, links),
    };
    event_of(kind, &event)
}

fn event_of(kind: &str, document: &impl Serialize) -> Vec<u8> {
    let mut text = format!("event: {kind}\ndata: ").into_bytes();
    // Texts and numbers only: there is nothing in it that serde_json could refuse.
    let _ = serde_json::to_writer(&mut text, document);
    text.extend_from_slice(b"\n\n");
    text
}
