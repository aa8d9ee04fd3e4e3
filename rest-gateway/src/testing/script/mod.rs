//! The scripted core: each call is noted, and answered by the closure set for it.

mod image;
mod media;
mod video;

use std::sync::{Arc, Mutex};

use futures_util::{StreamExt, stream};
use tonic::{Request, Response, Status, metadata::MetadataMap};
use tonic_types::{ErrorDetails, StatusExt};
use triptych_proto::{
    chat_stream::ChatStream,
    time::from_unix_seconds,
    v1::{self as pb, chat_service_server::ChatService, model_service_server::ModelService},
};

pub(crate) use self::{
    media::clip,
    video::{finished, underway},
};
use crate::core::{Core, Replies};

/// What the core was asked last, and what it answers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Script(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    metadata: MetadataMap,
    images: Option<pb::ImageRequest>,
    video: Option<pb::CreateVideoRequest>,
    remix: Option<pb::RemixVideoRequest>,
    list: Option<pb::ListVideosRequest>,
    key: String,
    panel: i32,
    snapshots: Vec<pb::Video>,
    failure: Option<Status>,
    preview_failure: Option<Status>,
    /// What the next request for pictures cost, and those of it that failed.
    partial: (Option<pb::ImageUsage>, Vec<pb::ImageFailure>),
    /// The key under which the next request's pictures are handed over, however they were asked for.
    kept: Option<&'static str>,
    panics: bool,
    routed: bool,
}

impl Script {
    pub(crate) fn core(&self) -> Core {
        let doors = Arc::new(Doors(self.clone()));
        Core { chat: doors.clone(), image: doors.clone(), video: doors.clone(), model: doors.clone(), media: doors }
    }

    /// The same core behind a server.
    pub(crate) fn serve(&self, mut server: tonic::transport::Server) -> tonic::transport::server::Router {
        let doors = || Doors(self.clone());
        server
            .add_service(pb::chat_service_server::ChatServiceServer::new(doors()))
            .add_service(pb::image_service_server::ImageServiceServer::new(doors()))
            .add_service(pb::video_service_server::VideoServiceServer::new(doors()))
            .add_service(pb::model_service_server::ModelServiceServer::new(doors()))
            .add_service(pb::media_service_server::MediaServiceServer::new(doors()))
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }

    /// From now on every call fails so.
    pub(crate) fn fails(&self, reason: &str, code: tonic::Code, field: Option<&str>) {
        self.with(|state| state.failure = Some(failure(reason, code, field)));
    }

    /// Image streams break after the first preview.
    pub(crate) fn breaks_after_the_preview(&self) {
        self.with(|state| state.preview_failure = Some(Status::unavailable("gone")));
    }

    /// The next request for pictures costs this, and these of its pictures fail besides those that are made.
    pub(crate) fn makes_some(&self, usage: pb::ImageUsage, failures: Vec<pb::ImageFailure>) {
        self.with(|state| state.partial = (Some(usage), failures));
    }

    /// The next request's pictures are too much for one message and come as this key.
    pub(crate) fn keeps_the_pictures(&self, key: &'static str) {
        self.with(|state| state.kept = Some(key));
    }

    pub(crate) fn panics(&self) {
        self.with(|state| state.panics = true);
    }

    /// From now on `routed` is among the models, with a target behind it.
    pub(crate) fn routes(&self) {
        self.with(|state| state.routed = true);
    }

    fn models(&self) -> Vec<pb::Model> {
        let routed = self.with(|state| state.routed);
        [Some("org/m"), routed.then_some("routed")].into_iter().flatten().map(model).collect()
    }

    /// What a video goes through when it is watched; the last one is what it is when asked for.
    pub(crate) fn snapshots(&self, videos: Vec<pb::Video>) {
        self.with(|state| state.snapshots = videos);
    }

    pub(crate) fn image(&self) -> pb::ImageRequest {
        self.with(|state| state.images.clone()).expect("no picture was asked for")
    }

