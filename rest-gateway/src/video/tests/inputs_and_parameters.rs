//! Tests of the members of a create request beyond OpenAI's: frames, references and the parameters that depend on the
//! model.

use bytes::Bytes;
use serde_json::{Value, json};
use triptych_proto::v1::{self as pb, media_input::Source, video::State, video_frame::Position, video_reference::Kind};

use super::form;
use crate::testing::{CoreStub, TestResponse, get, post, send, video_in_state};

/// Sends a create request with a prompt and these members.
async fn create(members: &Value) -> (CoreStub, TestResponse) {
    let mut body = json!({"prompt": "p"});
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    let core = CoreStub::default();
    let response = send(&core, post("/v1/videos", &body)).await;
    (core, response)
}

/// Returns the request that the core receives for these members.
async fn created(members: &Value) -> pb::CreateVideoRequest {
    let (core, response) = create(members).await;
    assert_eq!(response.status, 200, "{members}: {}", response.text());
    core.create_video_request()
}

/// Returns the `param` of the error with which a request with these members is refused.
async fn refused(members: &Value) -> String {
    let (_, response) = create(members).await;
    let (status, param, code) = response.error();
    assert_eq!((status, code.as_str()), (400, "invalid_field"), "{members}");
    let param = param.unwrap();
    assert!(response.json()["error"]["message"].as_str().unwrap().starts_with(&param), "{}", response.text());
    param
}

fn url(text: &str) -> Source {
    Source::Url(text.to_owned())
}

/// Returns the source for the base64 `YQ==`.
fn bytes() -> Source {
    Source::Data(Bytes::from_static(b"a"))
}

fn key(text: &str) -> Source {
    Source::MediaKey(text.to_owned())
}

fn frames(request: &pb::CreateVideoRequest) -> Vec<(Position, Source)> {
    let frame = |frame: &pb::VideoFrame| (frame.position(), frame.image.clone().unwrap().source.unwrap());
    request.frame_images.iter().map(frame).collect()
}

fn references(request: &pb::CreateVideoRequest) -> Vec<(Kind, Source)> {
    let reference =
        |reference: &pb::VideoReference| (reference.kind(), reference.media.clone().unwrap().source.unwrap());
    request.input_references.iter().map(reference).collect()
}

#[tokio::test]
async fn every_member_reaches_the_core() {
    let request = created(&json!({
        "aspect_ratio": "16:9", "resolution": "720p", "generate_audio": false, "negative_prompt": "people",
        "callback_url": "https://a.test/hook", "fit_policy": "strict", "duration": 8, "provider": {"options": 1},
    }))
    .await;
    let expected = pb::CreateVideoRequest {
        prompt: "p".to_owned(),
        duration_seconds: Some(8),
        aspect_ratio: "16:9".to_owned(),
        resolution: "720p".to_owned(),
        generate_audio: Some(false),
        negative_prompt: "people".to_owned(),
        callback_url: "https://a.test/hook".to_owned(),
        fit_policy: pb::FitPolicy::Strict.into(),
        extra_json: r#"{"provider":{"options":1}}"#.to_owned(),
        ..pb::CreateVideoRequest::default()
    };
    assert_eq!(request, expected);
    let nearest = created(&json!({"fit_policy": "nearest", "generate_audio": null})).await;
    assert_eq!((nearest.fit_policy(), nearest.generate_audio), (pb::FitPolicy::Nearest, None));
}

#[tokio::test]
async fn frames_are_read_in_every_form() {
    let request = created(&json!({"frame_images": [
        {"type": "image_url", "image_url": {"url": "https://a.test/p.png"}, "frame_type": "first_frame"},
        {"type": "image_url", "image_url": "asset://face", "frame_type": "last_frame"},
        {"image_url": {"url": "data:image/png;base64,YQ=="}},
        {"file_id": "p.png", "frame_type": "last_frame"},
        "http://gateway.test/media/q.png",
    ]}))
    .await;
    let expected = [
        (Position::First, url("https://a.test/p.png")),
        (Position::Last, url("asset://face")),
        (Position::First, bytes()),
        (Position::Last, key("p.png")),
        (Position::First, key("q.png")),
    ];
    assert_eq!(frames(&request), expected);
    let request = created(&json!({"input_reference": "oss://bucket/p.png"})).await;
    assert_eq!(request.input_reference.unwrap().source.unwrap(), url("oss://bucket/p.png"));
}

#[tokio::test]
async fn references_are_read_in_every_form() {
    let request = created(&json!({"input_references": [
        {"type": "image_url", "image_url": {"url": "oss://bucket/p.png"}},
        "data:image/png;base64,YQ==",
        {"type": "video_url", "video_url": {"url": "https://a.test/v.mp4"}},
        {"video_url": "data:video/mp4;base64,YQ=="},
        {"type": "audio_url", "audio_url": {"url": "YQ"}},
        {"audio_url": "http://gateway.test/media/s.mp3"},
        {"type": "video_url", "file_id": "v.mp4"},
        {"type": "video_url", "video_url": "asset://clip"},
    ]}))
    .await;
    let expected = [
        (Kind::Image, url("oss://bucket/p.png")),
        (Kind::Image, bytes()),
        (Kind::Video, url("https://a.test/v.mp4")),
        (Kind::Video, bytes()),
        (Kind::Audio, bytes()),
        (Kind::Audio, key("s.mp3")),
        (Kind::Video, key("v.mp4")),
        (Kind::Video, url("asset://clip")),
    ];
    assert_eq!(references(&request), expected);
}

