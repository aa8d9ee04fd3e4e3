use futures_util::StreamExt as _;
use tonic::{Code, Request, Status};
use triptych_proto::v1::{
    self as pb, chat_service_server::ChatService as _, model_service_server::ModelService as _,
    video_service_server::VideoService as _,
};

use super::*;

const OLD_MODEL: &str = "qwen3-next-80b-a3b-instruct";

/// Opens a core whose streams take some time.
async fn open(change: impl FnOnce(&mut Settings)) -> (tempfile::TempDir, Settings, Core) {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = Settings { data_dir: dir.path().to_owned(), ..Settings::default() };
    settings.offline.chat_tokens_per_second = 200;
    change(&mut settings);
    let core = Core::open(&settings).await.unwrap();
    (dir, settings, core)
}

fn chat(model: &str) -> pb::ChatRequest {
    let content = Some(pb::chat_message::Content::Text("Hello".to_owned()));
    let message = pb::ChatMessage { role: "user".to_owned(), content, ..Default::default() };
    pb::ChatRequest { model: model.to_owned(), messages: vec![message], ..Default::default() }
}

async fn create_chat(core: &Core, model: &str) -> Result<pb::CreateChatResponse, Status> {
    let request = pb::CreateChatRequest { chat: Some(chat(model)), ..Default::default() };
    Ok(core.services().chat.create_chat(Request::new(request)).await?.into_inner())
}

async fn list_models(core: &Core, secret: &str) -> Result<(), Code> {
    let mut request = Request::new(pb::ListModelsRequest::default());
    request.metadata_mut().insert("authorization", format!("Bearer {secret}").parse().unwrap());
    core.services().model.list_models(request).await.map(drop).map_err(|status| status.code())
}

fn key(name: &str, secret: &str) -> config::Key {
    config::Key { name: name.to_owned(), secret: Some(secret.into()), ..config::Key::default() }
}

#[tokio::test]
async fn a_call_in_flight_keeps_the_old_catalog_and_a_new_call_sees_the_new_one() {
    let (_dir, mut settings, core) = open(|_| {}).await;
    let request = pb::StreamChatRequest { chat: Some(chat(OLD_MODEL)), ..Default::default() };
    let mut stream = core.services().chat.stream_chat(Request::new(request)).await.unwrap().into_inner();
    assert!(stream.next().await.unwrap().is_ok());

    settings.chat.model = "new-model".to_owned();
    assert_eq!(core.reload(&settings).unwrap(), []);

    assert_eq!(create_chat(&core, "new-model").await.unwrap().model, "new-model");
    assert_eq!(create_chat(&core, OLD_MODEL).await.unwrap_err().code(), Code::NotFound);
    let mut chunks = 0;
    while let Some(chunk) = stream.next().await {
        assert!(chunk.is_ok());
        chunks += 1;
    }
    assert!(chunks > 1, "the stream continued after the reload");
    core.close().await;
}

#[tokio::test]
async fn a_removed_key_is_rejected_after_the_reload() {
    let (old, new) = ("0123456789abcdef", "fedcba9876543210");
    let (_dir, mut settings, core) = open(|settings| settings.keys = vec![key("a", old)]).await;
    assert_eq!(list_models(&core, old).await, Ok(()));
    settings.keys = vec![key("b", new)];
    core.reload(&settings).unwrap();
    assert_eq!(list_models(&core, old).await, Err(Code::Unauthenticated));
    assert_eq!(list_models(&core, new).await, Ok(()));
    core.close().await;
}

#[tokio::test]
async fn a_changed_fixed_setting_is_reported_and_not_applied() {
    let (_dir, mut settings, core) = open(|_| {}).await;
    let drain = settings.grpc.drain;
    settings.grpc.drain *= 2;
    settings.grpc.cors_allow_origins = vec!["https://a.test".to_owned()];
    let fixed = core.reload(&settings).unwrap();
    assert_eq!(fixed.iter().map(ToString::to_string).collect::<Vec<_>>(), ["grpc.drain"]);
    assert_eq!(core.grpc().drain, drain);
    assert_eq!(*core.cors_allow_origins().load(), ["https://a.test"]);
    core.close().await;
}

#[tokio::test]
async fn a_failed_reload_changes_nothing() {
    let (_dir, settings, core) = open(|settings| settings.keys = vec![key("a", "0123456789abcdef")]).await;
    let mut invalid = settings.clone();
    invalid.chat.model = String::new();
    invalid.keys.clear();
    assert!(matches!(core.reload(&invalid), Err(OpenError::Setting(error)) if error.key == "chat.model"));
    let mut duplicate = settings.clone();
    duplicate.chat.model = "offline-chat".to_owned();
    duplicate.keys.clear();
    assert!(matches!(core.reload(&duplicate), Err(OpenError::DuplicateModel(name)) if name == "offline-chat"));
    assert_eq!(list_models(&core, "wrong").await, Err(Code::Unauthenticated));
    assert_eq!(core.catalog.chat.load().find("", |_| true).unwrap().id, OLD_MODEL);
    core.close().await;
}

fn with_secret<T>(secret: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {secret}").parse().unwrap());
    request
}

/// Creates a video and returns its id.
async fn create_video(core: &Core, secret: &str) -> String {
    let request = pb::CreateVideoRequest {
        prompt: "a boat".to_owned(),
        size: "64x64".to_owned(),
        duration_seconds: Some(1),
        ..pb::CreateVideoRequest::default()
    };
    let created = core.services().video.create_video(with_secret(secret, request)).await.unwrap();
    created.into_inner().video.unwrap().id
}

/// Returns the ids and owners of all videos that the caller may see, or of those of one owner.
async fn list_videos(core: &Core, secret: &str, owner: Option<&str>) -> Vec<(String, Option<String>)> {
    let request = pb::ListVideosRequest { owner: owner.map(str::to_owned), ..pb::ListVideosRequest::default() };
    let listed = core.services().video.list_videos(with_secret(secret, request)).await.unwrap().into_inner();
    listed.videos.into_iter().map(|video| (video.id, video.owner)).collect()
}

#[tokio::test]
async fn videos_created_without_keys_are_visible_to_administrators_only_until_keys_are_removed() {
    let (user, admin) = ("0123456789abcdef", "fedcba9876543210");
    let (_dir, mut settings, core) = open(|_| {}).await;
    let before = create_video(&core, "anything").await;
    settings.keys = vec![key("user", user), config::Key { admin: true, ..key("root", admin) }];
    core.reload(&settings).unwrap();
    let after = create_video(&core, user).await;

    let owned = |id: &str, owner: &str| (id.to_owned(), Some(owner.to_owned()));
    assert_eq!(list_videos(&core, user, None).await, [(after.clone(), None)]);
    assert_eq!(list_videos(&core, admin, None).await, [owned(&after, "user"), owned(&before, "")]);
    assert_eq!(list_videos(&core, admin, Some("")).await, [owned(&before, "")]);
    let get = pb::GetVideoRequest { id: before.clone() };
    let hidden = core.services().video.get_video(with_secret(user, get.clone())).await.unwrap_err();
    assert_eq!(hidden.code(), Code::NotFound);
    assert!(core.services().video.get_video(with_secret(admin, get)).await.is_ok());

    settings.keys = Vec::new();
    core.reload(&settings).unwrap();
    assert_eq!(list_videos(&core, "anything", None).await, [(after.clone(), None), (before, None)]);
    let delete = with_secret("anything", pb::DeleteVideoRequest { id: after });
    assert!(core.services().video.delete_video(delete).await.is_ok());
    core.close().await;
}
