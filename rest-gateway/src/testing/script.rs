//! The scripted core: each call is noted, and answered by the closure set for it.

use std::sync::{Arc, Mutex};

use futures_util::{StreamExt, stream};
use prost_types::Timestamp;
use tonic::{Request, Response, Status, metadata::MetadataMap};
use tonic_types::{ErrorDetails, StatusExt};
use triptych_proto::v1::{
    self as pb, chat_service_server::ChatService, image_service_server::ImageService,
    media_service_server::MediaService, model_service_server::ModelService, video_service_server::VideoService,
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
    snapshots: Vec<pb::Video>,
    failure: Option<Status>,
    preview_failure: Option<Status>,
    /// What the next request for pictures cost, and those of it that failed.
    partial: (Option<pb::ImageUsage>, Vec<pb::ImageFailure>),
    panics: bool,
    routed: bool,
}

/// The bytes of the one stored medium, `clip.mp4`, which is also every finished video.
pub(crate) const CLIP: &[u8] = b"0123456789";

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

/// A clip on its way: revision, progress and state.
pub(crate) fn underway(revision: u64, progress_percent: u32, state: pb::video::State) -> pb::Video {
    pb::Video {
        id: "video_1".to_owned(),
        model: "offline-video".to_owned(),
        state: state.into(),
        progress_percent,
        create_time: Some(Timestamp { seconds: 1_700_000_000, nanos: 0 }),
        prompt: "a fox".to_owned(),
        size: "320x180".to_owned(),
        duration_seconds: 2,
        poll_after: Some(prost_types::Duration { seconds: 1, nanos: 500_000_000 }),
        revision,
        ..pb::Video::default()
    }
}

pub(crate) fn finished() -> pb::Video {
    let media = Some(clip());
    pb::Video {
        complete_time: Some(Timestamp { seconds: 1_700_000_009, nanos: 0 }),
        media: vec![pb::VideoMedia { variant: "video".to_owned(), media }],
        poll_after: None,
        ..underway(9, 100, pb::video::State::Succeeded)
    }
}

pub(crate) fn clip() -> pb::Media {
    pb::Media {
        key: "clip.mp4".to_owned(),
        media_type: "video/mp4".to_owned(),
        size_bytes: CLIP.len() as u64,
        etag: "e1".to_owned(),
    }
}

fn failure(reason: &str, code: tonic::Code, field: Option<&str>) -> Status {
    let mut details = ErrorDetails::with_error_info(reason, "triptych", []);
    if let Some(field) = field {
        details.add_bad_request_violation(field, "is wrong");
    }
    Status::with_error_details(code, "it did not work", details)
}

fn cut(offset: u64, length: Option<u64>) -> Result<bytes::Bytes, Status> {
    let from = usize::try_from(offset).unwrap();
    let to = length.map_or(CLIP.len(), |length| (from + usize::try_from(length).unwrap()).min(CLIP.len()));
    CLIP.get(from..to).map(bytes::Bytes::from_static).ok_or_else(|| Status::out_of_range("beyond the end"))
}

fn replies<T: Send + 'static>(items: Vec<Result<T, Status>>) -> Response<Replies<T>> {
    Response::new(stream::iter(items).boxed())
}

#[derive(Debug)]
struct Doors(Script);

fn picture(image: &pb::ImageRequest) -> pb::Picture {
    let bytes = image.delivery() == pb::ImageDelivery::Bytes;
    pb::Picture {
        data: if bytes { bytes::Bytes::from_static(b"\x89PNG") } else { bytes::Bytes::new() },
        media_key: if bytes { String::new() } else { "p.png".to_owned() },
        media_type: "image/png".to_owned(),
        width: 64,
        height: 32,
        revised_prompt: String::new(),
        original_media_key: if image.keep_original { "original.png".to_owned() } else { String::new() },
    }
}

