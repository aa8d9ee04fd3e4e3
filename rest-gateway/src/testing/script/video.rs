//! One clip, `video_1`, at whatever stage the test says.

use prost_types::Timestamp;
use tonic::{Request, Response, Status};
use triptych_proto::v1::{self as pb, video_service_server::VideoService};

use super::{
    Doors, failure,
    media::{clip, cut},
    replies,
};
use crate::core::Replies;

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
        media: vec![pb::VideoMedia { variant: pb::VideoVariant::Video.into(), media }],
        poll_after: None,
        ..underway(9, 100, pb::video::State::Succeeded)
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
        Ok(Response::new(pb::ListVideosResponse { videos, next_page_token: "video_0".to_owned() }))
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
