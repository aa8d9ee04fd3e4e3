use axum::body::Body;
use bytes::Bytes;
use http::{Method, Request};
use serde_json::{Value, json};
use triptych_proto::v1::{self as pb, media_input::Source, video::State};

use crate::testing::{Script, finished, get, multipart, post, raw, send, underway};

fn request(method: Method, path: &str) -> Request<Body> {
    let request = Request::builder().method(method).uri(path).header("host", "gateway.test");
    request.header("content-type", "application/json").body(Body::empty()).unwrap()
}

fn form(parts: &[(&str, Option<&str>, &str)]) -> Request<Body> {
    multipart("/v1/videos", parts)
}

fn document(more: &Value) -> Value {
    let mut video = json!({
        "id": "video_1", "object": "video", "model": "offline-video", "status": "queued", "progress": 0,
        "created_at": 1_700_000_000, "completed_at": null, "expires_at": null, "prompt": "a fox", "size": "320x180",
        "seconds": "2", "remixed_from_video_id": null, "error": null,
    });
    video.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    video
}

fn completed() -> Value {
    document(&json!({
        "status": "completed", "progress": 100, "completed_at": 1_700_000_009,
        "video_url": "http://gateway.test/media/clip.mp4",
    }))
}

#[tokio::test]
async fn the_guides_request_is_taken_and_answered_with_every_member() {
    let script = Script::default();
    let asked = json!({"prompt": "a fox", "input_reference": "YQ==", "size": "1920x1080", "seconds": 5});
    let answer = send(&script, post("/v1/videos", &asked)).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, document(&json!({}))));
    assert_eq!(answer.header("openai-poll-after-ms"), Some("1500"));
    let expected = pb::CreateVideoRequest {
        prompt: "a fox".to_owned(),
        input_reference: Some(pb::MediaInput { source: Some(Source::Data(Bytes::from_static(b"a"))) }),
        size: "1920x1080".to_owned(),
        duration_seconds: Some(5),
        ..pb::CreateVideoRequest::default()
    };
    assert_eq!(script.video(), expected);
}