#[tonic::async_trait]
impl ImageService for Doors {
    async fn generate_images(
        &self,
        request: Request<pb::GenerateImagesRequest>,
    ) -> Result<Response<pb::GenerateImagesResponse>, Status> {
        let message = self.0.take(request)?;
        let image = message.image.unwrap();
        let pictures = (0..image.n.unwrap_or(1)).map(|_| picture(&image)).collect();
        self.0.with(|state| {
            state.images = Some(image);
            state.key = message.idempotency_key;
        });
        let model = "offline-image".to_owned();
        let (usage, failures) = self.0.with(|state| std::mem::take(&mut state.partial));
        Ok(Response::new(pb::GenerateImagesResponse { created: 1_700_000_000, model, pictures, usage, failures }))
    }

    type StreamImagesStream = Replies<pb::StreamImagesResponse>;

    async fn stream_images(
        &self,
        request: Request<pb::StreamImagesRequest>,
    ) -> Result<Response<Self::StreamImagesStream>, Status> {
        use pb::stream_images_response::Event;
        let message = self.0.take(request)?;
        let image = message.image.unwrap();
        let created = 1_700_000_000;
        let mut items: Vec<_> = (0..message.partial_images)
            .map(|partial_index| {
                let picture = Some(picture(&image));
                Event::Preview(pb::ImagePreview { picture_index: 0, partial_index, picture, created })
            })
            .map(|event| Ok(pb::StreamImagesResponse { event: Some(event) }))
            .collect();
        items.push(self.0.with(|state| match state.preview_failure.take() {
            Some(status) => Err(status),
            None => Ok(pb::StreamImagesResponse {
                event: Some(Event::Finished(pb::ImageFinished {
                    picture_index: 0,
                    picture: Some(picture(&image)),
                    created,
                    usage: Some(pb::ImageUsage {
                        input_tokens: 3,
                        output_tokens: 4,
                        total_tokens: 7,
                        input_image_tokens: 1,
                    }),
                })),
            }),
        }));
        let (_, failures) = self.0.with(|state| std::mem::take(&mut state.partial));
        items.extend(
            failures.into_iter().map(|failure| Ok(pb::StreamImagesResponse { event: Some(Event::Failed(failure)) })),
        );
        self.0.with(|state| state.images = Some(image));
        Ok(replies(items))
    }
}

#[tonic::async_trait]
impl VideoService for Doors {
    async fn create_video(
        &self,
        request: Request<pb::CreateVideoRequest>,
    ) -> Result<Response<pb::CreateVideoResponse>, Status> {
        let message = self.0.take(request)?;
        self.0.with(|state| {
            state.key.clone_from(&message.idempotency_key);
            state.video = Some(message);
        });
        Ok(Response::new(pb::CreateVideoResponse { video: Some(underway(1, 0, pb::video::State::Queued)) }))
    }

    async fn get_video(&self, request: Request<pb::GetVideoRequest>) -> Result<Response<pb::GetVideoResponse>, Status> {
        let message = self.0.take(request)?;
        if message.id != "video_1" {
            return Err(failure("VIDEO_NOT_FOUND", tonic::Code::NotFound, None));
        }
        Ok(Response::new(pb::GetVideoResponse { video: self.0.present() }))
    }

    async fn list_videos(
        &self,
        request: Request<pb::ListVideosRequest>,
    ) -> Result<Response<pb::ListVideosResponse>, Status> {
        let message = self.0.take(request)?;
        self.0.with(|state| state.list = Some(message));
        let videos = self.0.with(|state| state.snapshots.clone());
        Ok(Response::new(pb::ListVideosResponse { videos, has_more: true }))
    }

    type WatchVideoStream = Replies<pb::WatchVideoResponse>;

    async fn watch_video(
        &self,
        request: Request<pb::WatchVideoRequest>,
    ) -> Result<Response<Self::WatchVideoStream>, Status> {
        self.0.take(request)?;
        let videos = self.0.with(|state| state.snapshots.clone());
        Ok(replies(videos.into_iter().map(|video| Ok(pb::WatchVideoResponse { video: Some(video) })).collect()))
    }

