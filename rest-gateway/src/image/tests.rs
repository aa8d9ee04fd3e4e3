use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};
use triptych_proto::v1::{self as pb, media_input::Source};

use crate::testing::{Answer, Script, multipart, post, raw, send};

const GENERATIONS: &str = "/v1/images/generations";
const EDITS: &str = "/v1/images/edits";

fn form(parts: &[(&str, Option<&str>, &str)]) -> Request<axum::body::Body> {
    multipart(EDITS, parts)
}

#[tokio::test]
async fn the_guides_request_gets_an_absolute_link() {
    let script = Script::default();
    let request = json!({"prompt": "a cat", "n": 1, "size": "256x256"});
    let answer = send(&script, post(GENERATIONS, &request)).await;
    let expected = json!({
        "created": 1_700_000_000,
        "data": [{"url": "http://gateway.test/media/p.png"}],
        "output_format": "png",
        "size": "64x32",
    });
    assert_eq!((answer.status.as_u16(), answer.json()), (200, expected));
    let asked = pb::ImageRequest {
        prompt: "a cat".to_owned(),
        n: Some(1),
        size: "256x256".to_owned(),
        delivery: pb::ImageDelivery::Link.into(),
        ..pb::ImageRequest::default()
    };
    assert_eq!(script.image(), asked);
}

#[tokio::test]
async fn every_member_reaches_the_contract_and_unknown_ones_travel_along() {
    let script = Script::default();
    let text = r#"{"model":"m","prompt":"p","n":2.0,"size":null,"quality":"hd","style":"vivid","background":"opaque",
        "output_format":"webp","output_compression":80,"seed":-5,"user":"u","response_format":"b64_json",
        "keep_original":true,"moderation":"low","x":12345678901234567890123}"#;
    let mut request = raw(GENERATIONS, "application/json", text);
    request.headers_mut().insert("idempotency-key", "k-1".parse().unwrap());
    let answer = send(&script, request).await;
    let picture = json!({"b64_json": "iVBORw==", "original_url": "http://gateway.test/media/original.png"});
    let data = vec![picture; 2];
    let expected = json!({
        "created": 1_700_000_000, "data": data, "background": "opaque", "output_format": "png", "quality": "high",
        "size": "64x32",
    });
    assert_eq!(answer.json(), expected);
    let asked = pb::ImageRequest {
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
    assert_eq!(script.image(), asked);
    assert_eq!(script.key(), "k-1");
}

#[tokio::test]
async fn each_wrong_member_is_named() {
    for (member, value) in [
        ("prompt", json!(7)),
        ("n", json!("two")),
        ("n", json!(1.5)),
        ("n", json!(1e30)),
        ("size", json!([])),
        ("stream", json!("yes")),
        ("response_format", json!("jpg")),
        ("seed", json!({})),
    ] {
        let answer = send(&Script::default(), post(GENERATIONS, &json!({ member: value }))).await;
        assert_eq!(answer.error(), (400, Some(member.to_owned()), "invalid_field".to_owned()), "{member}: {value}");
    }
}

#[tokio::test]
async fn what_the_core_refuses_is_named_as_the_client_spells_it() {
    let script = Script::default();
    script.fails("INVALID_FIELD", tonic::Code::InvalidArgument, Some("delivery"));
    let answer = send(&script, post(GENERATIONS, &json!({"prompt": "p"}))).await;
    assert_eq!(answer.error(), (400, Some("response_format".to_owned()), "invalid_field".to_owned()));
}

#[tokio::test]
async fn an_edit_takes_several_files_a_mask_and_texts() {
    let script = Script::default();
    let parts = [
        ("image[]", Some("a.png"), "one"),
        ("image[]", Some("upload"), "two"),
        ("mask", Some("m"), "three"),
        ("prompt", None, "more sun"),
        ("n", None, "1"),
        ("input_fidelity", None, "high"),
    ];
    assert_eq!(send(&script, form(&parts)).await.status, 200);
    let data = |text| pb::MediaInput { source: Some(Source::Data(Bytes::from_static(text))) };
    let asked = pb::ImageRequest {
        prompt: "more sun".to_owned(),
        n: Some(1),
        pictures: vec![data(b"one"), data(b"two")],
        mask: Some(data(b"three")),
        delivery: pb::ImageDelivery::Link.into(),
        extra_json: r#"{"input_fidelity":"high"}"#.to_owned(),
        ..pb::ImageRequest::default()
    };
    assert_eq!(script.image(), asked);
}

#[tokio::test]
async fn an_edit_as_json_takes_references() {
    let script = Script::default();
    let request = json!({"prompt": "p", "images": [{"image_url": "https://a.test/p.png"}, {"file_id": "p.png"}]});
    assert_eq!(send(&script, post(EDITS, &request)).await.status, 200);
    let sources: Vec<_> = script.image().pictures.into_iter().map(|picture| picture.source.unwrap()).collect();
    assert_eq!(sources, [Source::Url("https://a.test/p.png".to_owned()), Source::MediaKey("p.png".to_owned())]);
}

#[tokio::test]
async fn an_edit_without_a_picture_is_refused() {
    let answer = send(&Script::default(), form(&[("prompt", None, "p")])).await;
    assert_eq!(answer.error(), (400, Some("image".to_owned()), "invalid_field".to_owned()));
    let wrong = json!({"prompt": "p", "images": ["p.png", 7]});
    let answer = send(&Script::default(), post(EDITS, &wrong)).await;
    assert_eq!(answer.error(), (400, Some("images[1]".to_owned()), "invalid_field".to_owned()));
}