#[tokio::test]
async fn json_and_multipart_mean_the_same() {
    let as_json = Script::default();
    let json =
        r#"{"model":"m","prompt":"p","seconds":"8","size":"720x1280","user":"u","x":"y","input_reference":"YQ"}"#;
    let mut asked = raw("/v1/videos", "application/json", json);
    asked.headers_mut().insert("idempotency-key", "k-1".parse().unwrap());
    assert_eq!(send(&as_json, asked).await.status, 200);
    let as_form = Script::default();
    let mut asked = form(&[
        ("model", None, "m"),
        ("prompt", None, "p"),
        ("seconds", None, "8"),
        ("size", None, "720x1280"),
        ("user", None, "u"),
        ("x", None, "y"),
        ("input_reference", Some("upload"), "a"),
    ]);
    asked.headers_mut().insert("idempotency-key", "k-1".parse().unwrap());
    assert_eq!(send(&as_form, asked).await.status, 200);
    assert_eq!(as_json.video(), as_form.video());
    assert_eq!(as_json.video().idempotency_key, "k-1");
    assert_eq!(as_json.video().extra_json, r#"{"x":"y"}"#);
}

#[tokio::test]
async fn the_reference_of_a_form_may_stand_in_brackets() {
    for (part, source) in [
        (("input_reference[image_url]", None, "https://a.test/p.png"), Source::Url("https://a.test/p.png".to_owned())),
        (("input_reference[image_url]", None, "data:image/png;base64,YQ=="), Source::Data(Bytes::from_static(b"a"))),
        (("input_reference[file_id]", None, "p.png"), Source::MediaKey("p.png".to_owned())),
        (("input_reference", None, "{\"file_id\": \"p.png\"}"), Source::MediaKey("p.png".to_owned())),
        (("input_reference", None, "YQ=="), Source::Data(Bytes::from_static(b"a"))),
    ] {
        let script = Script::default();
        assert_eq!(send(&script, form(&[("prompt", None, "p"), part])).await.status, 200, "{part:?}");
        assert_eq!(script.video().input_reference.unwrap().source.unwrap(), source, "{part:?}");
        assert_eq!(script.video().extra_json, "", "{part:?}");
    }
}

#[tokio::test]
async fn seconds_may_be_a_number_or_a_text_and_rubbish_is_named() {
    for seconds in [json!(5), json!("5"), json!(5.0), json!(" 5 ")] {
        let script = Script::default();
        assert_eq!(send(&script, post("/v1/videos", &json!({"prompt": "p", "seconds": seconds}))).await.status, 200);
        assert_eq!(script.video().duration_seconds, Some(5), "{seconds}");
    }
    for seconds in [json!("five"), json!(5.5), json!([]), json!(true), json!(-1), json!("")] {
        let answer = send(&Script::default(), post("/v1/videos", &json!({"prompt": "p", "seconds": seconds}))).await;
        assert_eq!(answer.error(), (400, Some("seconds".to_owned()), "invalid_field".to_owned()), "{seconds}");
    }
}

#[tokio::test]
async fn what_the_core_refuses_is_named_as_the_client_spells_it() {
    let script = Script::default();
    script.fails("INVALID_FIELD", tonic::Code::InvalidArgument, Some("duration_seconds"));
    let answer = send(&script, post("/v1/videos", &json!({"prompt": "p"}))).await;
    assert_eq!(answer.error(), (400, Some("seconds".to_owned()), "invalid_field".to_owned()));
}

#[tokio::test]
async fn each_state_has_one_of_four_words() {
    for (state, word) in [
        (State::Queued, "queued"),
        (State::Submitting, "in_progress"),
        (State::Rendering, "in_progress"),
        (State::Storing, "in_progress"),
        (State::Succeeded, "completed"),
        (State::Failed, "failed"),
        (State::Cancelled, "failed"),
    ] {
        let script = Script::default();
        script.snapshots(vec![underway(1, 40, state)]);
        let video = send(&script, get("/v1/videos/video_1")).await.json();
        assert_eq!((&video["status"], &video["progress"]), (&json!(word), &json!(40)));
        assert_eq!(video["error"].is_object(), word == "failed", "{video}");
    }
}

#[tokio::test]
async fn a_finished_clip_has_its_link_and_no_poll_hint() {
    let answer = send(&Script::default(), get("/v1/videos/video_1")).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, completed()));
    assert_eq!(answer.header("openai-poll-after-ms"), None);
}

#[tokio::test]
async fn an_id_that_is_none_is_a_404() {
    for id in ["none", "..%2Fmodels", "%20", "a%00b"] {
        let answer = send(&Script::default(), get(&format!("/v1/videos/{id}"))).await;
        assert_eq!(answer.error(), (404, None, "video_not_found".to_owned()), "{id}");
    }
}

#[tokio::test]
async fn a_page_says_where_it_begins_and_ends() {
    let script = Script::default();
    let other = pb::Video { id: "video_0".to_owned(), ..underway(1, 0, State::Queued) };
    script.snapshots(vec![finished(), other]);
    let answer = send(&script, get("/v1/videos?limit=2&order=asc&after=video_7&x=y")).await;
    let data = [completed(), document(&json!({"id": "video_0"}))];
    let page = json!({
        "object": "list", "data": data, "first_id": "video_1", "last_id": "video_0", "has_more": true,
    });
    assert_eq!((answer.status.as_u16(), answer.json()), (200, page));
    let order = pb::VideoOrder::OldestFirst.into();
    assert_eq!(script.list(), pb::ListVideosRequest { page_size: Some(2), page_token: "video_7".to_owned(), order });
}

#[tokio::test]
async fn wrong_list_parameters_are_named() {
    for (query, param) in [("limit=101", "limit"), ("limit=x", "limit"), ("limit=-1", "limit"), ("order=up", "order")] {
        let answer = send(&Script::default(), get(&format!("/v1/videos?{query}"))).await;
        assert_eq!(answer.error(), (400, Some(param.to_owned()), "invalid_field".to_owned()), "{query}");
    }
}

