//! `/v1/images`: image generation and editing.

pub(crate) mod estimate;
mod stream;
mod wire;

use std::time::Duration;

use axum::{
    body::Body,
    extract::{Extension, State},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::{StreamExt, TryFutureExt};
use http::{HeaderValue, header};
use tonic::Status;
use triptych_proto::v1 as pb;

use crate::{
    app::App, context::RequestContext, download, error::GatewayError, form::FormBody, links::Links,
    metadata::with_metadata, offload, request_memory::RequestMemory, request_state::RequestState, sse,
};

/// The maximum delay of a stream's response head: an error within it, such as that of an invalid request, has an HTTP status of its own.
/// The head does not wait for the first image, which takes longer.
const IMMEDIATE_FAILURE: Duration = Duration::from_secs(1);

/// `POST /v1/images/generations`.
pub(crate) async fn generate(
    State(app): State<App>,
    context: RequestContext,
    links: Links,
    Extension(state): Extension<RequestState>,
    body: FormBody,
) -> Result<Response, GatewayError> {
    create(app, context, links, state.memory, body, wire::Endpoint::Generations).await
}

/// `POST /v1/images/edits`.
pub(crate) async fn edit(
    State(app): State<App>,
    context: RequestContext,
    links: Links,
    Extension(state): Extension<RequestState>,
    body: FormBody,
) -> Result<Response, GatewayError> {
    create(app, context, links, state.memory, body, wire::Endpoint::Edits).await
}

async fn create(
    app: App,
    context: RequestContext,
    links: Links,
    memory: RequestMemory,
    mut body: FormBody,
    endpoint: wire::Endpoint,
) -> Result<Response, GatewayError> {
    let length = body.len();
    let read = move || wire::read(&mut body, endpoint, &links).map(|parameters| (parameters, links));
    let (parameters, links) = offload::run(length, read).await??;
    let wire::ImageParameters { mut image, stream, partial_images } = parameters;
    let idempotency_key = context.idempotency_key().to_owned();
    let echo = wire::ResponseEcho::new(&image);
    if stream {
        // Events carry the images themselves, never links.
        image.delivery = pb::ImageDelivery::Bytes.into();
        let request = pb::StreamImagesRequest { image: Some(image), idempotency_key, partial_images };
        let (service, call) = (app.core.image.clone(), context.call(request));
        // The call is made within the stream, so that `peek_first_item` bounds the wait for it too.
        let events = async move { service.stream_images(call).await }.map_ok(tonic::Response::into_inner);
        let heartbeat = app.runtime().settings.heartbeat;
        // Holds the memory reservation of the body until the call ends, because the core keeps the input images until
        // then.
        let events = events.try_flatten_stream().inspect(move |_| _ = &memory).boxed();
        let events = sse::peek_first_item(events, heartbeat.min(IMMEDIATE_FAILURE)).await.map_err(failed)?;
        let events = stream::encode_offloaded(events, echo, endpoint, links);
        return Ok(sse::response(events, stream::ImageEventEncoder, heartbeat));
    }
    let wants_bytes = image.delivery() == pb::ImageDelivery::Bytes;
    let request = pb::GenerateImagesRequest { image: Some(image), idempotency_key };
    let (metadata, mut reply, _) =
        app.core.image.generate_images(context.call(request)).await.map_err(failed)?.into_parts();
    if wants_bytes {
        for picture in reply.pictures.iter_mut().filter(|picture| picture.data.is_empty()) {
            fetch_bytes(&app, &context, picture).await;
        }
    }
    let bytes = reply.pictures.iter().map(|picture| picture.data.len()).sum();
    let json = offload::run(bytes, move || {
        let json = wire::write(&reply, &echo, &links).into();
        Bytes::from_owner(ImageResponse { json, _pictures: reply.pictures })
    });
    let content_type = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    Ok(with_metadata((content_type, Body::from(json.await?)).into_response(), metadata))
}

/// The body of a response that is being sent. The pictures are kept because their bytes carry the core's memory reservation, which
/// covers their base64 too.
struct ImageResponse {
    json: Bytes,
    _pictures: Vec<pb::Picture>,
}

impl AsRef<[u8]> for ImageResponse {
    fn as_ref(&self) -> &[u8] {
        &self.json
    }
}

/// Converts an error of an image call, and forbids retries if the call may have been billed: OpenAI's clients retry twice by default, so
/// that it could be billed three times.
fn failed(status: Status) -> GatewayError {
    GatewayError::from(status).forbid_retry_if_billable()
}

/// Reads the bytes of an image that was requested as bytes and arrived as a media key, because all images together exceed
/// the maximum message length. If that fails the response has its link: the image exists and may have been billed.
async fn fetch_bytes(app: &App, context: &RequestContext, picture: &mut pb::Picture) {
    match download::read_all(app, context, &picture.media_key).await {
        Ok(data) => {
            picture.data = data;
            picture.media_key.clear();
        }
        Err(error) => tracing::warn!(code = error.code(), "cannot read a generated image; responding with its link"),
    }
}

#[cfg(test)]
mod tests;
