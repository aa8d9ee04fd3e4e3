//! Tests of the image endpoints in front of a [`CoreStub`], whose pictures have 64x32 pixels and a few bytes of data.

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};
use triptych_proto::v1::{self as pb, media_input::Source};

use crate::testing::{CoreStub, TestResponse, multipart, post, raw, send};

const GENERATIONS: &str = "/v1/images/generations";
const EDITS: &str = "/v1/images/edits";

/// Returns an edit request. Each field is its name, its file name if it is a file, and its value.
fn form(fields: &[(&str, Option<&str>, &str)]) -> Request<axum::body::Body> {
    multipart(EDITS, fields)
}

#[tokio::test]
async fn generation_request_is_answered_with_an_absolute_link() {
    let core = CoreStub::default();
    let request = json!({"prompt": "a cat", "n": 1, "size": "256x256"});
    let response = send(&core, post(GENERATIONS, &request)).await;
    let expected = json!({
        "created": 1_700_000_000, "model": "offline-image",
        "data": [{"url": "http://gateway.test/media/p.png"}],
        "output_format": "png",
        "size": "64x32",
    });
    assert_eq!((response.status.as_u16(), response.json()), (200, expected));
    let expected_request = pb::ImageRequest {
        prompt: "a cat".to_owned(),
        n: Some(1),
        size: "256x256".to_owned(),
        delivery: pb::ImageDelivery::Link.into(),
        ..pb::ImageRequest::default()
    };
    assert_eq!(core.image_request(), expected_request);
}

#[tokio::test]
async fn every_field_reaches_the_core_and_unknown_ones_become_extra_json() {
    let core = CoreStub::default();
    let text = r#"{"model":"m","prompt":"p","n":2.0,"size":null,"quality":"hd","style":"vivid","background":"opaque",
        "output_format":"webp","output_compression":80,"seed":-5,"user":"u","response_format":"b64_json",
        "keep_original":true,"moderation":"low","x":12345678901234567890123}"#;
    let mut request = raw(GENERATIONS, "application/json", text);
    request.headers_mut().insert("idempotency-key", "k-1".parse().unwrap());
    let response = send(&core, request).await;
    let picture = json!({"b64_json": "iVBORw==", "original_url": "http://gateway.test/media/original.png"});
    let data = vec![picture; 2];
    let expected = json!({
        "created": 1_700_000_000, "model": "offline-image", "data": data, "background": "opaque", "output_format": "png", "quality": "high",
        "size": "64x32",
    });
    assert_eq!(response.json(), expected);
    let expected_request = pb::ImageRequest {
        model: "m".to_owned(),
        prompt: "p".to_owned(),
        n: Some(2),
        quality: "hd".to_owned(),
        style: "vivid".to_owned(),
        background: "opaque".to_owned(),
        output_format: "webp".to_owned(),
        output_compression: Some(80),
        seed: Some(-5),
        user: "u".to_owned(),
        delivery: pb::ImageDelivery::Bytes.into(),
        keep_original: true,
        extra_json: r#"{"moderation":"low","x":12345678901234567890123}"#.to_owned(),
        ..pb::ImageRequest::default()
    };
    assert_eq!(core.image_request(), expected_request);
    assert_eq!(core.idempotency_key(), "k-1");
}

#[tokio::test]
async fn invalid_field_is_named() {
    for (field, value) in [
        ("prompt", json!(7)),
        ("n", json!("two")),
        ("n", json!(1.5)),
        ("n", json!(1e30)),
        ("size", json!([])),
        ("stream", json!("yes")),
        ("response_format", json!("jpg")),
        ("seed", json!({})),
    ] {
        let response = send(&CoreStub::default(), post(GENERATIONS, &json!({ field: value }))).await;
        assert_eq!(response.error(), (400, Some(field.to_owned()), "invalid_field".to_owned()), "{field}: {value}");
    }
}

#[tokio::test]
async fn field_refused_by_the_core_is_named_in_the_spelling_of_the_client() {
    let core = CoreStub::default();
    core.fail_every_call("INVALID_FIELD", tonic::Code::InvalidArgument, Some("delivery"));
    let response = send(&core, post(GENERATIONS, &json!({"prompt": "p"}))).await;
    assert_eq!(response.error(), (400, Some("response_format".to_owned()), "invalid_field".to_owned()));
}

