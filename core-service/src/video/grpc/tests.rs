use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt;
use tokio::sync::watch;
use tonic::Code;
use tonic_types::StatusExt;
use triptych_proto::v1::video::State;

use super::*;
use crate::{
    media::input::InputSettings,
    video::{
        runner::RunnerHandle,
        scripted::{Act, Scripted, Stage, working},
    },
};

struct House {
    stage: Stage,
    door: VideoGrpc,
    runner: RunnerHandle,
}

fn house(provider: Scripted) -> House {
    let stage = Stage::new(provider);
    let inputs = Inputs::new(stage.jobs.media_store.clone(), InputSettings::default()).unwrap();
    let door = VideoGrpc::new(stage.catalog.clone(), stage.jobs.clone(), inputs);
    House { runner: stage.start(), stage, door }
}

fn request() -> pb::CreateVideoRequest {
    pb::CreateVideoRequest {
        prompt: "a boat".to_owned(),
        size: "320x180".to_owned(),
        duration_seconds: Some(1),
        ..pb::CreateVideoRequest::default()
    }
}

fn picture() -> Bytes {
    let mut png = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(32, 18).write_to(&mut png, image::ImageFormat::Png).unwrap();
    png.into_inner().into()
}

fn violation(status: &Status) -> (String, String) {
    let details = status.get_error_details();
    let reason = details.error_info().unwrap().reason.clone();
    let field = details.bad_request().and_then(|bad| bad.field_violations.first()).map(|first| first.field.clone());
    (reason, field.unwrap_or_default())
}

impl House {
    async fn create(&self, request: pb::CreateVideoRequest) -> Result<pb::Video, Status> {
        Ok(self.door.create_video(Request::new(request)).await?.into_inner().video.unwrap())
    }

    async fn get(&self, id: &str) -> Result<pb::Video, Status> {
        let request = Request::new(pb::GetVideoRequest { id: id.to_owned() });
        Ok(self.door.get_video(request).await?.into_inner().video.unwrap())
    }

    async fn watch(&self, id: &str) -> Vec<pb::Video> {
        let request = Request::new(pb::WatchVideoRequest { id: id.to_owned() });
        let snapshots = self.door.watch_video(request).await.unwrap().into_inner();
        snapshots.map_ok(|message| message.video.unwrap()).try_collect().await.unwrap()
    }

    async fn download(&self, id: &str, variant: i32, offset: u64) -> Result<Vec<Part>, Status> {
        let id = id.to_owned();
        let request = Request::new(pb::DownloadVideoRequest { id, variant, offset, length: None });
        let messages = self.door.download_video(request).await?.into_inner();
        messages.map_ok(|message| message.part.unwrap()).try_collect().await
    }

    async fn remix(&self, id: &str, prompt: &str, key: &str) -> Result<pb::Video, Status> {
        let request =
            pb::RemixVideoRequest { id: id.to_owned(), prompt: prompt.to_owned(), idempotency_key: key.to_owned() };
        Ok(self.door.remix_video(Request::new(request)).await?.into_inner().video.unwrap())
    }

    async fn delete(&self, id: &str) -> Result<(), Status> {
        self.door.delete_video(Request::new(pb::DeleteVideoRequest { id: id.to_owned() })).await.map(drop)
    }
}

