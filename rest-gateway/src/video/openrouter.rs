//! `/api/v1/videos`: videos in the form of OpenRouter's API, for which the Vercel AI SDK has a client. Requests are
//! those of `/v1/videos`.

use axum::{
    Json,
    extract::State as AppState,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde::Serialize;
use tonic::metadata::MetadataMap;
use triptych_proto::v1::{self as pb, video::State};

use crate::{
    app::App, context::RequestContext, error::GatewayError, form::FormBody, links::Links, metadata::with_metadata,
    path::PathId,
};

/// A video. OpenRouter's clients require the first three members, and `error` to be a string or absent.
#[derive(Debug, Serialize)]
struct Video<'a> {
    id: &'a str,
    polling_url: String,
    status: &'static str,
    model: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    urls: Vec<String>,
    /// The same links as `urls`. Clients download from both without an API key, which these links do not need.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unsigned_urls: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

impl<'a> Video<'a> {
    fn new(video: &'a pb::Video, links: &Links) -> Self {
        let files = video.media.iter().filter(|file| file.variant() == pb::VideoVariant::Video);
        let urls: Vec<_> = files.filter_map(|file| Some(links.media(&file.media.as_ref()?.key))).collect();
        let is_failed = matches!(video.state(), State::Failed | State::Cancelled);
        let error = video.error.as_ref().map(|error| error.message.as_str());
        Self {
            id: &video.id,
            polling_url: format!("/api/v1/videos/{}", video.id),
            status: status(video.state()),
            model: &video.model,
            unsigned_urls: urls.clone(),
            urls,
            error: error.filter(|_| is_failed),
        }
    }
}

fn status(state: State) -> &'static str {
    match state {
        State::Queued => "pending",
        State::Submitting | State::Rendering | State::Storing | State::Unspecified => "in_progress",
        State::Succeeded => "completed",
        State::Failed => "failed",
        State::Cancelled => "cancelled",
    }
}

/// `POST /api/v1/videos`.
pub(crate) async fn create(
    AppState(app): AppState<App>,
    context: RequestContext,
    links: Links,
    body: FormBody,
) -> Result<Response, GatewayError> {
    let (video, metadata, links) = super::submit(&app, &context, links, body).await?;
    respond(StatusCode::ACCEPTED, video, metadata, &links)
}

/// `GET /api/v1/videos/{id}`.
pub(crate) async fn get(
    AppState(app): AppState<App>,
    context: RequestContext,
    links: Links,
    PathId(id): PathId,
) -> Result<Response, GatewayError> {
    let (metadata, reply, _) = app.core.video.get_video(context.call(pb::GetVideoRequest { id })).await?.into_parts();
    respond(StatusCode::OK, reply.video, metadata, &links)
}

fn respond(
    status: StatusCode,
    video: Option<pb::Video>,
    metadata: MetadataMap,
    links: &Links,
) -> Result<Response, GatewayError> {
    let video = video.ok_or_else(GatewayError::internal)?;
    Ok(with_metadata((status, Json(Video::new(&video, links))).into_response(), metadata))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{CoreStub, TestResponse, get, post, send, succeeded, video_in_state};

    /// Returns the response to a poll of this video.
    async fn polled(video: pb::Video) -> TestResponse {
        let core = CoreStub::default();
        core.set_snapshots(vec![video]);
        send(&core, get("/api/v1/videos/video_1")).await
    }

    /// Returns the JSON of `video_1` with this status and further members.
    fn document(status: &str, more: &Value) -> Value {
        let mut document = json!({"id": "video_1", "polling_url": "/api/v1/videos/video_1", "status": status,
            "model": "offline-video"});
        document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        document
    }

    #[tokio::test]
    async fn create_accepts_the_members_of_the_ai_sdk_and_returns_202() {
        let core = CoreStub::default();
        let image =
            json!({"type": "image_url", "image_url": {"url": "https://a.test/p.png"}, "frame_type": "first_frame"});
        let body = json!({"model": "m", "prompt": "p", "size": "1280x720", "duration": 4, "seed": 7,
            "generate_audio": false, "frame_images": [image]});
        let mut request = post("/api/v1/videos", &body);
        request.headers_mut().insert("idempotency-key", "k-1".parse().unwrap());
        let response = send(&core, request).await;
        assert_eq!((response.status.as_u16(), response.json()), (202, document("pending", &json!({}))));
        let created = core.create_video_request();
        assert_eq!((created.size.as_str(), created.duration_seconds, created.seed), ("1280x720", Some(4), Some(7)));
        assert_eq!((created.generate_audio, created.frame_images.len()), (Some(false), 1));
        assert_eq!(created.idempotency_key, "k-1");
    }

    #[tokio::test]
    async fn completed_video_has_links_and_no_error() {
        let mut video = succeeded();
        // The error of a cancellation that came too late.
        video.error = Some(pb::VideoError { code: "x".to_owned(), message: "y".to_owned() });
        let response = polled(video).await;
        let links = json!(["http://gateway.test/media/clip.mp4"]);
        assert_eq!(response.json(), document("completed", &json!({"urls": links, "unsigned_urls": links})));
    }

    #[tokio::test]
    async fn every_state_has_the_status_that_openrouter_has_for_it() {
        for (state, status) in [
            (State::Queued, "pending"),
            (State::Submitting, "in_progress"),
            (State::Rendering, "in_progress"),
            (State::Storing, "in_progress"),
            (State::Failed, "failed"),
            (State::Cancelled, "cancelled"),
        ] {
            assert_eq!(polled(video_in_state(1, 0, state)).await.json(), document(status, &json!({})), "{state:?}");
        }
    }

    #[tokio::test]
    async fn error_of_a_failed_video_is_its_message() {
        let error = Some(pb::VideoError { code: "upstream_refused".to_owned(), message: "no boats".to_owned() });
        let response = polled(pb::Video { error, ..video_in_state(1, 0, State::Failed) }).await;
        assert_eq!(response.json(), document("failed", &json!({"error": "no boats"})));
    }

    #[tokio::test]
    async fn content_of_index_0_is_the_file() {
        let core = CoreStub::default();
        let response = send(&core, get("/api/v1/videos/video_1/content?index=0")).await;
        assert_eq!((response.status.as_u16(), response.header("content-type")), (200, Some("video/mp4")));
    }
}