#[tokio::test]
async fn cancelling_deleting_and_remixing_answer_as_openai_does() {
    let script = Script::default();
    let answer = send(&script, request(Method::POST, "/v1/videos/video_1/cancel")).await;
    let error = json!({"code": "cancelled", "message": "ended by the caller"});
    assert_eq!(answer.json(), document(&json!({"status": "failed", "progress": 40, "error": error})));
    let answer = send(&script, request(Method::DELETE, "/v1/videos/video_1")).await;
    assert_eq!(answer.json(), json!({"id": "video_1", "object": "video.deleted", "deleted": true}));
    let answer = send(&script, post("/v1/videos/video_1/remix", &json!({"prompt": "a cat"}))).await;
    assert_eq!(answer.json(), document(&json!({"remixed_from_video_id": "video_1"})));
    let expected =
        pb::RemixVideoRequest { id: "video_1".to_owned(), prompt: "a cat".to_owned(), idempotency_key: String::new() };
    assert_eq!(script.remix(), expected);
}

#[tokio::test]
async fn content_is_the_clip_with_a_name_and_ranges() {
    let script = Script::default();
    let answer = send(&script, get("/v1/videos/video_1/content")).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "0123456789"));
    assert_eq!(answer.header("content-type"), Some("video/mp4"));
    assert_eq!(answer.header("content-disposition"), Some("inline; filename=\"video_1.mp4\""));
    assert_eq!(answer.header("cache-control"), Some("private, no-cache"));
    let mut part = get("/v1/videos/video_1/content?variant=video");
    part.headers_mut().insert("range", "bytes=-3".parse().unwrap());
    let answer = send(&script, part).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (206, "789"));
    let mut head = request(Method::HEAD, "/v1/videos/video_1/content");
    head.headers_mut().insert("range", "bytes=-3".parse().unwrap());
    let answer = send(&script, head).await;
    assert_eq!((answer.status.as_u16(), answer.text(), answer.header("content-length")), (200, "", Some("10")));
}

#[tokio::test]
async fn content_before_the_end_is_a_400_with_or_without_a_range() {
    for method in [Method::GET, Method::HEAD] {
        let script = Script::default();
        script.snapshots(vec![underway(2, 40, State::Rendering)]);
        let mut early = request(method.clone(), "/v1/videos/video_1/content");
        early.headers_mut().insert("range", "bytes=0-1".parse().unwrap());
        let answer = send(&script, early).await;
        assert_eq!(answer.status, 400);
        if method == Method::GET {
            assert_eq!(answer.error(), (400, None, "video_not_ready".to_owned()));
        }
    }
}

fn progress() -> Script {
    let script = Script::default();
    script.snapshots(vec![underway(1, 0, State::Queued), underway(2, 50, State::Rendering), finished()]);
    script
}

fn events(text: &str) -> Vec<(u64, Value)> {
    let read = |event: &str| {
        let (id, data) = event.strip_prefix("id: ").unwrap().split_once("\ndata: ").unwrap();
        (id.parse().unwrap(), serde_json::from_str(data).unwrap())
    };
    text.trim_end().split("\n\n").map(read).collect()
}

#[tokio::test]
async fn events_are_snapshots_until_the_final_one() {
    let answer = send(&progress(), get("/v1/videos/video_1/events")).await;
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    let half = document(&json!({"status": "in_progress", "progress": 50}));
    assert_eq!(events(answer.text()), [(1, document(&json!({}))), (2, half), (9, completed())]);
}

#[tokio::test]
async fn a_client_that_comes_back_does_not_see_the_same_twice() {
    let again = |seen: &str| {
        let mut request = get("/v1/videos/video_1/events");
        request.headers_mut().insert("last-event-id", seen.parse().unwrap());
        request
    };
    let answer = send(&progress(), again("1")).await;
    assert_eq!(events(answer.text()).into_iter().map(|(id, _)| id).collect::<Vec<_>>(), [2, 9]);
    let script = Script::default();
    script.snapshots(vec![finished()]);
    let answer = send(&script, again("9")).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (204, ""));
}

#[tokio::test]
async fn events_of_a_clip_that_is_none_are_a_404() {
    let script = Script::default();
    script.fails("VIDEO_NOT_FOUND", tonic::Code::NotFound, None);
    let answer = send(&script, get("/v1/videos/none/events")).await;
    assert_eq!(answer.error(), (404, None, "video_not_found".to_owned()));
}