#[tokio::test]
async fn multipart_edit_accepts_several_files_a_mask_and_text_fields() {
    let core = CoreStub::default();
    let fields = [
        ("image[]", Some("a.png"), "one"),
        ("image[]", Some("upload"), "two"),
        ("mask", Some("m"), "three"),
        ("prompt", None, "more sun"),
        ("n", None, "1"),
        ("input_fidelity", None, "high"),
    ];
    assert_eq!(send(&core, form(&fields)).await.status, 200);
    let data = |text| pb::MediaInput { source: Some(Source::Data(Bytes::from_static(text))) };
    let expected_request = pb::ImageRequest {
        prompt: "more sun".to_owned(),
        n: Some(1),
        pictures: vec![data(b"one"), data(b"two")],
        mask: Some(data(b"three")),
        delivery: pb::ImageDelivery::Link.into(),
        extra_json: r#"{"input_fidelity":"high"}"#.to_owned(),
        ..pb::ImageRequest::default()
    };
    assert_eq!(core.image_request(), expected_request);
}

#[tokio::test]
async fn json_edit_accepts_image_references() {
    let core = CoreStub::default();
    let request = json!({"prompt": "p", "images": [{"image_url": "https://a.test/p.png"}, {"file_id": "p.png"}]});
    assert_eq!(send(&core, post(EDITS, &request)).await.status, 200);
    let sources: Vec<_> = core.image_request().pictures.into_iter().map(|picture| picture.source.unwrap()).collect();
    assert_eq!(sources, [Source::Url("https://a.test/p.png".to_owned()), Source::MediaKey("p.png".to_owned())]);
}

#[tokio::test]
async fn edit_without_an_image_is_refused() {
    let response = send(&CoreStub::default(), form(&[("prompt", None, "p")])).await;
    assert_eq!(response.error(), (400, Some("image".to_owned()), "invalid_field".to_owned()));
    let invalid = json!({"prompt": "p", "images": ["p.png", 7]});
    let response = send(&CoreStub::default(), post(EDITS, &invalid)).await;
    assert_eq!(response.error(), (400, Some("images[1]".to_owned()), "invalid_field".to_owned()));
}

#[tokio::test]
async fn invalid_multipart_returns_400() {
    for (kind, body) in [
        ("multipart/form-data", "--b--\r\n"),
        ("multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"image\"\r\n\r\nhalf"),
        ("multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n"),
    ] {
        let response = send(&CoreStub::default(), raw(EDITS, kind, body)).await;
        assert_eq!(response.error(), (400, None, "invalid_request".to_owned()), "{body}");
    }
}

#[tokio::test]
async fn unknown_content_type_returns_415() {
    let response = send(&CoreStub::default(), raw(GENERATIONS, "application/xml", "<prompt/>")).await;
    assert_eq!(response.error(), (415, None, "unsupported_media_type".to_owned()));
}

/// Returns name and data of each event.
fn events(response: &TestResponse) -> Vec<(String, Value)> {
    assert_eq!(response.header("content-type"), Some("text/event-stream"));
    let read = |event: &str| {
        let (name, data) = event.strip_prefix("event: ").unwrap().split_once("\ndata: ").unwrap();
        (name.to_owned(), serde_json::from_str(data).unwrap())
    };
    response.text().trim_end().split("\n\n").map(read).collect()
}

#[tokio::test]
async fn stream_has_the_events_of_openai() {
    let request = json!({"prompt": "p", "stream": true, "partial_images": 1, "quality": "low"});
    let response = send(&CoreStub::default(), post(GENERATIONS, &request)).await;
    let event = |kind: &str, more: Value| {
        let mut event = json!({
            "type": kind, "b64_json": "iVBORw==", "created_at": 1_700_000_000, "size": "64x32", "quality": "low",
            "background": "auto", "output_format": "png", "image_index": 0,
        });
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        (kind.to_owned(), event)
    };
    let details = json!({"text_tokens": 2, "image_tokens": 1});
    let usage = json!({"input_tokens": 3, "output_tokens": 4, "total_tokens": 7, "input_tokens_details": details,
        "cost": 0.04});
    let expected = [
        event("image_generation.partial_image", json!({"partial_image_index": 0})),
        event("image_generation.completed", json!({"usage": usage})),
    ];
    assert_eq!(events(&response), expected);
}

