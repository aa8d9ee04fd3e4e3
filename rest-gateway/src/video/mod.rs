//! `/v1/videos`: video jobs, their events and their files; `/api/v1/videos`: the same in the form of OpenRouter.

pub(crate) mod estimate;
pub(crate) mod history;
mod inputs;
pub(crate) mod openrouter;
mod repetition;
mod request;
mod response;
mod source;
mod stream;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use futures_util::{FutureExt, StreamExt};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::json;
use tonic::metadata::MetadataMap;
use triptych_proto::v1 as pb;

use crate::{
    app::App,
    context::RequestContext,
    download::{self, FileOptions, FileSource},
    error::GatewayError,
    form::FormBody,
    headers::{LAST_EVENT_ID, OPENAI_POLL_AFTER_MS},
    links::Links,
    metadata::with_metadata,
    offload,
    path::PathId,
    query::QueryParams,
    sse,
};

/// `POST /v1/videos`.
pub(crate) async fn create(
    State(app): State<App>,
    context: RequestContext,
    links: Links,
    body: FormBody,
) -> Result<Response, GatewayError> {
    let (video, metadata, links) = submit(&app, &context, links, body).await?;
    snapshot(video, metadata, &links)
}

/// Creates the video that a body describes. Returns it with the metadata of the reply, and the links for its JSON.
async fn submit(
    app: &App,
    context: &RequestContext,
    links: Links,
    body: FormBody,
) -> Result<(Option<pb::Video>, MetadataMap, Links), GatewayError> {
    let (request, links) = read_form(context, links, body, request::read).await?;
    let (metadata, reply, _) = app.core.video.create_video(context.call(request)).await?.into_parts();
    Ok((reply.video, metadata, links))
}

/// Parses a body, which may contain large files, with `read`; off the connection threads if it is large.
async fn read_form<T: Send + 'static>(
    context: &RequestContext,
    links: Links,
    mut body: FormBody,
    read: fn(&mut FormBody, String, &Links) -> Result<T, GatewayError>,
) -> Result<(T, Links), GatewayError> {
    let length = body.len();
    let idempotency_key = context.idempotency_key().to_owned();
    offload::run(length, move || read(&mut body, idempotency_key, &links).map(|request| (request, links))).await?
}

/// `GET /v1/videos/{id}`.
pub(crate) async fn get(
    State(app): State<App>,
    context: RequestContext,
    links: Links,
    PathId(id): PathId,
) -> Result<Response, GatewayError> {
    let (metadata, reply, _) = app.core.video.get_video(context.call(pb::GetVideoRequest { id })).await?.into_parts();
    snapshot(reply.video, metadata, &links)
}

/// `GET /v1/videos`.
pub(crate) async fn list(
    State(app): State<App>,
    context: RequestContext,
    links: Links,
    query: QueryParams,
) -> Result<Response, GatewayError> {
    let request = request::read_list(&query)?;
    let (metadata, reply, _) = app.core.video.list_videos(context.call(request)).await?.into_parts();
    Ok(with_metadata(Json(response::VideoList::new(&reply, &links)).into_response(), metadata))
}

/// `POST /v1/videos/{id}/cancel`.
pub(crate) async fn cancel(
    State(app): State<App>,
    context: RequestContext,
    links: Links,
    PathId(id): PathId,
) -> Result<Response, GatewayError> {
    let call = context.call(pb::CancelVideoRequest { id });
    let (metadata, reply, _) = app.core.video.cancel_video(call).await?.into_parts();
    snapshot(reply.video, metadata, &links)
}

/// `DELETE /v1/videos/{id}`. The body is not read: OpenAI's clients declare JSON and send none.
pub(crate) async fn delete(
    State(app): State<App>,
    context: RequestContext,
    PathId(id): PathId,
) -> Result<Response, GatewayError> {
    let call = context.call(pb::DeleteVideoRequest { id });
    let (metadata, reply, _) = app.core.video.delete_video(call).await?.into_parts();
    let deleted = Json(json!({"id": reply.id, "object": "video.deleted", "deleted": true}));
    Ok(with_metadata(deleted.into_response(), metadata))
}

