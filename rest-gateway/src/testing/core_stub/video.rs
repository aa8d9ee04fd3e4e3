//! The video service of the stub. Its only video is `video_1`: the last snapshot of `CoreStub::set_snapshots`, or a succeeded
//! video if the test has set none.

use prost_types::Timestamp;
use tonic::{Request, Response, Status};
use triptych_proto::v1::{self as pb, video_service_server::VideoService};

use super::{
    CoreStub, failure,
    media::{clip, range},
};
use crate::core_client::ReplyStream;

/// Returns a snapshot of `video_1` in this state, without files. `revision` is the id of its server-sent event.
pub(crate) fn video_in_state(revision: u64, progress_percent: u32, state: pb::video::State) -> pb::Video {
    pb::Video {
        id: "video_1".to_owned(),
        model: "offline-video".to_owned(),
        state: state.into(),
        progress_percent,
        create_time: Some(Timestamp { seconds: 1_700_000_000, nanos: 0 }),
        prompt: "a fox".to_owned(),
        size: "320x180".to_owned(),
        duration_seconds: 2,
        // Not in whole seconds, because the header `openai-poll-after-ms` has milliseconds.
        poll_after: Some(prost_types::Duration { seconds: 1, nanos: 500_000_000 }),
        revision,
        ..pb::Video::default()
    }
}

fn queued() -> pb::Video {
    let (revision, progress_percent) = (1, 0);
    video_in_state(revision, progress_percent, pb::video::State::Queued)
}

/// Returns `video_1` when it has succeeded, with its file.
pub(crate) fn succeeded() -> pb::Video {
    let (revision, progress_percent) = (9, 100);
    let media = Some(clip());
    pb::Video {
        complete_time: Some(Timestamp { seconds: 1_700_000_009, nanos: 0 }),
        media: vec![pb::VideoMedia { variant: pb::VideoVariant::Video.into(), media }],
        poll_after: None,
        ..video_in_state(revision, progress_percent, pb::video::State::Succeeded)
    }
}

impl CoreStub {
    fn current(&self) -> Option<pb::Video> {
        self.with(|state| state.snapshots.last().cloned()).or_else(|| Some(succeeded()))
    }
}

#[tonic::async_trait]
impl VideoService for CoreStub {
    async fn create_video(
        &self,
        request: Request<pb::CreateVideoRequest>,
    ) -> Result<Response<pb::CreateVideoResponse>, Status> {
        let message = self.receive(request)?;
        self.with(|state| {
            state.idempotency_key.clone_from(&message.idempotency_key);
            state.create_video = Some(message);
        });
        Ok(self.reply(pb::CreateVideoResponse { video: Some(queued()) }))
    }

    async fn get_video(&self, request: Request<pb::GetVideoRequest>) -> Result<Response<pb::GetVideoResponse>, Status> {
        let message = self.receive(request)?;
        if message.id != "video_1" {
            let invalid_field = None;
            return Err(failure("VIDEO_NOT_FOUND", tonic::Code::NotFound, invalid_field));
        }
        Ok(self.reply(pb::GetVideoResponse { video: self.current() }))
    }

    async fn get_video_history(
        &self,
        request: Request<pb::GetVideoHistoryRequest>,
    ) -> Result<Response<pb::GetVideoHistoryResponse>, Status> {
        self.receive(request)?;
        let time = Some(Timestamp { seconds: 1_700_000_000, nanos: 250_000_000 });
        let transitions = vec![pb::VideoTransition { state: pb::video::State::Submitting.into(), time }];
        let provider = "stub".to_owned();
        Ok(self.reply(pb::GetVideoHistoryResponse { transitions, submissions: 1, provider, ..Default::default() }))
    }

    async fn list_videos(
        &self,
        request: Request<pb::ListVideosRequest>,
    ) -> Result<Response<pb::ListVideosResponse>, Status> {
        let message = self.receive(request)?;
        self.with(|state| state.list_videos = Some(message));
        let videos = self.with(|state| state.snapshots.clone());
        // Every page claims to have a next one.
        Ok(self.reply(pb::ListVideosResponse { videos, next_page_token: "video_0".to_owned() }))
    }

    type WatchVideoStream = ReplyStream<pb::WatchVideoResponse>;

    async fn watch_video(
        &self,
        request: Request<pb::WatchVideoRequest>,
    ) -> Result<Response<Self::WatchVideoStream>, Status> {
        self.receive(request)?;
        let videos = self.with(|state| state.snapshots.clone());
        Ok(self
            .stream_reply(videos.into_iter().map(|video| Ok(pb::WatchVideoResponse { video: Some(video) })).collect()))
    }

    type DownloadVideoStream = ReplyStream<pb::DownloadVideoResponse>;

    async fn download_video(
        &self,
        request: Request<pb::DownloadVideoRequest>,
    ) -> Result<Response<Self::DownloadVideoStream>, Status> {
        use pb::download_video_response::Part;
        let message = self.receive(request)?;
        if self.current().is_some_and(|video| video.media.is_empty()) {
            let invalid_field = None;
            return Err(failure("VIDEO_NOT_READY", tonic::Code::FailedPrecondition, invalid_field));
        }
        let content = match self.download_url(message.accept_download_url) {
            Some(url) => Part::DownloadUrl(url),
            None => Part::Data(range(message.offset, message.length)?),
        };
        let parts = [Part::Media(clip()), content];
        Ok(self.stream_reply(parts.map(|part| Ok(pb::DownloadVideoResponse { part: Some(part) })).into()))
    }

    async fn cancel_video(
        &self,
        request: Request<pb::CancelVideoRequest>,
    ) -> Result<Response<pb::CancelVideoResponse>, Status> {
        self.receive(request)?;
        let error =
            Some(pb::VideoError { code: "cancelled".to_owned(), message: "cancelled by the client".to_owned() });
        let (revision, progress_percent) = (3, 40);
        let cancelled = video_in_state(revision, progress_percent, pb::video::State::Cancelled);
        let video = pb::Video { error, poll_after: None, ..cancelled };
        Ok(self.reply(pb::CancelVideoResponse { video: Some(video) }))
    }

    async fn delete_video(
        &self,
        request: Request<pb::DeleteVideoRequest>,
    ) -> Result<Response<pb::DeleteVideoResponse>, Status> {
        let message = self.receive(request)?;
        Ok(self.reply(pb::DeleteVideoResponse { id: message.id }))
    }

    async fn remix_video(
        &self,
        request: Request<pb::RemixVideoRequest>,
    ) -> Result<Response<pb::RemixVideoResponse>, Status> {
        let message = self.receive(request)?;
        let remixed_from_video_id = message.id.clone();
        self.with(|state| state.remix_video = Some(message));
        let video = pb::Video { remixed_from_video_id, ..queued() };
        Ok(self.reply(pb::RemixVideoResponse { video: Some(video) }))
    }

    async fn edit_video(
        &self,
        request: Request<pb::EditVideoRequest>,
    ) -> Result<Response<pb::EditVideoResponse>, Status> {
        let message = self.receive(request)?;
        self.with(|state| state.edit_video = Some(message));
        Ok(self.reply(pb::EditVideoResponse { video: Some(queued()) }))
    }

    async fn extend_video(
        &self,
        request: Request<pb::ExtendVideoRequest>,
    ) -> Result<Response<pb::ExtendVideoResponse>, Status> {
        let message = self.receive(request)?;
        self.with(|state| state.extend_video = Some(message));
        Ok(self.reply(pb::ExtendVideoResponse { video: Some(queued()) }))
    }
}
