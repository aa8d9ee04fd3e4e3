//! A stub of the core: it records each call and replies with fixed values or with what the test has set.

mod admin;
mod chat;
mod health;
mod image;
mod media;
mod model;
mod response;
mod usage;
mod video;
mod webhook;

use std::sync::{Arc, Mutex};

use futures_util::{StreamExt, stream};
use tonic::{Request, Response, Status, metadata::MetadataMap};
use tonic_types::{ErrorDetails, StatusExt};
use triptych_proto::v1 as pb;

pub(crate) use self::{
    media::{CLIP_URL, clip},
    video::{succeeded, video_in_state},
};
use crate::core_client::{CoreServices, ReplyStream};

/// The stub. Clones share their state.
#[derive(Debug, Clone, Default)]
pub(crate) struct CoreStub(Arc<Mutex<State>>);

/// The last message of each kind that was received, and the values that a test has set for later replies.
#[derive(Debug, Default)]
struct State {
    /// The metadata of the last call.
    metadata: MetadataMap,
    image_request: Option<pb::ImageRequest>,
    create_video: Option<pb::CreateVideoRequest>,
    remix_video: Option<pb::RemixVideoRequest>,
    edit_video: Option<pb::EditVideoRequest>,
    extend_video: Option<pb::ExtendVideoRequest>,
    list_videos: Option<pb::ListVideosRequest>,
    list_usage: Option<pb::ListUsageRequest>,
    /// Whether a list of usage has more rows.
    is_usage_truncated: bool,
    /// The debug text of the last request for administrators.
    admin_request: String,
    /// The text of the last request for a response, or the debug text of another request about responses.
    response_request: String,
    /// The debug text of the last webhook request.
    webhook_request: String,
    idempotency_key: String,
    /// The modality of the last list of models, a `pb::Modality`.
    modality: i32,
    /// See [`CoreStub::set_snapshots`].
    snapshots: Vec<pb::Video>,
    /// The failure of every call.
    failure: Option<Status>,
    /// The failure of the next chat or image stream, in the place of its last item.
    stream_failure: Option<Status>,
    /// Usage and failed images of the next image reply.
    partial_success: (Option<pb::ImageUsage>, Vec<pb::ImageFailure>),
    /// Media key of the next image reply, whatever delivery was requested.
    media_key: Option<&'static str>,
    /// The `x-triptych-attempts` of every reply and failure.
    attempts: Option<&'static str>,
    /// Whether every call panics.
    panics: bool,
    /// Whether files are downloaded from [`CLIP_URL`] by callers that accept it.
    redirects_downloads: bool,
    has_routed_model: bool,
    is_not_serving: bool,
}

impl CoreStub {
    pub(crate) fn services(&self) -> CoreServices {
        let stub = Arc::new(self.clone());
        CoreServices {
            chat: stub.clone(),
            response: stub.clone(),
            image: stub.clone(),
            video: stub.clone(),
            webhook: stub.clone(),
            usage: stub.clone(),
            admin: stub.clone(),
            model: stub.clone(),
            media: stub.clone(),
            key_check: None,
            health: stub,
        }
    }

    /// Adds the services to a gRPC server, except for health, which no test calls over a socket.
    pub(crate) fn serve(&self, mut server: tonic::transport::Server) -> tonic::transport::server::Router {
        server
            .add_service(pb::chat_service_server::ChatServiceServer::new(self.clone()))
            .add_service(pb::response_service_server::ResponseServiceServer::new(self.clone()))
            .add_service(pb::image_service_server::ImageServiceServer::new(self.clone()))
            .add_service(pb::video_service_server::VideoServiceServer::new(self.clone()))
            .add_service(pb::webhook_service_server::WebhookServiceServer::new(self.clone()))
            .add_service(pb::admin_service_server::AdminServiceServer::new(self.clone()))
            .add_service(pb::usage_service_server::UsageServiceServer::new(self.clone()))
            .add_service(pb::model_service_server::ModelServiceServer::new(self.clone()))
            .add_service(pb::media_service_server::MediaServiceServer::new(self.clone()))
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }

    /// Lets callers download files from [`CLIP_URL`].
    pub(crate) fn redirect_downloads(&self) {
        self.with(|state| state.redirects_downloads = true);
    }

    /// Sets the health status of the core to NOT_SERVING.
    pub(crate) fn set_not_serving(&self) {
        self.with(|state| state.is_not_serving = true);
    }

    /// Makes every later call fail with this gRPC code, the name of its `ErrorReason`, and the invalid field if there
    /// is one.
    pub(crate) fn fail_every_call(&self, reason: &str, code: tonic::Code, field: Option<&str>) {
        self.with(|state| state.failure = Some(failure(reason, code, field)));
    }

    /// Makes the next chat or image stream fail in the place of its last item.
    pub(crate) fn fail_next_stream(&self) {
        self.with(|state| state.stream_failure = Some(Status::unavailable("broken")));
    }