/// `POST /v1/videos/{id}/remix`: creates a video with the settings of a finished one and another prompt.
pub(crate) async fn remix(
    State(app): State<App>,
    context: RequestContext,
    links: Links,
    PathId(id): PathId,
    mut body: FormBody,
) -> Result<Response, GatewayError> {
    let request = request::read_remix(id, &mut body, context.idempotency_key().to_owned())?;
    let (metadata, reply, _) = app.core.video.remix_video(context.call(request)).await?.into_parts();
    snapshot(reply.video, metadata, &links)
}

/// `POST /v1/videos/edits`: creates a video by changing another one as the prompt says.
pub(crate) async fn edit(
    State(app): State<App>,
    context: RequestContext,
    links: Links,
    body: FormBody,
) -> Result<Response, GatewayError> {
    let (request, links) = read_form(&context, links, body, request::read_edit).await?;
    let (metadata, reply, _) = app.core.video.edit_video(context.call(request)).await?.into_parts();
    snapshot(reply.video, metadata, &links)
}

/// `POST /v1/videos/extensions`: creates a video that continues another one.
pub(crate) async fn extend(
    State(app): State<App>,
    context: RequestContext,
    links: Links,
    body: FormBody,
) -> Result<Response, GatewayError> {
    let (request, links) = read_form(&context, links, body, request::read_extend).await?;
    let (metadata, reply, _) = app.core.video.extend_video(context.call(request)).await?.into_parts();
    snapshot(reply.video, metadata, &links)
}

/// `GET /v1/videos/{id}/content`: the file of a finished video, its thumbnail or its spritesheet.
pub(crate) async fn content(
    State(app): State<App>,
    context: RequestContext,
    method: Method,
    headers: HeaderMap,
    query: QueryParams,
    PathId(id): PathId,
) -> Result<Response, GatewayError> {
    let variant = request::read_variant(query.get("variant").unwrap_or_default())?;
    let file_stem = download::is_safe_file_stem(&id).then(|| id.clone());
    // `no-cache`: caches must not serve a deleted video. Revalidation with the ETag costs no download.
    let options = FileOptions { cache_control: HeaderValue::from_static("private, no-cache"), file_stem };
    download::serve_file(&app, &context, &method, &headers, FileSource::Video { id, variant }, options).await
}

/// `GET /v1/videos/{id}/events`: a snapshot for each change, up to a final one. A snapshot that a reconnecting client has
/// already received, by its `Last-Event-ID`, is left out.
pub(crate) async fn events(
    State(app): State<App>,
    context: RequestContext,
    links: Links,
    headers: HeaderMap,
    PathId(id): PathId,
) -> Result<Response, GatewayError> {
    let last_seen = headers.get(LAST_EVENT_ID).and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
    let call = context.call(pb::WatchVideoRequest { id });
    let (metadata, snapshots, _) = app.core.video.watch_video(call).await?.into_parts();
    let heartbeat = app.runtime().settings.heartbeat;
    let mut snapshots = sse::peek_first_item(snapshots, heartbeat).await?;
    let first = std::pin::Pin::new(&mut snapshots).peek().now_or_never().flatten();
    if let Some(Ok(pb::WatchVideoResponse { video: Some(video) })) = first
        && response::is_final(video)
        && last_seen == Some(video.revision)
    {
        // Browsers reconnect after the end of a stream; 204 makes them stop.
        return Ok(with_metadata(StatusCode::NO_CONTENT.into_response(), metadata));
    }
    // The stream ends when the drain begins: a video may take longer than the drain, and clients reconnect to another
    // gateway.
    let snapshots = snapshots.take_until(app.draining().clone().cancelled_owned());
    let encoder = stream::SnapshotEncoder { links, last_seen };
    Ok(with_metadata(sse::response(snapshots, encoder, heartbeat), metadata))
}

/// Returns a response with a video and, while the job runs, the delay before the next poll.
fn snapshot(video: Option<pb::Video>, metadata: MetadataMap, links: &Links) -> Result<Response, GatewayError> {
    let video = video.ok_or_else(GatewayError::internal)?;
    let mut response = Json(response::Video::new(&video, links)).into_response();
    if let Some(delay) = video.poll_after {
        let millis = delay.seconds.saturating_mul(1000).saturating_add(i64::from(delay.nanos) / 1_000_000);
        response.headers_mut().insert(OPENAI_POLL_AFTER_MS, HeaderValue::from(millis.max(1)));
    }
    Ok(with_metadata(response, metadata))
}

#[cfg(test)]
mod tests;
