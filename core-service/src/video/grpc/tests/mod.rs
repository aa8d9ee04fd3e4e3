//! The gRPC methods over a fake provider, whose video file has the content `video`.

mod derive;

use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt;
use tokio::sync::watch;
use tonic::Code;
use tonic_types::StatusExt;
use triptych_proto::v1::video::State;

use super::*;
use crate::{
    media::{PictureBudget, input::InputSettings},
    video::{
        job::JobId,
        runner::RunnerHandle,
        testing::{FakeProvider, Harness, Reply, working},
    },
};

/// The gRPC service over a running harness.
struct Service {
    harness: Harness,
    grpc: VideoGrpc,
    runner: RunnerHandle,
}

fn service(provider: FakeProvider) -> Service {
    let harness = Harness::new(provider);
    let inputs =
        InputResolver::new(harness.jobs.media_store.clone(), InputSettings::default(), PictureBudget::default())
            .unwrap();
    let grpc = VideoGrpc::new(harness.models.clone(), harness.jobs.clone(), inputs);
    Service { runner: harness.start(), harness, grpc }
}

fn request() -> pb::CreateVideoRequest {
    pb::CreateVideoRequest {
        prompt: "a boat".to_owned(),
        size: "320x180".to_owned(),
        duration_seconds: Some(1),
        ..pb::CreateVideoRequest::default()
    }
}

fn image() -> Bytes {
    let mut png = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(32, 18).write_to(&mut png, image::ImageFormat::Png).unwrap();
    png.into_inner().into()
}

/// Returns the reason of an error, and the request field that it names.
fn violation(status: &Status) -> (String, String) {
    let details = status.get_error_details();
    let reason = details.error_info().unwrap().reason.clone();
    let field = details.bad_request().and_then(|bad| bad.field_violations.first()).map(|first| first.field.clone());
    (reason, field.unwrap_or_default())
}

impl Service {
    async fn create(&self, request: pb::CreateVideoRequest) -> Result<pb::Video, Status> {
        Ok(self.grpc.create_video(Request::new(request)).await?.into_inner().video.unwrap())
    }

    async fn get(&self, id: &str) -> Result<pb::Video, Status> {
        let request = Request::new(pb::GetVideoRequest { id: id.to_owned() });
        Ok(self.grpc.get_video(request).await?.into_inner().video.unwrap())
    }

    /// Returns all snapshots up to the final one.
    async fn watch(&self, id: &str) -> Vec<pb::Video> {
        let request = Request::new(pb::WatchVideoRequest { id: id.to_owned() });
        let snapshots = self.grpc.watch_video(request).await.unwrap().into_inner();
        snapshots.map_ok(|message| message.video.unwrap()).try_collect().await.unwrap()
    }

    /// Variant 0, which is unspecified, is the video.
    async fn download(&self, id: &str, variant: i32, offset: u64) -> Result<Vec<Part>, Status> {
        let id = id.to_owned();
        let request =
            Request::new(pb::DownloadVideoRequest { id, variant, offset, length: None, accept_download_url: false });
        let messages = self.grpc.download_video(request).await?.into_inner();
        messages.map_ok(|message| message.part.unwrap()).try_collect().await
    }

    async fn remix(&self, id: &str, prompt: &str, key: &str) -> Result<pb::Video, Status> {
        let request = pb::RemixVideoRequest {
            id: id.to_owned(),
            prompt: prompt.to_owned(),
            idempotency_key: key.to_owned(),
            extra_json: String::new(),
        };
        Ok(self.grpc.remix_video(Request::new(request)).await?.into_inner().video.unwrap())
    }

    async fn delete(&self, id: &str) -> Result<(), Status> {
        self.grpc.delete_video(Request::new(pb::DeleteVideoRequest { id: id.to_owned() })).await.map(drop)
    }
}

