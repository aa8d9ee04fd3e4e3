//! Edits, extensions and remixes: which source the provider gets, and which requests are refused.

mod source_file;

use triptych_proto::v1::{media_input, video_source};

use super::*;
use crate::{
    model_facts::{ModelFacts, SourceFacts},
    models::Models,
    video::{provider::UpstreamTask, testing::entry_with},
};

/// The first bytes of an MP4 file, by which the type of an input is recognised. Nothing in these tests reads its frames.
const MP4: &[u8] = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom";

/// Sources of a model: with `native`, videos that it rendered itself, by the id of their task at the provider; with `file`, the
/// files of any videos.
fn sources(native: bool, file: bool) -> SourceFacts {
    SourceFacts { native, file, ..SourceFacts::default() }
}

/// Starts a service whose default model, `fake-video`, accepts these sources for all operations. Its other model, `editor`, only
/// edits videos, and only files.
fn service_with(accepted: &SourceFacts) -> Service {
    let service = service(FakeProvider::default());
    let facts = ModelFacts {
        edit: accepted.clone(),
        extend: accepted.clone(),
        remix: accepted.clone(),
        ..ModelFacts::unknown()
    };
    let editor = ModelFacts { edit: sources(false, true), generate: false, ..ModelFacts::unknown() };
    let provider = &service.harness.provider;
    let mut editor = entry_with("editor", provider, editor);
    // Not the upstream model of `fake-video`: otherwise the videos of `fake-video` would be native to `editor` too.
    "editor-upstream".clone_into(&mut editor.upstream_model);
    let entries = vec![entry_with("fake-video", provider, facts), editor];
    service.harness.models.store(Models::new(entries).unwrap());
    service
}

fn by_id(id: &str) -> pb::VideoSource {
    pb::VideoSource { source: Some(video_source::Source::Id(id.to_owned())) }
}

/// A video whose file, or a link to it, is in the request.
fn given(source: media_input::Source) -> pb::VideoSource {
    let file = pb::MediaInput { source: Some(source) };
    pb::VideoSource { source: Some(video_source::Source::File(file)) }
}

impl Service {
    /// Creates a video, waits for its end, and returns its id.
    async fn finished(&self) -> String {
        let id = self.create(request()).await.unwrap().id;
        self.watch(&id).await;
        id
    }

    /// Without a model (`""`), that of the source is used, or the default model.
    async fn edit(&self, model: &str, video: pb::VideoSource) -> Result<pb::Video, Status> {
        let (model, prompt, video) = (model.to_owned(), "in the rain".to_owned(), Some(video));
        let request = pb::EditVideoRequest { model, prompt, video, ..pb::EditVideoRequest::default() };
        Ok(self.grpc.edit_video(Request::new(request)).await?.into_inner().video.unwrap())
    }

    /// Every call has the same idempotency key.
    async fn extend(&self, video: pb::VideoSource, seconds: u32) -> Result<pb::Video, Status> {
        let (prompt, duration_seconds, video) = ("it sails on".to_owned(), Some(seconds), Some(video));
        let idempotency_key = "key".to_owned();
        let request = pb::ExtendVideoRequest { prompt, video, duration_seconds, idempotency_key, ..Default::default() };
        Ok(self.grpc.extend_video(Request::new(request)).await?.into_inner().video.unwrap())
    }

    /// Waits for the end of a job, and returns the calls that the fake provider recorded for its submission, up to `submit ID`, which is
    /// left out. The calls for the job before end with the download of its files (`fetch`).
    async fn submitted(&self, video: &pb::Video) -> Vec<String> {
        assert_eq!(self.watch(&video.id).await.last().unwrap().state(), State::Succeeded);
        let calls = self.harness.provider.calls.borrow().clone();
        let end = calls.iter().position(|call| *call == format!("submit {}", video.id)).unwrap();
        let start = calls[..end].iter().rposition(|call| call.starts_with("fetch")).map_or(0, |start| start + 1);
        calls[start..end].to_vec()
    }
}

#[tokio::test(start_paused = true)]
async fn own_render_of_the_model_is_submitted_by_its_task() {
    let service = service_with(&sources(true, true));
    let id = service.finished().await;
    let edit = service.edit("", by_id(&id)).await.unwrap();
    assert_eq!((edit.model.as_str(), edit.size.as_str(), edit.duration_seconds), ("fake-video", "320x180", 1));
    assert_eq!(edit.remixed_from_video_id, "");
    assert_eq!(service.submitted(&edit).await, [format!("edit of task of {id}")]);
    let extension = service.extend(by_id(&id), 7).await.unwrap();
    assert_eq!(extension.duration_seconds, 7);
    assert_eq!(service.submitted(&extension).await, [format!("extend of task of {id}")]);
    assert_eq!(service.extend(by_id(&id), 7).await.unwrap().id, extension.id, "the same idempotency key");
    assert_eq!(service.extend(by_id(&id), 8).await.unwrap_err().code(), Code::AlreadyExists);
    let remix = service.remix(&id, "a train", "").await.unwrap();
    assert_eq!(remix.remixed_from_video_id, id);
    assert_eq!(service.submitted(&remix).await, [format!("remix of task of {id}")]);
}

