//! The request that creates a video again: each is read by its endpoint as the message from which it was written.

use bytes::Bytes;
use serde_json::{Value, json};
use triptych_proto::v1::{
    self as pb, MediaInput, media_input, video_frame::Position, video_reference::Kind, video_request::Request,
    video_source,
};

use crate::testing::{CoreStub, get, post, send, succeeded};

fn media(source: media_input::Source) -> MediaInput {
    MediaInput { source: Some(source) }
}

fn key(key: &str) -> MediaInput {
    media(media_input::Source::MediaKey(key.to_owned()))
}

fn url(url: &str) -> MediaInput {
    media(media_input::Source::Url(url.to_owned()))
}

fn video(source: video_source::Source) -> pb::VideoSource {
    pb::VideoSource { source: Some(source) }
}

/// Returns the member `request` of a video with this one.
async fn written(core: &CoreStub, request: Request) -> Value {
    let request = Some(Box::new(pb::VideoRequest { request: Some(request) }));
    core.set_snapshots(vec![pb::Video { request, ..succeeded() }]);
    send(core, get("/v1/videos/video_1")).await.json()["request"].clone()
}

/// Sends the request to its path.
async fn repeat(core: &CoreStub, request: &Value) {
    let response = send(core, post(request["path"].as_str().unwrap(), &request["body"])).await;
    assert_eq!(response.status, 200, "{request}: {}", response.text());
}

#[tokio::test]
async fn create_is_read_as_it_was_written() {
    let core = CoreStub::default();
    let frame = |position: Position, name| pb::VideoFrame { image: Some(key(name)), position: position.into() };
    let reference = |kind: Kind, media| pb::VideoReference { media: Some(media), kind: kind.into() };
    let frames = pb::CreateVideoRequest {
        model: "m".to_owned(),
        prompt: "a boat".to_owned(),
        resolution: "720p".to_owned(),
        aspect_ratio: "16:9".to_owned(),
        duration_seconds: Some(4),
        seed: Some(i64::MIN),
        generate_audio: Some(false),
        negative_prompt: "rain".to_owned(),
        user: "u".to_owned(),
        frame_images: vec![frame(Position::First, "a.png"), frame(Position::Last, "b.png")],
        extra_json: r#"{"camera":{"zoom":2}}"#.to_owned(),
        ..pb::CreateVideoRequest::default()
    };
    let references = pb::CreateVideoRequest {
        prompt: "a boat".to_owned(),
        model: "m".to_owned(),
        size: "1280x720".to_owned(),
        input_references: vec![
            reference(Kind::Image, key("a.png")),
            reference(Kind::Video, url("https://a.test/v.mp4")),
            reference(Kind::Audio, key("a.mp3")),
        ],
        ..pb::CreateVideoRequest::default()
    };
    for create in [frames, references] {
        let request = written(&core, Request::Create(create.clone())).await;
        assert_eq!(request["path"], "/v1/videos");
        repeat(&core, &request).await;
        assert_eq!(core.create_video_request(), create);
    }
}

#[tokio::test]
async fn edit_extension_and_remix_are_read_as_they_were_written() {
    let core = CoreStub::default();
    let (model, prompt, user) = ("m".to_owned(), "rain".to_owned(), "u".to_owned());
    let extra_json = r#"{"a":1}"#.to_owned();
    for source in [
        video_source::Source::Id("video_2".to_owned()),
        video_source::Source::File(key("video_2-input-0.mp4")),
        video_source::Source::File(url("https://a.test/v.mp4")),
    ] {
        let edit = pb::EditVideoRequest {
            model: model.clone(),
            prompt: prompt.clone(),
            video: Some(video(source.clone())),
            user: user.clone(),
            extra_json: extra_json.clone(),
            ..pb::EditVideoRequest::default()
        };
        repeat(&core, &written(&core, Request::Edit(edit.clone())).await).await;
        assert_eq!(core.edit_video_request(), edit);
        let extend = pb::ExtendVideoRequest {
            model: model.clone(),
            prompt: prompt.clone(),
            video: Some(video(source)),
            duration_seconds: Some(7),
            ..pb::ExtendVideoRequest::default()
        };
        repeat(&core, &written(&core, Request::Extend(extend.clone())).await).await;
        assert_eq!(core.extend_video_request(), extend);
    }
    let id = "video_2".to_owned();
    let remix = pb::RemixVideoRequest { id, prompt, idempotency_key: String::new(), extra_json };
    let request = written(&core, Request::Remix(remix.clone())).await;
    assert_eq!(request, json!({"path": "/v1/videos/video_2/remix", "body": {"prompt": "rain", "a": 1}}));
    repeat(&core, &request).await;
    assert_eq!(core.remix_video_request(), remix);
}

#[tokio::test]
async fn request_is_absent_if_the_core_returns_none_and_never_has_bytes() {
    let core = CoreStub::default();
    assert!(send(&core, get("/v1/videos/video_1")).await.json().get("request").is_none());
    let image = Some(media(media_input::Source::Data(Bytes::from_static(b"png"))));
    let frame_images = vec![pb::VideoFrame { image, position: Position::First.into() }];
    let create = pb::CreateVideoRequest { frame_images, ..pb::CreateVideoRequest::default() };
    let request = written(&core, Request::Create(create)).await;
    assert_eq!(request, json!({"path": "/v1/videos", "body": {"prompt": ""}}));
}
