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

async fn start(dir: &Path) -> (Running, Videos) {
    // A short lease: what a killed process held is free again soon.
    let server = Running::start(dir, &[("TRIPTYCH_JOBS_LEASE", "1s")]);
    let videos = VideoServiceClient::new(server.channel().await);
    (server, videos)
}

async fn create(videos: &mut Videos) -> String {
    let request = pb::CreateVideoRequest {
        prompt: "Pan slowly over the mountains at dusk".to_owned(),
        size: "640x360".to_owned(),
        duration_seconds: Some(SECONDS),
        seed: Some(7),
        ..pb::CreateVideoRequest::default()
    };
    videos.create_video(request).await.unwrap().into_inner().video.unwrap().id
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
fn mp4_box<'a>(mut boxes: &'a [u8], kind: [u8; 4]) -> Option<&'a [u8]> {
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
    let (server, mut videos) = start(dir.path()).await;
    let id = create(&mut videos).await;
    let last = watch(&mut videos, &id, far).await;
    server.kill();
    assert!(!is_final(&last), "{stage}: there was nothing left to survive: {last:?}");

    let (_server, mut videos) = start(dir.path()).await;
    let video = watch(&mut videos, &id, is_final).await;
    assert_eq!((video.state(), video.progress_percent), (State::Succeeded, 100), "{stage}: {video:?}");
    assert!(video.revision > last.revision);
    download(&mut videos, &id).await
}

#[tokio::test]
async fn a_job_survives_kill_9_at_any_stage_and_gives_the_same_clip() {
    let dir = tempdir().unwrap();
    let (_server, mut videos) = start(dir.path()).await;
    let id = create(&mut videos).await;
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