#[tokio::test]
async fn broken_multipart_is_a_400() {
    for (kind, body) in [
        ("multipart/form-data", "--b--\r\n"),
        ("multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"image\"\r\n\r\nhalf"),
        ("multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n"),
    ] {
        let answer = send(&Script::default(), raw(EDITS, kind, body)).await;
        assert_eq!(answer.error(), (400, None, "invalid_request".to_owned()), "{body}");
    }
}

#[tokio::test]
async fn another_encoding_is_a_415() {
    let answer = send(&Script::default(), raw(GENERATIONS, "application/xml", "<prompt/>")).await;
    assert_eq!(answer.error(), (415, None, "unsupported_media_type".to_owned()));
}

fn events(answer: &Answer) -> Vec<(String, Value)> {
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    let read = |event: &str| {
        let (name, data) = event.strip_prefix("event: ").unwrap().split_once("\ndata: ").unwrap();
        (name.to_owned(), serde_json::from_str(data).unwrap())
    };
    answer.text().trim_end().split("\n\n").map(read).collect()
}

#[tokio::test]
async fn a_stream_has_openais_events() {
    let request = json!({"prompt": "p", "stream": true, "partial_images": 1, "quality": "low"});
    let answer = send(&Script::default(), post(GENERATIONS, &request)).await;
    let event = |kind: &str, more: Value| {
        let mut event = json!({
            "type": kind, "b64_json": "iVBORw==", "created_at": 1_700_000_000, "size": "64x32", "quality": "low",
            "background": "auto", "output_format": "png", "image_index": 0,
        });
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        (kind.to_owned(), event)
    };
    let details = json!({"text_tokens": 2, "image_tokens": 1});
    let usage = json!({"input_tokens": 3, "output_tokens": 4, "total_tokens": 7, "input_tokens_details": details});
    let expected = [
        event("image_generation.partial_image", json!({"partial_image_index": 0})),
        event("image_generation.completed", json!({"usage": usage})),
    ];
    assert_eq!(events(&answer), expected);
}

fn one_of_three_is_refused(script: &Script) {
    let usage = pb::ImageUsage { input_tokens: 9, output_tokens: 20, total_tokens: 29, input_image_tokens: 0 };
    let (code, message) = ("content_policy_violation".to_owned(), "no".to_owned());
    script.makes_some(usage, vec![pb::ImageFailure { picture_index: 1, code, message }]);
}

#[tokio::test]
async fn pictures_that_could_not_be_made_are_named_beside_those_that_were() {
    let script = Script::default();
    one_of_three_is_refused(&script);
    let answer = send(&script, post(GENERATIONS, &json!({"prompt": "p", "n": 2}))).await.json();
    assert_eq!(answer["failures"], json!([{"index": 1, "code": "content_policy_violation", "message": "no"}]));
    assert_eq!((answer["data"].as_array().unwrap().len(), &answer["usage"]["total_tokens"]), (2, &json!(29)));
    one_of_three_is_refused(&script);
    let told = events(&send(&script, post(GENERATIONS, &json!({"prompt": "p", "stream": true}))).await);
    let error = json!({"index": 1, "code": "content_policy_violation", "message": "no"});
    let expected = json!({"type": "image_generation.failed", "image_index": 1, "error": error});
    assert_eq!(told[1], ("image_generation.failed".to_owned(), expected));
}

#[tokio::test]
async fn a_streamed_edit_names_its_events_so() {
    let parts = [("image", Some("a"), "one"), ("prompt", None, "p"), ("stream", None, "true")];
    let answer = send(&Script::default(), form(&parts)).await;
    assert_eq!(events(&answer)[0].0, "image_edit.completed");
}

#[tokio::test]
async fn a_stream_that_breaks_says_so_within_and_one_that_never_began_with_its_status() {
    let script = Script::default();
    script.breaks_after_the_preview();
    let request = json!({"prompt": "p", "stream": true, "partial_images": 1});
    let broken = events(&send(&script, post(GENERATIONS, &request)).await);
    assert_eq!(broken.len(), 2);
    assert_eq!((broken[1].0.as_str(), &broken[1].1["error"]["code"]), ("error", &json!("upstream_unavailable")));
    script.breaks_after_the_preview();
    let answer = send(&script, post(GENERATIONS, &json!({"prompt": "p", "stream": true}))).await;
    assert_eq!(answer.error(), (502, None, "upstream_unavailable".to_owned()));
}

#[tokio::test]
async fn pictures_that_were_too_much_for_one_message_are_read_by_their_keys() {
    let script = Script::default();
    let request = json!({"prompt": "p", "n": 2, "response_format": "b64_json"});
    script.keeps_the_pictures("clip.mp4");
    let item = json!({"b64_json": "MDEyMzQ1Njc4OQ=="});
    assert_eq!(send(&script, post(GENERATIONS, &request)).await.json()["data"], json!([item, item]));
    // One that cannot be read is made all the same.
    script.keeps_the_pictures("gone.png");
    let item = json!({"url": "http://gateway.test/media/gone.png"});
    assert_eq!(send(&script, post(GENERATIONS, &request)).await.json()["data"], json!([item, item]));
}