#[tokio::test(start_paused = true)]
async fn file_is_copied_for_another_model_and_outlives_its_source() {
    let service = service_with(&sources(true, false));
    let id = service.finished().await;
    let edit = service.edit("editor", by_id(&id)).await.unwrap();
    assert_eq!(edit.model, "editor");
    service.delete(&id).await.unwrap();
    // The content of the file that the fake provider renders.
    let length = "video".len();
    let expected = [format!("Source of {length} bytes"), "edit of a file".to_owned()];
    assert_eq!(service.submitted(&edit).await, expected);
    assert!(service.harness.files().contains(&format!("{}-input-0.mp4", edit.id)));
    let remix = service.remix(&edit.id, "at night", "").await.unwrap();
    assert_eq!(
        service.submitted(&remix).await,
        expected,
        "the remix of an edited video is the same edit of the same file"
    );
}

#[tokio::test(start_paused = true)]
async fn given_file_is_checked_and_stored_and_a_link_is_passed_on() {
    let service = service_with(&sources(false, true));
    let edit = service.edit("", given(media_input::Source::Data(Bytes::from_static(MP4)))).await.unwrap();
    let expected = [format!("Source of {} bytes", MP4.len()), "edit of a file".to_owned()];
    assert_eq!(service.submitted(&edit).await, expected);
    let link = "https://a.test/v.mp4";
    let extension = service.extend(given(media_input::Source::Url(link.to_owned())), 4).await.unwrap();
    // Of a link, the fake provider records the length of the URL.
    let expected = [format!("Source of {} bytes", link.len()), "extend of a file".to_owned()];
    assert_eq!(service.submitted(&extension).await, expected);
    let wrong = service.edit("", given(media_input::Source::Data(image()))).await.unwrap_err();
    assert_eq!(violation(&wrong), ("INVALID_FIELD".to_owned(), "video".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn url_is_refused_at_once_by_a_model_that_accepts_files_only() {
    let service = service_with(&SourceFacts { no_url: true, ..sources(true, true) });
    let link = || given(media_input::Source::Url("https://a.test/v.mp4".to_owned()));
    let refused = service.edit("", link()).await.unwrap_err();
    assert_eq!(violation(&refused), ("INVALID_FIELD".to_owned(), "video".to_owned()));
    for part in ["is a URL, and the model `fake-video`", "send the MP4 file, or the id of a video", ": `editor`"] {
        assert!(refused.message().contains(part), "{refused}");
    }
    let refused = service.extend(link(), 4).await.unwrap_err();
    assert!(refused.message().ends_with("or the id of a video"), "{refused}");
    assert!(service.edit("", given(media_input::Source::Data(Bytes::from_static(MP4)))).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn refusal_names_the_models_that_accept_the_source() {
    let none = service_with(&SourceFacts::default());
    let id = none.finished().await;
    let refused = none.edit("", by_id(&id)).await.unwrap_err();
    assert_eq!(violation(&refused).1, "model");
    assert!(refused.message().contains("cannot edit videos; models that can edit it: `editor`"), "{refused}");
    let refused = none.extend(by_id(&id), 4).await.unwrap_err();
    assert!(refused.message().contains("no connected model can extend it"), "{refused}");

    let own = service_with(&sources(true, false));
    let refused = own.edit("", given(media_input::Source::Data(Bytes::from_static(MP4)))).await.unwrap_err();
    assert_eq!(violation(&refused).1, "video");
    assert!(refused.message().contains("only its own videos"), "{refused}");
    let new = own.create(pb::CreateVideoRequest { model: "editor".to_owned(), ..request() }).await.unwrap_err();
    assert_eq!(violation(&new).1, "model");
}

#[tokio::test(start_paused = true)]
async fn source_must_be_a_finished_video_of_the_caller() {
    let service = service_with(&sources(true, true));
    let unknown = JobId::new();
    for id in ["video_1", unknown.as_str()] {
        assert_eq!(service.edit("", by_id(id)).await.unwrap_err().code(), Code::NotFound, "{id}");
    }
    let foreign = RequestContext { caller: Caller::named("alice"), ..RequestContext::default() };
    let id = service.finished().await;
    let request = pb::EditVideoRequest { prompt: "rain".to_owned(), video: Some(by_id(&id)), ..Default::default() };
    let error = service.grpc.edit(&foreign, request).await.unwrap_err();
    assert!(matches!(error, Error::VideoNotFound(_)), "{error:?}");
    service.harness.provider.polls.lock().unwrap().push_back(Reply::Hang);
    let running = service.create(super::request()).await.unwrap().id;
    assert_eq!(service.extend(by_id(&running), 4).await.unwrap_err().code(), Code::FailedPrecondition);
}

#[tokio::test(start_paused = true)]
async fn stored_request_keeps_the_task_of_the_source() {
    let service = service_with(&sources(true, true));
    let id = service.finished().await;
    let edit = service.edit("", by_id(&id)).await.unwrap();
    let job = service.harness.jobs.get(&edit.id, &crate::keys::Owners::All).await.unwrap();
    let text = serde_json::to_string(&job.request).unwrap();
    let read: crate::video::job::JobRequest = serde_json::from_str(&text).unwrap();
    assert_eq!(read, job.request);
    assert_eq!(read.parameters.source, Some(UpstreamTask(format!("task of {id}"))));
}
