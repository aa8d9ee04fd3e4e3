//! Jobs across kill -9 and restart: the job goes on under the same id, and the clip is the one that would have been.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may fail as the tests would")]

use std::path::Path;

use tempfile::tempdir;
use tonic::transport::Channel;
use triptych_proto::v1::{
    self as pb, download_video_response::Part, video::State, video_service_client::VideoServiceClient,
};

use crate::running::Running;

type Videos = VideoServiceClient<Channel>;

/// Enough frames that a kill meets the render in its midst.
const SECONDS: u32 = 8;
const FRAMES: u32 = SECONDS * 30;

/// What a killed process held is free again soon.
const SHORT: &str = "1s";

async fn start(dir: &Path, lease: &str) -> (Running, Videos) {
    let server = Running::start(dir, &[("TRIPTYCH_JOBS_LEASE", lease)]);
    let videos = VideoServiceClient::new(server.channel().await);
    (server, videos)
}

async fn create(videos: &mut Videos, request: pb::CreateVideoRequest) -> String {
    videos.create_video(request).await.unwrap().into_inner().video.unwrap().id
}

fn clip(size: &str, seconds: u32) -> pb::CreateVideoRequest {
    pb::CreateVideoRequest {
        prompt: "Pan slowly over the mountains at dusk".to_owned(),
        size: size.to_owned(),
        duration_seconds: Some(seconds),
        seed: Some(7),
        ..pb::CreateVideoRequest::default()
    }
}

/// Looks on until `enough`.
async fn watch(videos: &mut Videos, id: &str, enough: impl Fn(&pb::Video) -> bool) -> pb::Video {
    let mut snapshots = videos.watch_video(pb::WatchVideoRequest { id: id.to_owned() }).await.unwrap().into_inner();
    loop {
        let video = snapshots.message().await.unwrap().expect("a stream that ends after a final state").video.unwrap();
        if enough(&video) {
            return video;
        }
        assert!(!is_final(&video), "it ended before enough was seen: {video:?}");
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
        }
    }
    bytes
}

/// The payload of the first box of this type among boxes laid end to end.
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

/// The number of samples that the index of a clip lists.
fn samples(clip: &[u8]) -> Option<u32> {
    let path = [*b"moov", *b"trak", *b"mdia", *b"minf", *b"stbl", *b"stsz"];
    let index = path.iter().try_fold(clip, |boxes, &kind| mp4_box(boxes, kind))?;
    index.get(8..12)?.try_into().ok().map(u32::from_be_bytes)
}

/// Kills the process once the job is this far, starts it anew, and gives the clip that comes of it.
async fn survive(stage: &str, far: impl Fn(&pb::Video) -> bool) -> Vec<u8> {
    let dir = tempdir().unwrap();
    let (server, mut videos) = start(dir.path(), SHORT).await;
    let id = create(&mut videos, clip("640x360", SECONDS)).await;
    let last = watch(&mut videos, &id, far).await;
    server.kill();
    assert!(!is_final(&last), "{stage}: there was nothing left to survive: {last:?}");

    let (_server, mut videos) = start(dir.path(), SHORT).await;
    let video = watch(&mut videos, &id, is_final).await;
    assert_eq!((video.state(), video.progress_percent), (State::Succeeded, 100), "{stage}: {video:?}");
    assert!(video.revision > last.revision);
    download(&mut videos, &id).await
}

#[tokio::test]
async fn a_job_survives_kill_9_at_any_stage_and_gives_the_same_clip() {
    let dir = tempdir().unwrap();
    let (_server, mut videos) = start(dir.path(), SHORT).await;
    let id = create(&mut videos, clip("640x360", SECONDS)).await;
    watch(&mut videos, &id, is_final).await;
    let undisturbed = download(&mut videos, &id).await;
    assert_eq!(samples(&undisturbed), Some(FRAMES));
    assert!(mp4_box(&undisturbed, *b"mdat").is_some_and(|pictures| pictures.len() > 10_000));

    for clip in [
        survive("right after the create", |_| true).await,
        survive("when the render has begun", |video| video.progress_percent > 0).await,
        survive("past the middle", |video| video.progress_percent >= 50).await,
    ] {
        assert!(clip == undisturbed, "the clip differs from the undisturbed one");
    }
}

// Of two threads: one waits for the process, and the other closes the connection to it.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_in_the_midst_of_a_render_is_quick_and_hands_the_lease_back() {
    let dir = tempdir().unwrap();
    // Longer than this test may take: only a lease that was handed back lets the next process go on.
    let (mut server, mut videos) = start(dir.path(), "1h").await;
    // Longer than anybody would wait.
    let id = create(&mut videos, clip("1280x720", 60)).await;
    let last = watch(&mut videos, &id, |video| video.state() == State::Rendering).await;
    server.signal("TERM");
    // The connection is still open, and nobody's call is under way on it.
    assert_eq!(server.ended().code(), Some(0));

    let (_server, mut videos) = start(dir.path(), "1h").await;
    let went_on = watch(&mut videos, &id, |video| video.progress_percent > last.progress_percent).await;
    assert_eq!(went_on.state(), State::Rendering);
    let cancelled = videos.cancel_video(pb::CancelVideoRequest { id }).await.unwrap().into_inner().video.unwrap();
    assert_eq!(cancelled.state(), State::Cancelled);
}