/// Makes the core refuse the second image of the next request, and of that one only.
fn refuse_second_image(core: &CoreStub) {
    let usage = pb::ImageUsage { input_tokens: 9, output_tokens: 20, total_tokens: 29, input_image_tokens: 0 };
    let refused =
        pb::ImageFailure { picture_index: 1, code: "content_policy_violation".to_owned(), message: "no".to_owned() };
    core.reply_with_partial_success(usage, vec![refused]);
}

#[tokio::test]
async fn failed_images_are_listed_beside_successful_ones() {
    let core = CoreStub::default();
    refuse_second_image(&core);
    let response = send(&core, post(GENERATIONS, &json!({"prompt": "p", "n": 3}))).await.json();
    assert_eq!(response["failures"], json!([{"index": 1, "code": "content_policy_violation", "message": "no"}]));
    assert_eq!((response["data"].as_array().unwrap().len(), &response["usage"]["total_tokens"]), (2, &json!(29)));
    refuse_second_image(&core);
    let received = events(&send(&core, post(GENERATIONS, &json!({"prompt": "p", "n": 2, "stream": true}))).await);
    let error = json!({"index": 1, "code": "content_policy_violation", "message": "no"});
    let expected = json!({"type": "image_generation.failed", "image_index": 1, "error": error});
    assert_eq!(received[1], ("image_generation.failed".to_owned(), expected));
}

#[tokio::test]
async fn streamed_edit_has_its_own_event_names() {
    let fields = [("image", Some("a"), "one"), ("prompt", None, "p"), ("stream", None, "true")];
    let response = send(&CoreStub::default(), form(&fields)).await;
    assert_eq!(events(&response)[0].0, "image_edit.completed");
}

#[tokio::test]
async fn stream_failure_is_an_error_event_and_one_before_the_first_event_a_status() {
    let core = CoreStub::default();
    core.fail_next_stream();
    let request = json!({"prompt": "p", "stream": true, "partial_images": 1});
    let broken = events(&send(&core, post(GENERATIONS, &request)).await);
    assert_eq!(broken.len(), 2);
    assert_eq!((broken[1].0.as_str(), &broken[1].1["error"]["code"]), ("error", &json!("upstream_unavailable")));
    core.fail_next_stream();
    let response = send(&core, post(GENERATIONS, &json!({"prompt": "p", "stream": true}))).await;
    assert_eq!(response.error(), (502, None, "upstream_unavailable".to_owned()));
}

#[tokio::test]
async fn images_returned_as_media_keys_are_read_and_embedded() {
    let core = CoreStub::default();
    let request = json!({"prompt": "p", "n": 2, "response_format": "b64_json"});
    core.reply_with_media_key("clip.mp4");
    let item = json!({"b64_json": "MDEyMzQ1Njc4OQ=="});
    assert_eq!(send(&core, post(GENERATIONS, &request)).await.json()["data"], json!([item, item]));
    // An unreadable image is answered with its link.
    core.reply_with_media_key("gone.png");
    let item = json!({"url": "http://gateway.test/media/gone.png"});
    assert_eq!(send(&core, post(GENERATIONS, &request)).await.json()["data"], json!([item, item]));
}

#[tokio::test]
async fn gpt_image_models_return_bytes_unless_a_link_is_requested() {
    for (model, format, has_bytes) in [
        ("gpt-image-1", None, true),
        ("gpt-image-1-mini", None, true),
        ("openai/GPT-Image-2", None, true),
        ("chatgpt-image-latest", None, true),
        ("gpt-image-1", Some("url"), false),
        ("gpt-image-1", Some("b64_json"), true),
        ("dall-e-3", None, false),
        ("gpt-5", None, false),
    ] {
        let request = json!({"model": model, "prompt": "p", "n": 1, "response_format": format});
        let response = send(&CoreStub::default(), post(GENERATIONS, &request)).await.json();
        let item = &response["data"][0];
        assert_eq!((item["b64_json"].is_string(), item["url"].is_string()), (has_bytes, !has_bytes), "{request}");
    }
}