#[tokio::test(start_paused = true)]
async fn a_clip_is_created_watched_to_its_end_and_downloaded() {
    let house = house(Scripted::default().poll_with([working(40)]));
    let taken = house.create(request()).await.unwrap();
    assert_eq!((taken.state(), taken.queue_position), (State::Queued, Some(0)));
    assert!(taken.poll_after.is_some() && taken.media.is_empty() && taken.error.is_none());
    let shown = house.watch(&taken.id).await;
    assert_eq!(shown[0].id, taken.id);
    assert!(shown.iter().map(|video| video.progress_percent).collect::<Vec<_>>().is_sorted());
    let last = shown.last().unwrap();
    assert_eq!((last.state(), last.progress_percent), (State::Succeeded, 100));
    assert!(last.complete_time.is_some() && last.poll_after.is_none());
    assert_eq!(&house.get(&taken.id).await.unwrap(), last);
    let parts = house.download(&taken.id, 0, 2).await.unwrap();
    assert_eq!(parts, [Part::Media(last.media[0].media.clone().unwrap()), Part::Data("deo".into())]);
    assert_eq!(house.download(&taken.id, pb::VideoVariant::Thumbnail.into(), 0).await.unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn content_before_its_time_in_no_such_form_or_beyond_the_end_is_refused() {
    let house = house(Scripted::default().poll_with([Act::Hang]));
    let id = house.create(request()).await.unwrap().id;
    let early = house.download(&id, 0, 0).await.unwrap_err();
    assert_eq!((early.code(), violation(&early).0.as_str()), (Code::FailedPrecondition, "VIDEO_NOT_READY"));
    let unknown = house.download(&id, 99, 0).await.unwrap_err();
    assert_eq!(violation(&unknown), ("INVALID_FIELD".to_owned(), "variant".to_owned()));

    let house = self::house(Scripted::default());
    let id = house.create(request()).await.unwrap().id;
    house.watch(&id).await;
    assert_eq!(
        violation(&house.download(&id, pb::VideoVariant::Spritesheet.into(), 0).await.unwrap_err()).1,
        "variant"
    );
    assert_eq!(house.download(&id, 0, 5).await.unwrap_err().code(), Code::OutOfRange);
}

#[tokio::test(start_paused = true)]
async fn whatever_is_no_id_of_ours_is_not_found() {
    let house = house(Scripted::default());
    let never = JobId::new().to_string();
    for id in ["", "video_1", "../../etc/passwd", "characters", &"x".repeat(10_000), &never] {
        let status = house.get(id).await.unwrap_err();
        assert_eq!((status.code(), violation(&status).0.as_str()), (Code::NotFound, "VIDEO_NOT_FOUND"));
        assert!(status.message().len() < 200);
        assert_eq!(house.download(id, 0, 0).await.unwrap_err().code(), Code::NotFound);
        assert_eq!(house.delete(id).await.unwrap_err().code(), Code::NotFound);
        assert_eq!(house.remix(id, "p", "").await.unwrap_err().code(), Code::NotFound);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reference_picture_is_checked_at_once_and_reaches_the_provider() {
    let house = house(Scripted::default());
    let with = |bytes: Bytes| pb::CreateVideoRequest {
        input_reference: Some(pb::MediaInput { source: Some(pb::media_input::Source::Data(bytes)) }),
        ..request()
    };
    for wrong in [Bytes::from_static(b"hello"), picture().slice(..40)] {
        assert_eq!(violation(&house.create(with(wrong)).await.unwrap_err()).1, "input_reference");
    }
    let id = house.create(with(picture())).await.unwrap().id;
    house.watch(&id).await;
    assert!(house.stage.files().contains(&format!("{id}-reference.png")));
    let seen = house.stage.provider.log.borrow().clone();
    assert!(seen.contains(&format!("picture of {} bytes", picture().len())), "{seen:?}");

    let remixed = house.remix(&id, "the same boat at night", "").await.unwrap();
    house.delete(&id).await.unwrap();
    assert_eq!(house.watch(&remixed.id).await.last().unwrap().state(), State::Succeeded);
    assert!(house.stage.files().contains(&format!("{}-reference.png", remixed.id)), "it has its own copy");
    house.runner.stop(Duration::from_secs(5)).await;
    assert!(!house.stage.files().iter().any(|name| name.contains(&id)));
}

#[tokio::test(start_paused = true)]
async fn a_repeated_create_is_the_same_job_and_its_key_with_another_request_a_conflict() {
    let house = house(Scripted::default());
    let keyed = || pb::CreateVideoRequest { idempotency_key: "order 66".to_owned(), ..request() };
    let first = house.create(keyed()).await.unwrap();
    house.watch(&first.id).await;
    let again = house.create(keyed()).await.unwrap();
    assert_eq!((again.id.as_str(), again.state()), (first.id.as_str(), State::Succeeded));
    let other = pb::CreateVideoRequest { prompt: "a train".to_owned(), ..keyed() };
    assert_eq!(house.create(other).await.unwrap_err().code(), Code::AlreadyExists);
    assert_eq!(house.remix(&first.id, "a boat", "order 66").await.unwrap_err().code(), Code::AlreadyExists);
    house.delete(&first.id).await.unwrap();
    assert_ne!(house.create(keyed()).await.unwrap().id, first.id, "a deleted job frees its key");
}

#[tokio::test(start_paused = true)]
async fn a_remix_keeps_the_settings_and_needs_a_finished_clip() {
    let (go, gate) = watch::channel(false);
    let ready = crate::video::Progress::Ready(crate::video::scripted::clip());
    let house = house(Scripted::default().poll_with([Act::When(gate, ready)]));
    let source = house.create(request()).await.unwrap();
    assert_eq!(house.remix(&source.id, "a train", "").await.unwrap_err().code(), Code::FailedPrecondition);
    go.send(true).unwrap();
    house.watch(&source.id).await;
    assert_eq!(violation(&house.remix(&source.id, " ", "").await.unwrap_err()).1, "prompt");
    let remix = house.remix(&source.id, "a train", "k").await.unwrap();
    assert_eq!((remix.remixed_from_video_id.as_str(), remix.prompt.as_str()), (source.id.as_str(), "a train"));
    assert_eq!((remix.size, remix.duration_seconds, remix.model), (source.size, 1, source.model));
    assert_eq!(house.remix(&source.id, "a train", "k").await.unwrap().id, remix.id);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_clip_says_so_and_has_no_content() {
    let house = house(Scripted::default().poll_with([working(30), Act::Hang]));
    let id = house.create(request()).await.unwrap().id;
    house.stage.provider.asked("poll", 2).await;
    let cancel = Request::new(pb::CancelVideoRequest { id: id.clone() });
    let video = house.door.cancel_video(cancel).await.unwrap().into_inner().video.unwrap();
    assert_eq!((video.state(), video.progress_percent), (State::Cancelled, 30));
    assert_eq!(video.error.unwrap().code, "cancelled");
    assert_eq!(house.download(&id, 0, 0).await.unwrap_err().code(), Code::FailedPrecondition);
}

#[tokio::test(start_paused = true)]
async fn pages_list_every_clip_once_while_new_ones_come() {
    let house = house(Scripted::default());
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(house.create(request()).await.unwrap().id);
    }
    made.reverse();
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let request = pb::ListVideosRequest { page_size: Some(2), page_token: after, order: 0 };
        let page = house.door.list_videos(Request::new(request)).await.unwrap().into_inner();
        house.create(self::request()).await.unwrap();
        seen.extend(page.videos.into_iter().map(|video| video.id));
        after = page.next_page_token;
        if after.is_empty() {
            break;
        }
    }
    assert_eq!(seen, made);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_model_is_named_with_its_likeness() {
    let house = house(Scripted::default());
    let status =
        house.create(pb::CreateVideoRequest { model: "scripted-vide".to_owned(), ..request() }).await.unwrap_err();
    assert_eq!(violation(&status), ("MODEL_NOT_FOUND".to_owned(), "model".to_owned()));
    assert!(status.message().contains("scripted-video"));
}