#[tokio::test]
async fn multipart_fields_have_the_meaning_of_json_members() {
    let list = r#"[{"type":"video_url","video_url":{"url":"https://a.test/v.mp4"}}]"#;
    for parts in [
        vec![("input_references", None, list)],
        vec![
            ("input_references[0][type]", None, "video_url"),
            ("input_references[0][video_url][url]", None, "https://a.test/v.mp4"),
        ],
        vec![
            ("input_references[][type]", None, "video_url"),
            ("input_references[][video_url][url]", None, "https://a.test/v.mp4"),
        ],
    ] {
        let core = CoreStub::default();
        let members = [("prompt", None, "p"), ("generate_audio", None, "True"), ("duration", None, "8")];
        let fields: Vec<_> = members.into_iter().chain(parts).collect();
        assert_eq!(send(&core, form(&fields)).await.status, 200, "{fields:?}");
        let request = core.create_video_request();
        assert_eq!(references(&request), [(Kind::Video, url("https://a.test/v.mp4"))], "{fields:?}");
        assert_eq!((request.generate_audio, request.duration_seconds), (Some(true), Some(8)));
        assert_eq!(request.extra_json, "", "{fields:?}");
    }
    // OpenAI's Python SDK sends all values of a member before those of the next one.
    let core = CoreStub::default();
    let columns = [
        ("prompt", None, "p"),
        ("frame_images[][type]", None, "image_url"),
        ("frame_images[][type]", None, "image_url"),
        ("frame_images[][image_url][url]", None, "asset://1"),
        ("frame_images[][image_url][url]", None, "asset://2"),
        ("frame_images[][frame_type]", None, "first_frame"),
        ("frame_images[][frame_type]", None, "last_frame"),
    ];
    assert_eq!(send(&core, form(&columns)).await.status, 200);
    let expected = [(Position::First, url("asset://1")), (Position::Last, url("asset://2"))];
    assert_eq!(frames(&core.create_video_request()), expected);
    let core = CoreStub::default();
    let files = [("input_references[]", Some("1.png"), "a"), ("input_references[]", Some("2.png"), "a")];
    let fields: Vec<_> = [("prompt", None, "p")].into_iter().chain(files).collect();
    assert_eq!(send(&core, form(&fields)).await.status, 200);
    assert_eq!(references(&core.create_video_request()), [(Kind::Image, bytes()), (Kind::Image, bytes())]);
}

#[tokio::test]
async fn duration_is_the_same_as_seconds() {
    for members in [json!({"duration": "8"}), json!({"duration": 8.0}), json!({"duration": 8, "seconds": "8"})] {
        assert_eq!(created(&members).await.duration_seconds, Some(8), "{members}");
    }
    assert_eq!(refused(&json!({"duration": 8, "seconds": 4})).await, "duration");
    assert_eq!(refused(&json!({"duration": "auto"})).await, "duration");
}

#[tokio::test]
async fn invalid_member_is_named_with_its_place() {
    let image = json!({"image_url": "https://a.test/p.png"});
    for (members, param) in [
        (json!({"frame_images": 7}), "frame_images"),
        (json!({"frame_images": [image, {}]}), "frame_images[1]"),
        (json!({"frame_images": [{"image_url": {"uri": "x"}}]}), "frame_images[0]"),
        (json!({"frame_images": [{"image_url": "data:,x"}]}), "frame_images[0]"),
        (json!({"frame_images": [{"video_url": "https://a.test/v.mp4"}]}), "frame_images[0]"),
        (json!({"frame_images": [{"image_url": "YQ", "frame_type": "middle"}]}), "frame_images[0].frame_type"),
        (json!({"input_references": [image, null]}), "input_references[1]"),
        (json!({"input_references": [[image]]}), "input_references[0]"),
        (json!({"input_references": [{"type": "file", "file_id": "p.png"}]}), "input_references[0].type"),
        (json!({"input_references": [{"type": "video_url", "image_url": "YQ"}]}), "input_references[0]"),
        (json!({"input_references": [{"image_url": "YQ", "audio_url": "YQ"}]}), "input_references[0]"),
        (json!({"input_references": [{"image_url": "YQ", "file_id": "p.png"}]}), "input_references[0]"),
        (json!({"generate_audio": "yes"}), "generate_audio"),
        (json!({"aspect_ratio": 1.5}), "aspect_ratio"),
        (json!({"resolution": 720}), "resolution"),
        (json!({"fit_policy": "closest"}), "fit_policy"),
    ] {
        assert_eq!(refused(&members).await, param, "{members}");
    }
}

#[tokio::test]
async fn response_has_resolution_sound_and_adjustments() {
    let adjustment = |field: &str, requested: &str, used: &str| pb::VideoAdjustment {
        field: field.to_owned(),
        requested: requested.to_owned(),
        used: used.to_owned(),
    };
    let core = CoreStub::default();
    core.set_snapshots(vec![pb::Video {
        resolution: "720p".to_owned(),
        aspect_ratio: "16:9".to_owned(),
        generate_audio: Some(false),
        adjustments: vec![adjustment("duration_seconds", "5", "4"), adjustment("seed", "7", "")],
        ..video_in_state(1, 0, State::Queued)
    }]);
    let video = send(&core, get("/v1/videos/video_1")).await.json();
    let expected = json!([
        {"field": "seconds", "requested": "5", "used": "4"}, {"field": "seed", "requested": "7", "used": null},
    ]);
    assert_eq!(video["adjustments"], expected);
    assert_eq!((&video["resolution"], &video["aspect_ratio"]), (&json!("720p"), &json!("16:9")));
    assert_eq!(video["generate_audio"], false);
}