#[tokio::test(start_paused = true)]
async fn video_is_created_watched_and_downloaded() {
    let service = service(FakeProvider::default().with_polls([working(40)]));
    let created = service.create(request()).await.unwrap();
    assert_eq!((created.state(), created.queue_position), (State::Queued, Some(0)));
    assert!(created.poll_after.is_some() && created.media.is_empty() && created.error.is_none());
    let snapshots = service.watch(&created.id).await;
    assert_eq!(snapshots[0].id, created.id);
    assert!(snapshots.iter().map(|video| video.progress_percent).collect::<Vec<_>>().is_sorted());
    let last = snapshots.last().unwrap();
    assert_eq!((last.state(), last.progress_percent), (State::Succeeded, 100));
    assert!(last.complete_time.is_some() && last.poll_after.is_none());
    let read = service.get(&created.id).await.unwrap();
    assert!(read.request.is_some(), "unlike the snapshots of a stream");
    assert_eq!(&pb::Video { request: None, ..read }, last);
    let parts = service.download(&created.id, 0, 2).await.unwrap();
    assert_eq!(parts, [Part::Media(last.media[0].media.clone().unwrap()), Part::Data("deo".into())]);
    assert_eq!(service.download(&created.id, pb::VideoVariant::Thumbnail.into(), 0).await.unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn download_of_an_unfinished_video_unknown_variant_or_offset_beyond_the_end_is_refused() {
    let service = service(FakeProvider::default().with_polls([Reply::Hang]));
    let id = service.create(request()).await.unwrap().id;
    let unfinished = service.download(&id, 0, 0).await.unwrap_err();
    assert_eq!((unfinished.code(), violation(&unfinished).0.as_str()), (Code::FailedPrecondition, "VIDEO_NOT_READY"));
    let unknown = service.download(&id, 99, 0).await.unwrap_err();
    assert_eq!(violation(&unknown), ("INVALID_FIELD".to_owned(), "variant".to_owned()));

    let service = self::service(FakeProvider::default());
    let id = service.create(request()).await.unwrap().id;
    service.watch(&id).await;
    assert_eq!(
        violation(&service.download(&id, pb::VideoVariant::Spritesheet.into(), 0).await.unwrap_err()).1,
        "variant"
    );
    assert_eq!(service.download(&id, 0, 5).await.unwrap_err().code(), Code::OutOfRange);
}

#[tokio::test(start_paused = true)]
async fn unknown_ids_are_not_found() {
    let service = service(FakeProvider::default());
    let never = JobId::new().to_string();
    for id in ["", "video_1", "../../etc/passwd", "characters", &"x".repeat(10_000), &never] {
        let status = service.get(id).await.unwrap_err();
        assert_eq!((status.code(), violation(&status).0.as_str()), (Code::NotFound, "VIDEO_NOT_FOUND"));
        assert!(status.message().len() < 200);
        assert_eq!(service.download(id, 0, 0).await.unwrap_err().code(), Code::NotFound);
        assert_eq!(service.delete(id).await.unwrap_err().code(), Code::NotFound);
        assert_eq!(service.remix(id, "p", "").await.unwrap_err().code(), Code::NotFound);
    }
}

#[tokio::test(start_paused = true)]
async fn reference_image_is_validated_at_creation_and_sent_to_the_provider() {
    let service = service(FakeProvider::default());
    let with = |bytes: Bytes| pb::CreateVideoRequest {
        input_reference: Some(pb::MediaInput { source: Some(pb::media_input::Source::Data(bytes)) }),
        ..request()
    };
    for wrong in [Bytes::from_static(b"hello"), image().slice(..40)] {
        assert_eq!(violation(&service.create(with(wrong)).await.unwrap_err()).1, "input_reference");
    }
    let id = service.create(with(image())).await.unwrap().id;
    service.watch(&id).await;
    assert!(service.harness.files().contains(&format!("{id}-input-0.png")));
    let calls = service.harness.provider.calls.borrow().clone();
    assert!(calls.contains(&format!("FirstFrame of {} bytes", image().len())), "{calls:?}");

    let remixed = service.remix(&id, "the same boat at night", "").await.unwrap();
    service.delete(&id).await.unwrap();
    assert_eq!(service.watch(&remixed.id).await.last().unwrap().state(), State::Succeeded);
    assert!(service.harness.files().contains(&format!("{}-input-0.png", remixed.id)), "the remix has its own copy");
    service.runner.stop(Duration::from_secs(5)).await;
    assert!(!service.harness.files().iter().any(|name| name.contains(&id)));
}

#[tokio::test(start_paused = true)]
async fn create_with_reused_key_returns_the_job_and_another_request_conflicts() {
    let service = service(FakeProvider::default());
    let keyed = || pb::CreateVideoRequest { idempotency_key: "key 66".to_owned(), ..request() };
    let first = service.create(keyed()).await.unwrap();
    service.watch(&first.id).await;
    let again = service.create(keyed()).await.unwrap();
    assert_eq!((again.id.as_str(), again.state()), (first.id.as_str(), State::Succeeded));
    let other = pb::CreateVideoRequest { prompt: "a train".to_owned(), ..keyed() };
    assert_eq!(service.create(other).await.unwrap_err().code(), Code::AlreadyExists);
    assert_eq!(service.remix(&first.id, "a boat", "key 66").await.unwrap_err().code(), Code::AlreadyExists);
    service.delete(&first.id).await.unwrap();
    assert_ne!(service.create(keyed()).await.unwrap().id, first.id, "a deleted job frees its key");
}

#[tokio::test(start_paused = true)]
async fn remix_keeps_the_parameters_and_requires_a_finished_video() {
    let (go, gate) = watch::channel(false);
    let ready = crate::video::Progress::Ready(crate::video::testing::clip());
    let service = service(FakeProvider::default().with_polls([Reply::Gated(gate, ready)]));
    let source = service.create(request()).await.unwrap();
    assert_eq!(service.remix(&source.id, "a train", "").await.unwrap_err().code(), Code::FailedPrecondition);
    go.send(true).unwrap();
    service.watch(&source.id).await;
    assert_eq!(violation(&service.remix(&source.id, " ", "").await.unwrap_err()).1, "prompt");
    let remix = service.remix(&source.id, "a train", "k").await.unwrap();
    assert_eq!((remix.remixed_from_video_id.as_str(), remix.prompt.as_str()), (source.id.as_str(), "a train"));
    assert_eq!((remix.size, remix.duration_seconds, remix.model), (source.size, 1, source.model));
    assert_eq!(service.remix(&source.id, "a train", "k").await.unwrap().id, remix.id);
}

#[tokio::test(start_paused = true)]
async fn remix_keeps_the_unknown_members_of_its_source_unless_it_replaces_them() {
    let service = service(FakeProvider::default());
    let extra_json = r#"{"guidance":5.5,"style":"noir"}"#.to_owned();
    let source = service.create(pb::CreateVideoRequest { extra_json, ..request() }).await.unwrap();
    service.watch(&source.id).await;
    let remix = async |extra_json: &str| {
        let (id, extra_json) = (source.id.clone(), extra_json.to_owned());
        let request = pb::RemixVideoRequest { id, prompt: "p".to_owned(), extra_json, ..Default::default() };
        let remix = service.grpc.remix_video(Request::new(request)).await.map(Response::into_inner);
        service.watch(&remix?.video.unwrap().id).await;
        Ok::<_, Status>(service.harness.provider.calls.borrow().clone())
    };
    let members = |calls: &[String]| calls.iter().rfind(|call| call.starts_with("extra")).unwrap().clone();
    let calls = remix("").await.unwrap();
    assert_eq!(members(&calls), r#"extra members {"guidance":5.5,"style":"noir"}"#);
    let calls = remix(r#"{"style":"western"}"#).await.unwrap();
    assert_eq!(members(&calls), r#"extra members {"guidance":5.5,"style":"western"}"#);
    assert_eq!(violation(&remix(r#"{"size":"64x64"}"#).await.unwrap_err()).1, "extra_json");
}

#[tokio::test(start_paused = true)]
async fn cancelled_video_has_an_error_and_no_content() {
    let service = service(FakeProvider::default().with_polls([working(30), Reply::Hang]));
    let id = service.create(request()).await.unwrap().id;
    service.harness.provider.wait_for_calls("poll", 2).await;
    let cancel = Request::new(pb::CancelVideoRequest { id: id.clone() });
    let video = service.grpc.cancel_video(cancel).await.unwrap().into_inner().video.unwrap();
    assert_eq!((video.state(), video.progress_percent), (State::Cancelled, 30));
    assert_eq!(video.error.unwrap().code, "cancelled");
    assert_eq!(service.download(&id, 0, 0).await.unwrap_err().code(), Code::FailedPrecondition);
}

#[tokio::test(start_paused = true)]
async fn pages_list_every_video_once_while_new_ones_are_created() {
    let service = service(FakeProvider::default());
    let mut created = Vec::new();
    for _ in 0..5 {
        created.push(service.create(request()).await.unwrap().id);
    }
    created.reverse();
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let request =
            pb::ListVideosRequest { page_size: Some(2), page_token: after, ..pb::ListVideosRequest::default() };
        let page = service.grpc.list_videos(Request::new(request)).await.unwrap().into_inner();
        service.create(self::request()).await.unwrap();
        seen.extend(page.videos.into_iter().map(|video| video.id));
        after = page.next_page_token;
        if after.is_empty() {
            break;
        }
    }
    assert_eq!(seen, created);
}

#[tokio::test(start_paused = true)]
async fn unknown_model_is_refused_with_a_suggestion() {
    let service = service(FakeProvider::default());
    let status =
        service.create(pb::CreateVideoRequest { model: "fake-vide".to_owned(), ..request() }).await.unwrap_err();
    assert_eq!(violation(&status), ("MODEL_NOT_FOUND".to_owned(), "model".to_owned()));
    assert!(status.message().contains("fake-video"));
}

/// A call with the header by which OpenAI's SDKs number the attempts of one request, from 0.
fn sdk_call(request: pb::CreateVideoRequest, retries: u32) -> Request<pb::CreateVideoRequest> {
    let mut request = Request::new(request);
    request.metadata_mut().insert("x-stainless-retry-count", retries.into());
    request
}

#[tokio::test(start_paused = true)]
async fn sdk_retry_without_a_key_returns_the_job_of_the_first_attempt() {
    let service = service(FakeProvider::default());
    let create = async |retries| {
        let response = service.grpc.create_video(sdk_call(request(), retries)).await.unwrap();
        response.into_inner().video.unwrap().id
    };
    let first = create(0).await;
    assert_eq!(create(1).await, first);
    assert_eq!(create(2).await, first);
    let second = create(0).await;
    assert_ne!(second, first, "an equal request that is no retry is a new job");
    assert_eq!(create(1).await, second, "a retry belongs to the newest attempt");
    tokio::time::advance(crate::idempotency::SDK_WINDOW).await;
    assert_ne!(create(1).await, second, "after the window a retry is a new job");
}

#[tokio::test(start_paused = true)]
async fn sdk_retry_of_a_remix_returns_the_job_of_the_first_attempt() {
    let service = service(FakeProvider::default());
    let source = service.create(request()).await.unwrap().id;
    service.watch(&source).await;
    let remix = async |retries: u32| {
        let message = pb::RemixVideoRequest {
            id: source.clone(),
            prompt: "a train".to_owned(),
            ..pb::RemixVideoRequest::default()
        };
        let mut request = Request::new(message);
        request.metadata_mut().insert("x-stainless-retry-count", retries.into());
        service.grpc.remix_video(request).await.unwrap().into_inner().video.unwrap().id
    };
    let first = remix(0).await;
    assert_eq!(remix(1).await, first);
}

#[tokio::test(start_paused = true)]
async fn grpc_timeout_ends_a_call_with_deadline_exceeded() {
    let service = service(FakeProvider::default());
    let mut late = Request::new(pb::ListVideosRequest::default());
    late.metadata_mut().insert("grpc-timeout", "0n".parse().unwrap());
    let status = service.grpc.list_videos(late).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
}

#[tokio::test(start_paused = true)]
async fn grpc_timeout_ends_a_watch_with_deadline_exceeded() {
    let service = service(FakeProvider::default().with_polls([Reply::Hang]));
    let id = service.create(request()).await.unwrap().id;
    let mut watch = Request::new(pb::WatchVideoRequest { id });
    watch.metadata_mut().insert("grpc-timeout", "3S".parse().unwrap());
    let snapshots: Vec<_> = service.grpc.watch_video(watch).await.unwrap().into_inner().collect().await;
    let (last, before) = snapshots.split_last().unwrap();
    assert!(!before.is_empty() && before.iter().all(Result::is_ok), "{snapshots:?}");
    assert_eq!(last.as_ref().unwrap_err().code(), Code::DeadlineExceeded);
}

#[tokio::test(start_paused = true)]
async fn watch_ends_with_its_job_before_the_deadline() {
    let service = service(FakeProvider::default());
    let id = service.create(request()).await.unwrap().id;
    let mut watch = Request::new(pb::WatchVideoRequest { id });
    watch.metadata_mut().insert("grpc-timeout", "1H".parse().unwrap());
    let start = tokio::time::Instant::now();
    let snapshots: Vec<_> = service.grpc.watch_video(watch).await.unwrap().into_inner().collect().await;
    assert!(snapshots.iter().all(Result::is_ok), "{snapshots:?}");
    assert!(start.elapsed() < Duration::from_mins(1), "{:?}", start.elapsed());
}