    /// The next image reply has this usage, and these failed images besides the successful ones.
    pub(crate) fn reply_with_partial_success(&self, usage: pb::ImageUsage, failures: Vec<pb::ImageFailure>) {
        self.with(|state| state.partial_success = (Some(usage), failures));
    }

    /// The next image reply has this media key instead of bytes.
    pub(crate) fn reply_with_media_key(&self, key: &'static str) {
        self.with(|state| state.media_key = Some(key));
    }

    /// Adds this `x-triptych-attempts` to later replies and failures.
    pub(crate) fn set_attempts(&self, attempts: &'static str) {
        self.with(|state| state.attempts = Some(attempts));
    }

    pub(crate) fn panic_on_every_call(&self) {
        self.with(|state| state.panics = true);
    }

    /// Adds to the model list a model `routed` with one target.
    pub(crate) fn serve_routed_model(&self) {
        self.with(|state| state.has_routed_model = true);
    }

    /// Sets the snapshots of a watched video. The last one is also its current state.
    pub(crate) fn set_snapshots(&self, videos: Vec<pb::Video>) {
        self.with(|state| state.snapshots = videos);
    }

    pub(crate) fn image_request(&self) -> pb::ImageRequest {
        self.with(|state| state.image_request.clone()).expect("no image call was received")
    }

    pub(crate) fn create_video_request(&self) -> pb::CreateVideoRequest {
        self.with(|state| state.create_video.clone()).expect("no CreateVideo was received")
    }

    pub(crate) fn remix_video_request(&self) -> pb::RemixVideoRequest {
        self.with(|state| state.remix_video.clone()).expect("no RemixVideo was received")
    }

    pub(crate) fn edit_video_request(&self) -> pb::EditVideoRequest {
        self.with(|state| state.edit_video.clone()).expect("no EditVideo was received")
    }

    pub(crate) fn extend_video_request(&self) -> pb::ExtendVideoRequest {
        self.with(|state| state.extend_video.clone()).expect("no ExtendVideo was received")
    }

    pub(crate) fn list_videos_request(&self) -> pb::ListVideosRequest {
        self.with(|state| state.list_videos.clone()).expect("no ListVideos was received")
    }

    pub(crate) fn list_usage_request(&self) -> pb::ListUsageRequest {
        self.with(|state| state.list_usage.clone()).expect("no ListUsage was received")
    }

    /// Later lists of usage have more rows than they return.
    pub(crate) fn truncate_usage(&self) {
        self.with(|state| state.is_usage_truncated = true);
    }

    pub(crate) fn admin_request(&self) -> String {
        self.with(|state| state.admin_request.clone())
    }

    pub(crate) fn response_request(&self) -> String {
        self.with(|state| state.response_request.clone())
    }

    pub(crate) fn webhook_request(&self) -> String {
        self.with(|state| state.webhook_request.clone())
    }

    pub(crate) fn requested_modality(&self) -> pb::Modality {
        self.with(|state| state.modality).try_into().expect("an unknown modality was received")
    }

    pub(crate) fn idempotency_key(&self) -> String {
        self.with(|state| state.idempotency_key.clone())
    }

    /// Returns a metadata value of the last call.
    pub(crate) fn metadata(&self, name: &str) -> Option<String> {
        self.with(|state| state.metadata.get(name).map(|value| value.to_str().unwrap().to_owned()))
    }

    /// Records a call, and returns its message or the failure that was set.
    fn receive<T>(&self, request: Request<T>) -> Result<T, Status> {
        let (metadata, _, message) = request.into_parts();
        let (failure, panics, attempts) = self.with(|state| {
            state.metadata = metadata;
            (state.failure.clone(), state.panics, state.attempts)
        });
        assert!(!panics, "panic requested by the test");
        match failure {
            None => Ok(message),
            Some(mut failure) => {
                set_attempts(failure.metadata_mut(), attempts);
                Err(failure)
            }
        }
    }

    fn reply<T>(&self, message: T) -> Response<T> {
        let mut response = Response::new(message);
        set_attempts(response.metadata_mut(), self.with(|state| state.attempts));
        response
    }

    fn stream_reply<T: Send + 'static>(&self, items: Vec<Result<T, Status>>) -> Response<ReplyStream<T>> {
        self.reply(stream::iter(items).boxed())
    }
}

fn set_attempts(metadata: &mut MetadataMap, attempts: Option<&'static str>) {
    if let Some(attempts) = attempts {
        metadata.insert("x-triptych-attempts", attempts.parse().unwrap());
    }
}

fn failure(reason: &str, code: tonic::Code, field: Option<&str>) -> Status {
    let mut details = ErrorDetails::with_error_info(reason, "triptych", []);
    if let Some(field) = field {
        details.add_bad_request_violation(field, "is invalid");
    }
    Status::with_error_details(code, "the call failed", details)
}