    pub(crate) fn video(&self) -> pb::CreateVideoRequest {
        self.with(|state| state.video.clone()).expect("no clip was asked for")
    }

    pub(crate) fn remix(&self) -> pb::RemixVideoRequest {
        self.with(|state| state.remix.clone()).expect("no remix was asked for")
    }

    pub(crate) fn list(&self) -> pb::ListVideosRequest {
        self.with(|state| state.list.clone()).expect("no page was asked for")
    }

    pub(crate) fn panel(&self) -> pb::Modality {
        self.with(|state| state.panel).try_into().expect("a panel that is none was asked for")
    }

    pub(crate) fn key(&self) -> String {
        self.with(|state| state.key.clone())
    }

    pub(crate) fn metadata(&self, name: &str) -> Option<String> {
        self.with(|state| state.metadata.get(name).map(|value| value.to_str().unwrap().to_owned()))
    }

    /// Notes a call; its message, or the failure that was set.
    fn take<T>(&self, request: Request<T>) -> Result<T, Status> {
        let (metadata, _, message) = request.into_parts();
        let (failure, panics) = self.with(|state| {
            state.metadata = metadata;
            (state.failure.clone(), state.panics)
        });
        assert!(!panics, "the script says so");
        failure.map_or(Ok(message), Err)
    }

    fn present(&self) -> Option<pb::Video> {
        self.with(|state| state.snapshots.last().cloned()).or_else(|| Some(finished()))
    }
}

fn failure(reason: &str, code: tonic::Code, field: Option<&str>) -> Status {
    let mut details = ErrorDetails::with_error_info(reason, "triptych", []);
    if let Some(field) = field {
        details.add_bad_request_violation(field, "is wrong");
    }
    Status::with_error_details(code, "it did not work", details)
}

fn replies<T: Send + 'static>(items: Vec<Result<T, Status>>) -> Response<Replies<T>> {
    Response::new(stream::iter(items).boxed())
}

#[derive(Debug)]
struct Doors(Script);

#[tonic::async_trait]
impl ModelService for Doors {
    async fn list_models(
        &self,
        request: Request<pb::ListModelsRequest>,
    ) -> Result<Response<pb::ListModelsResponse>, Status> {
        let panel = self.0.take(request)?.modality;
        self.0.with(|state| state.panel = panel);
        Ok(Response::new(pb::ListModelsResponse { models: self.0.models(), next_page_token: String::new() }))
    }

    async fn get_model(&self, request: Request<pb::GetModelRequest>) -> Result<Response<pb::GetModelResponse>, Status> {
        let message = self.0.take(request)?;
        Ok(Response::new(pb::GetModelResponse { model: Some(model(&message.id)) }))
    }
}

fn model(id: &str) -> pb::Model {
    let target = pb::model::Target {
        name: "near".to_owned(),
        upstream_model: "theirs".to_owned(),
        state: pb::model::target::State::HalfOpen.into(),
        in_flight: 2,
        weight: 3,
        priority: 1,
    };
    let targets = if id == "routed" { vec![target] } else { Vec::new() };
    let owned_by = "offline".to_owned();
    pb::Model {
        id: id.to_owned(),
        modality: pb::Modality::Image.into(),
        owned_by,
        create_time: Some(from_unix_seconds(7)),
        default: true,
        aliases: vec!["habit".to_owned()],
        capabilities: vec!["edit".to_owned()],
        healthy: true,
        targets,
    }
}

#[tonic::async_trait]
impl ChatService for Doors {
    async fn create_chat(
        &self,
        request: Request<pb::CreateChatRequest>,
    ) -> Result<Response<pb::CreateChatResponse>, Status> {
        self.0.take(request)?;
        Err(Status::unimplemented("the script holds no conversation"))
    }

    type StreamChatStream = ChatStream;

    async fn stream_chat(
        &self,
        request: Request<pb::StreamChatRequest>,
    ) -> Result<Response<Self::StreamChatStream>, Status> {
        self.0.take(request)?;
        Err(Status::unimplemented("the script holds no conversation"))
    }
}