    type DownloadVideoStream = Replies<pb::DownloadVideoResponse>;

    async fn download_video(
        &self,
        request: Request<pb::DownloadVideoRequest>,
    ) -> Result<Response<Self::DownloadVideoStream>, Status> {
        use pb::download_video_response::Part;
        let message = self.0.take(request)?;
        if self.0.present().is_some_and(|video| video.media.is_empty()) {
            return Err(failure("VIDEO_NOT_READY", tonic::Code::FailedPrecondition, None));
        }
        let data = cut(message.offset, message.length)?;
        let parts = [Part::Media(clip()), Part::Data(data)];
        Ok(replies(parts.map(|part| Ok(pb::DownloadVideoResponse { part: Some(part) })).into()))
    }

    async fn cancel_video(
        &self,
        request: Request<pb::CancelVideoRequest>,
    ) -> Result<Response<pb::CancelVideoResponse>, Status> {
        self.0.take(request)?;
        let error = Some(pb::VideoError { code: "cancelled".to_owned(), message: "ended by the caller".to_owned() });
        let video = pb::Video { error, poll_after: None, ..underway(3, 40, pb::video::State::Cancelled) };
        Ok(Response::new(pb::CancelVideoResponse { video: Some(video) }))
    }

    async fn delete_video(
        &self,
        request: Request<pb::DeleteVideoRequest>,
    ) -> Result<Response<pb::DeleteVideoResponse>, Status> {
        let message = self.0.take(request)?;
        Ok(Response::new(pb::DeleteVideoResponse { id: message.id }))
    }

    async fn remix_video(
        &self,
        request: Request<pb::RemixVideoRequest>,
    ) -> Result<Response<pb::RemixVideoResponse>, Status> {
        let message = self.0.take(request)?;
        let remixed_from_video_id = message.id.clone();
        self.0.with(|state| state.remix = Some(message));
        let video = pb::Video { remixed_from_video_id, ..underway(1, 0, pb::video::State::Queued) };
        Ok(Response::new(pb::RemixVideoResponse { video: Some(video) }))
    }
}

#[tonic::async_trait]
impl MediaService for Doors {
    async fn get_media(&self, request: Request<pb::GetMediaRequest>) -> Result<Response<pb::GetMediaResponse>, Status> {
        let message = self.0.take(request)?;
        if message.key != "clip.mp4" {
            return Err(failure("MEDIA_NOT_FOUND", tonic::Code::NotFound, None));
        }
        Ok(Response::new(pb::GetMediaResponse { media: Some(clip()) }))
    }

    type ReadMediaStream = Replies<pb::ReadMediaResponse>;

    async fn read_media(
        &self,
        request: Request<pb::ReadMediaRequest>,
    ) -> Result<Response<Self::ReadMediaStream>, Status> {
        use pb::read_media_response::Part;
        let message = self.0.take(request)?;
        if message.key != "clip.mp4" {
            return Err(failure("MEDIA_NOT_FOUND", tonic::Code::NotFound, None));
        }
        let parts = [Part::Media(clip()), Part::Data(cut(message.offset, message.length)?)];
        Ok(replies(parts.map(|part| Ok(pb::ReadMediaResponse { part: Some(part) })).into()))
    }
}

#[tonic::async_trait]
impl ModelService for Doors {
    async fn list_models(
        &self,
        request: Request<pb::ListModelsRequest>,
    ) -> Result<Response<pb::ListModelsResponse>, Status> {
        self.0.take(request)?;
        Ok(Response::new(pb::ListModelsResponse { models: self.0.models() }))
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
    pb::Model { id: id.to_owned(), owned_by, created: 7, healthy: true, targets, ..pb::Model::default() }
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

    type StreamChatStream = Replies<pb::StreamChatResponse>;

    async fn stream_chat(
        &self,
        request: Request<pb::StreamChatRequest>,
    ) -> Result<Response<Self::StreamChatStream>, Status> {
        self.0.take(request)?;
        Err(Status::unimplemented("the script holds no conversation"))
    }
}
