//! Video jobs across SIGKILL and restart: a job continues under its id, and gives the same video.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failure of a helper is a failure of the test")]

use std::path::Path;

use tempfile::tempdir;
use tonic::transport::Channel;
use triptych_proto::v1::{
    self as pb, download_video_response::Part, video::State, video_service_client::VideoServiceClient,
};

use crate::triptych_process::TriptychProcess;

type Videos = VideoServiceClient<Channel>;

/// Enough frames that the process is killed during the render.
const SECONDS: u32 = 8;
/// At the frame rate of the built-in engine.
const FRAMES: u32 = SECONDS * 30;

/// A lease that expires soon after its process was killed.
const SHORT_LEASE: &str = "1s";

async fn start(dir: &Path, lease: &str) -> (TriptychProcess, Videos) {
    let server = TriptychProcess::start(dir, &[("TRIPTYCH_JOBS_LEASE", lease)]);
    let videos = VideoServiceClient::new(server.channel().await);
    (server, videos)
}

async fn create(videos: &mut Videos, request: pb::CreateVideoRequest) -> String {
    videos.create_video(request).await.unwrap().into_inner().video.unwrap().id
}

fn video_request(size: &str, seconds: u32) -> pb::CreateVideoRequest {
    pb::CreateVideoRequest {
        prompt: "Pan slowly over the mountains at dusk".to_owned(),
        size: size.to_owned(),
        duration_seconds: Some(seconds),
        seed: Some(7),
        ..pb::CreateVideoRequest::default()
    }
}

/// Watches a video until a snapshot satisfies `condition`, and returns that snapshot.
async fn watch(videos: &mut Videos, id: &str, condition: impl Fn(&pb::Video) -> bool) -> pb::Video {
    let mut snapshots = videos.watch_video(pb::WatchVideoRequest { id: id.to_owned() }).await.unwrap().into_inner();
    loop {
        let video = snapshots.message().await.unwrap().expect("the stream ended without a final state").video.unwrap();
        if condition(&video) {
            return video;
        }
        assert!(!is_final(&video), "the video is final, and no snapshot satisfied the condition: {video:?}");
    }
}

fn is_final(video: &pb::Video) -> bool {
    matches!(video.state(), State::Succeeded | State::Failed | State::Cancelled)
}

async fn download(videos: &mut Videos, id: &str) -> Vec<u8> {
    let request = pb::DownloadVideoRequest { id: id.to_owned(), ..pb::DownloadVideoRequest::default() };
    let mut parts = videos.download_video(request).await.unwrap().into_inner();
    let mut bytes = Vec::new();
    while let Some(message) = parts.message().await.unwrap() {
        match message.part.unwrap() {
            Part::Media(media) => assert_eq!(media.media_type, "video/mp4"),
            Part::Data(data) => bytes.extend_from_slice(&data),
            Part::DownloadUrl(url) => panic!("not requested: {url:?}"),
        }
    }
    bytes
}

/// Returns the payload of the first MP4 box of this type in a sequence of boxes.
fn mp4_box(mut boxes: &[u8], kind: [u8; 4]) -> Option<&[u8]> {
    while let Some((head, _)) = boxes.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let (this, rest) = boxes.split_at_checked(length.max(8))?;
        if head[4..] == kind {
            return Some(&this[8..]);
        }
        boxes = rest;
    }
    None
}

/// Returns the number of samples in the index of an MP4 file.
fn samples(clip: &[u8]) -> Option<u32> {
    let path = [*b"moov", *b"trak", *b"mdia", *b"minf", *b"stbl", *b"stsz"];
    let index = path.iter().try_fold(clip, |boxes, &kind| mp4_box(boxes, kind))?;
    index.get(8..12)?.try_into().ok().map(u32::from_be_bytes)
}

/// Kills the process once a snapshot of the job satisfies `reached`, starts another one, and returns the finished video.
/// `stage` describes the moment in messages.
async fn render_with_kill(stage: &str, reached: impl Fn(&pb::Video) -> bool) -> Vec<u8> {
    let dir = tempdir().unwrap();
    let (server, mut videos) = start(dir.path(), SHORT_LEASE).await;
    let id = create(&mut videos, video_request("640x360", SECONDS)).await;
    let last = watch(&mut videos, &id, reached).await;
    server.kill();
    assert!(!is_final(&last), "{stage}: the job was final before the kill: {last:?}");

    let (_server, mut videos) = start(dir.path(), SHORT_LEASE).await;
    let video = watch(&mut videos, &id, is_final).await;
    assert_eq!((video.state(), video.progress_percent), (State::Succeeded, 100), "{stage}: {video:?}");
    assert!(video.revision > last.revision);
    download(&mut videos, &id).await
}

#[tokio::test]
async fn job_continues_after_sigkill_at_any_stage_and_gives_the_same_video() {
    let dir = tempdir().unwrap();
    let (_server, mut videos) = start(dir.path(), SHORT_LEASE).await;
    let id = create(&mut videos, video_request("640x360", SECONDS)).await;
    watch(&mut videos, &id, is_final).await;
    let uninterrupted = download(&mut videos, &id).await;
    assert_eq!(samples(&uninterrupted), Some(FRAMES));
    assert!(mp4_box(&uninterrupted, *b"mdat").is_some_and(|frames| frames.len() > 10_000));

    for video in [
        render_with_kill("after the create", |_| true).await,
        render_with_kill("at the beginning of the render", |video| video.progress_percent > 0).await,
        render_with_kill("after half of the render", |video| video.progress_percent >= 50).await,
    ] {
        assert!(video == uninterrupted, "the video differs from that of an uninterrupted render");
    }
}

// Two threads: one blocks until the process exits, while the other closes the connection to it.
#[tokio::test(flavor = "multi_thread")]
async fn sigterm_during_a_render_releases_the_lease_without_waiting() {
    let dir = tempdir().unwrap();
    // Longer than the test: only a released lease lets the next process continue.
    let (mut server, mut videos) = start(dir.path(), "1h").await;
    // Renders longer than the test may take.
    let id = create(&mut videos, video_request("1280x720", 60)).await;
    let last = watch(&mut videos, &id, |video| video.state() == State::Rendering).await;
    server.signal("TERM");
    // The connection is still open, without a call in flight.
    assert_eq!(server.wait_for_exit().code(), Some(0));

    let (_server, mut videos) = start(dir.path(), "1h").await;
    let continued = watch(&mut videos, &id, |video| video.progress_percent > last.progress_percent).await;
    assert_eq!(continued.state(), State::Rendering);
    let cancelled = videos.cancel_video(pb::CancelVideoRequest { id }).await.unwrap().into_inner().video.unwrap();
    assert_eq!(cancelled.state(), State::Cancelled);
}
