//! `/v1/videos`: clips as resources; create one, follow it, download it.

mod events;
mod wire;

use axum::{
    Json,
    extract::{Query, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use serde_json::json;
use triptych_proto::v1 as pb;

pub(crate) use events::follow;

use crate::{
    app::App,
    context::Context,
    download::{self, Label, Source},
    error::GatewayError,
    form::FormBody,
    links::Links,
    offload,
    path::Id,
};

/// Steers the official clients' poll helpers.
const POLL_AFTER_MS: HeaderName = HeaderName::from_static("openai-poll-after-ms");

pub(crate) async fn create(
    State(app): State<App>,
    context: Context,
    links: Links,
    body: FormBody,
) -> Result<Response, GatewayError> {
    let bytes = body.len();
    let read = move || Ok::<_, GatewayError>((wire::create(&body, &links)?, links));
    let (mut request, links) = offload::run(bytes, read).await??;
    context.idempotency_key().clone_into(&mut request.idempotency_key);
    let answer = app.core.video.create_video(context.call(request)).await?.into_inner();
    snapshot(answer.video, &links)
}

pub(crate) async fn get(
    State(app): State<App>,
    context: Context,
    links: Links,
    Id(id): Id,
) -> Result<Response, GatewayError> {
    let answer = app.core.video.get_video(context.call(pb::GetVideoRequest { id })).await?.into_inner();
    snapshot(answer.video, &links)
}

pub(crate) async fn list(
    State(app): State<App>,
    context: Context,
    links: Links,
    uri: Uri,
) -> Result<Response, GatewayError> {
    let answer = app.core.video.list_videos(context.call(wire::list(&query(&uri)?)?)).await?.into_inner();
    Ok(Json(wire::page(&answer, &links)).into_response())
}

pub(crate) async fn cancel(
    State(app): State<App>,
    context: Context,
    links: Links,
    Id(id): Id,
) -> Result<Response, GatewayError> {
    let answer = app.core.video.cancel_video(context.call(pb::CancelVideoRequest { id })).await?.into_inner();
    snapshot(answer.video, &links)
}

/// The official clients announce JSON here and send none; whatever comes is not looked at.
pub(crate) async fn delete(State(app): State<App>, context: Context, Id(id): Id) -> Result<Response, GatewayError> {
    let answer = app.core.video.delete_video(context.call(pb::DeleteVideoRequest { id })).await?.into_inner();
    Ok(Json(json!({"id": answer.id, "object": "video.deleted", "deleted": true})).into_response())
}

pub(crate) async fn remix(
    State(app): State<App>,
    context: Context,
    links: Links,
    Id(id): Id,
    body: FormBody,
) -> Result<Response, GatewayError> {
    let prompt = body.form()?.text("prompt")?;
    let idempotency_key = context.idempotency_key().to_owned();
    let request = pb::RemixVideoRequest { id, prompt, idempotency_key };
    let answer = app.core.video.remix_video(context.call(request)).await?.into_inner();
    snapshot(answer.video, &links)
}

pub(crate) async fn content(
    State(app): State<App>,
    context: Context,
    method: Method,
    headers: HeaderMap,
    uri: Uri,
    Id(id): Id,
) -> Result<Response, GatewayError> {
    let variant = wire::variant(last(&query(&uri)?, "variant").unwrap_or_default())?;
    // A deleted clip must not live on in caches; its validator makes asking again cheap.
    let name = download::is_plain(&id).then(|| id.clone());
    let label = Label { cache_control: HeaderValue::from_static("private, no-cache"), name };
    download::answer(&app, &context, &method, &headers, Source::Video { id, variant }, label).await
}

/// A clip as an answer, with the hint when to ask again.
fn snapshot(video: Option<pb::Video>, links: &Links) -> Result<Response, GatewayError> {
    let video = video.ok_or_else(GatewayError::internal)?;
    let mut response = Json(wire::Video::of(&video, links)).into_response();
    if let Some(wait) = video.poll_after {
        let millis = wait.seconds.saturating_mul(1000).saturating_add(i64::from(wait.nanos) / 1_000_000);
        response.headers_mut().insert(POLL_AFTER_MS, HeaderValue::from(millis.max(1)));
    }
    Ok(response)
}

type Pairs = Vec<(String, String)>;

fn query(uri: &Uri) -> Result<Pairs, GatewayError> {
    let pairs = Query::<Pairs>::try_from_uri(uri);
    pairs.map(|Query(pairs)| pairs).map_err(|_| GatewayError::invalid_request("the query cannot be read"))
}

fn last<'a>(pairs: &'a Pairs, name: &str) -> Option<&'a str> {
    pairs.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests;
