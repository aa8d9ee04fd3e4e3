//! Tests of the video endpoints in front of a [`CoreStub`], which has the video `video_1`.

mod inputs_and_parameters;
mod repetition;

use axum::body::Body;
use bytes::Bytes;
use http::{Method, Request};
use serde_json::{Value, json};
use triptych_proto::v1::{self as pb, media_input::Source, video::State};

use crate::testing::{CoreStub, get, multipart, post, raw, send, succeeded, video_in_state};

/// Returns a request that declares JSON and has no body, as OpenAI's clients send it.
fn bodiless(method: Method, path: &str) -> Request<Body> {
    let request = Request::builder().method(method).uri(path).header("host", "gateway.test");
    request.header("content-type", "application/json").body(Body::empty()).unwrap()
}

fn form(fields: &[(&str, Option<&str>, &str)]) -> Request<Body> {
    multipart("/v1/videos", fields)
}

/// Returns the JSON of the queued `video_1`, with members replaced or added.
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
async fn create_is_answered_with_every_member() {
    let core = CoreStub::default();
    let request = json!({"prompt": "a fox", "input_reference": "YQ==", "size": "1920x1080", "seconds": 5});
    let response = send(&core, post("/v1/videos", &request)).await;
    assert_eq!((response.status.as_u16(), response.json()), (200, document(&json!({}))));
    assert_eq!(response.header("openai-poll-after-ms"), Some("1500"));
    let expected = pb::CreateVideoRequest {
        prompt: "a fox".to_owned(),
        input_reference: Some(pb::MediaInput { source: Some(Source::Data(Bytes::from_static(b"a"))) }),
        size: "1920x1080".to_owned(),
        duration_seconds: Some(5),
        ..pb::CreateVideoRequest::default()
    };
    assert_eq!(core.create_video_request(), expected);
}

#[tokio::test]
async fn json_and_multipart_are_equivalent() {
    let as_json = CoreStub::default();
    let json =
        r#"{"model":"m","prompt":"p","seconds":"8","size":"720x1280","user":"u","x":"y","input_reference":"YQ"}"#;
    let mut request = raw("/v1/videos", "application/json", json);
    request.headers_mut().insert("idempotency-key", "k-1".parse().unwrap());
    assert_eq!(send(&as_json, request).await.status, 200);
    let as_form = CoreStub::default();
    let mut request = form(&[
        ("model", None, "m"),
        ("prompt", None, "p"),
        ("seconds", None, "8"),
        ("size", None, "720x1280"),
        ("user", None, "u"),
        ("x", None, "y"),
        ("input_reference", Some("upload"), "a"),
    ]);
    request.headers_mut().insert("idempotency-key", "k-1".parse().unwrap());
    assert_eq!(send(&as_form, request).await.status, 200);
    assert_eq!(as_json.create_video_request(), as_form.create_video_request());
    assert_eq!(as_json.create_video_request().idempotency_key, "k-1");
    assert_eq!(as_json.create_video_request().extra_json, r#"{"x":"y"}"#);
}

#[tokio::test]
async fn multipart_input_reference_may_be_in_brackets() {
    for (part, source) in [
        (("input_reference[image_url]", None, "https://a.test/p.png"), Source::Url("https://a.test/p.png".to_owned())),
        (("input_reference[image_url]", None, "data:image/png;base64,YQ=="), Source::Data(Bytes::from_static(b"a"))),
        (("input_reference[file_id]", None, "p.png"), Source::MediaKey("p.png".to_owned())),
        (("input_reference", None, "{\"file_id\": \"p.png\"}"), Source::MediaKey("p.png".to_owned())),
        (("input_reference", None, "YQ=="), Source::Data(Bytes::from_static(b"a"))),
    ] {
        let core = CoreStub::default();
        assert_eq!(send(&core, form(&[("prompt", None, "p"), part])).await.status, 200, "{part:?}");
        assert_eq!(core.create_video_request().input_reference.unwrap().source.unwrap(), source, "{part:?}");
        assert_eq!(core.create_video_request().extra_json, "", "{part:?}");
    }
}

#[tokio::test]
async fn seconds_may_be_a_number_or_a_string() {
    for seconds in [json!(5), json!("5"), json!(5.0), json!(" 5 ")] {
        let core = CoreStub::default();
        assert_eq!(send(&core, post("/v1/videos", &json!({"prompt": "p", "seconds": seconds}))).await.status, 200);
        assert_eq!(core.create_video_request().duration_seconds, Some(5), "{seconds}");
    }
    for seconds in [json!("five"), json!(5.5), json!([]), json!(true), json!(-1), json!("")] {
        let response =
            send(&CoreStub::default(), post("/v1/videos", &json!({"prompt": "p", "seconds": seconds}))).await;
        assert_eq!(response.error(), (400, Some("seconds".to_owned()), "invalid_field".to_owned()), "{seconds}");
    }
}

#[tokio::test]
async fn field_refused_by_the_core_is_named_in_the_spelling_of_the_client() {
    let core = CoreStub::default();
    core.fail_every_call("INVALID_FIELD", tonic::Code::InvalidArgument, Some("duration_seconds"));
    let response = send(&core, post("/v1/videos", &json!({"prompt": "p"}))).await;
    assert_eq!(response.error(), (400, Some("seconds".to_owned()), "invalid_field".to_owned()));
}

#[tokio::test]
async fn every_state_maps_to_one_of_four_statuses() {
    for (state, status) in [
        (State::Queued, "queued"),
        (State::Submitting, "in_progress"),
        (State::Rendering, "in_progress"),
        (State::Storing, "in_progress"),
        (State::Succeeded, "completed"),
        (State::Failed, "failed"),
        (State::Cancelled, "failed"),
    ] {
        let core = CoreStub::default();
        core.set_snapshots(vec![video_in_state(1, 40, state)]);
        let video = send(&core, get("/v1/videos/video_1")).await.json();
        assert_eq!((&video["status"], &video["progress"]), (&json!(status), &json!(40)));
        assert_eq!(video["error"].is_object(), status == "failed", "{video}");
    }
}

#[tokio::test]
async fn succeeded_video_has_its_link_and_no_poll_delay() {
    let response = send(&CoreStub::default(), get("/v1/videos/video_1")).await;
    assert_eq!((response.status.as_u16(), response.json()), (200, completed()));
    assert_eq!(response.header("openai-poll-after-ms"), None);
}

#[tokio::test]
async fn unknown_id_returns_404() {
    for id in ["none", "..%2Fmodels", "%20", "a%00b"] {
        let response = send(&CoreStub::default(), get(&format!("/v1/videos/{id}"))).await;
        assert_eq!(response.error(), (404, None, "video_not_found".to_owned()), "{id}");
    }
}

#[tokio::test]
async fn list_has_first_id_last_id_and_has_more() {
    let core = CoreStub::default();
    let other = pb::Video { id: "video_0".to_owned(), ..video_in_state(1, 0, State::Queued) };
    core.set_snapshots(vec![succeeded(), other]);
    let response = send(&core, get("/v1/videos?limit=2&order=asc&after=video_7&x=y")).await;
    let data = [completed(), document(&json!({"id": "video_0"}))];
    let page = json!({
        "object": "list", "data": data, "first_id": "video_1", "last_id": "video_0", "has_more": true,
    });
    assert_eq!((response.status.as_u16(), response.json()), (200, page));
    let expected = pb::ListVideosRequest {
        page_size: Some(2),
        page_token: "video_7".to_owned(),
        order: pb::VideoOrder::OldestFirst.into(),
        ..pb::ListVideosRequest::default()
    };
    assert_eq!(core.list_videos_request(), expected);
}

#[tokio::test]
async fn status_of_a_list_selects_the_states_that_have_it() {
    let core = CoreStub::default();
    for (status, states) in [
        ("queued", [State::Queued].as_slice()),
        ("in_progress", &[State::Submitting, State::Rendering, State::Storing]),
        ("completed", &[State::Succeeded]),
        ("failed", &[State::Failed, State::Cancelled]),
        ("cancelled", &[State::Cancelled]),
    ] {
        assert_eq!(send(&core, get(&format!("/v1/videos?status={status}&model=org%2Fm"))).await.status, 200);
        let request = core.list_videos_request();
        assert_eq!((request.states().collect::<Vec<_>>(), request.model.as_str()), (states.to_vec(), "org/m"));
    }
    let response = send(&core, get("/v1/videos?status=done")).await;
    assert_eq!(response.error(), (400, Some("status".to_owned()), "invalid_field".to_owned()));
    let message = "status \\\"done\\\": expected `queued`, `in_progress`, `completed`, `failed` or `cancelled`";
    assert!(response.text().contains(message), "{}", response.text());
}

#[tokio::test]
async fn invalid_list_parameter_is_named() {
    for (query, param) in [
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        ("limit=-1", "limit"),
        ("order=up", "order"),
        ("status=", "status"),
    ] {
        let response = send(&CoreStub::default(), get(&format!("/v1/videos?{query}"))).await;
        assert_eq!(response.error(), (400, Some(param.to_owned()), "invalid_field".to_owned()), "{query}");
    }
}

#[tokio::test]
async fn cancel_delete_and_remix_have_the_responses_of_openai() {
    let core = CoreStub::default();
    let response = send(&core, bodiless(Method::POST, "/v1/videos/video_1/cancel")).await;
    let error = json!({"code": "cancelled", "message": "cancelled by the client"});
    assert_eq!(response.json(), document(&json!({"status": "failed", "progress": 40, "error": error})));
    let response = send(&core, bodiless(Method::DELETE, "/v1/videos/video_1")).await;
    assert_eq!(response.json(), json!({"id": "video_1", "object": "video.deleted", "deleted": true}));
    let response = send(&core, post("/v1/videos/video_1/remix", &json!({"prompt": "a cat"}))).await;
    assert_eq!(response.json(), document(&json!({"remixed_from_video_id": "video_1"})));
    let expected = pb::RemixVideoRequest {
        id: "video_1".to_owned(),
        prompt: "a cat".to_owned(),
        ..pb::RemixVideoRequest::default()
    };
    assert_eq!(core.remix_video_request(), expected);
}

#[tokio::test]
async fn remix_passes_unknown_members_on_and_ignores_those_that_it_inherits() {
    let core = CoreStub::default();
    let body = json!({"prompt": "a cat", "guidance": 5.5, "seconds": 9, "duration": 8, "model": "m", "seed": null,
        "frame_images": 7, "input_references": [{}], "resolution": "720p", "aspect_ratio": "1:1", "generate_audio": true,
        "negative_prompt": "people", "callback_url": "https://a.test", "fit_policy": "strict"});
    assert_eq!(send(&core, post("/v1/videos/video_1/remix", &body)).await.status, 200);
    assert_eq!(core.remix_video_request().extra_json, r#"{"guidance":5.5}"#);
}

#[tokio::test]
async fn edit_and_extension_ignore_members_that_their_source_decides() {
    let core = CoreStub::default();
    let body = json!({"prompt": "rain", "video": {"id": "video_1"}, "model": "m", "user": "u", "guidance": 5.5, "size": "9x9",
        "seconds": 9, "seed": 1, "callback_url": "https://a.test"});
    let response = send(&core, post("/v1/videos/edits", &body)).await;
    assert_eq!(response.json(), document(&json!({})));
    let video = Some(pb::VideoSource { source: Some(pb::video_source::Source::Id("video_1".to_owned())) });
    let expected = pb::EditVideoRequest {
        model: "m".to_owned(),
        prompt: "rain".to_owned(),
        video: video.clone(),
        user: "u".to_owned(),
        callback_url: "https://a.test".to_owned(),
        extra_json: r#"{"guidance":5.5}"#.to_owned(),
        ..pb::EditVideoRequest::default()
    };
    assert_eq!(core.edit_video_request(), expected);

    let body = json!({"prompt": "on", "video": {"id": "video_1"}, "seconds": "8", "fit_policy": "strict"});
    assert_eq!(send(&core, post("/v1/videos/extensions", &body)).await.status, 200);
    let expected = pb::ExtendVideoRequest {
        prompt: "on".to_owned(),
        video,
        duration_seconds: Some(8),
        fit_policy: pb::FitPolicy::Strict.into(),
        ..pb::ExtendVideoRequest::default()
    };
    assert_eq!(core.extend_video_request(), expected);
    let missing = send(&core, post("/v1/videos/edits", &json!({"prompt": "rain", "video": 7}))).await;
    assert_eq!(missing.error(), (400, Some("video".to_owned()), "invalid_field".to_owned()));
}

#[tokio::test]
async fn form_has_the_source_as_an_id_in_brackets_or_as_a_file() {
    let core = CoreStub::default();
    let part = |head: &str, value: &str| format!("--b\r\nContent-Disposition: form-data; {head}\r\n\r\n{value}\r\n");
    let prompt = part(r#"name="prompt""#, "rain");
    for (video, expected) in [
        (part(r#"name="video[id]""#, "video_1"), pb::video_source::Source::Id("video_1".to_owned())),
        (
            part(r#"name="video"; filename="v.mp4""#, "mp4"),
            pb::video_source::Source::File(pb::MediaInput {
                source: Some(pb::media_input::Source::Data(bytes::Bytes::from_static(b"mp4"))),
            }),
        ),
    ] {
        let request = http::Request::post("/v1/videos/edits").header("content-type", "multipart/form-data; boundary=b");
        let request = request.body(axum::body::Body::from(format!("{prompt}{video}--b--\r\n"))).unwrap();
        assert_eq!(send(&core, request).await.status, 200);
        let received = core.edit_video_request();
        assert_eq!((received.prompt.as_str(), received.video.unwrap().source), ("rain", Some(expected)));
    }
}

#[tokio::test]
async fn owner_filters_lists_and_is_a_member_if_the_core_returns_it() {
    let core = CoreStub::default();
    core.set_snapshots(vec![pb::Video { owner: Some("team-a".to_owned()), ..succeeded() }]);
    let listed = send(&core, get("/v1/videos?owner=team-a")).await.json();
    assert_eq!(core.list_videos_request().owner.as_deref(), Some("team-a"));
    assert_eq!(listed["data"][0]["owner"], "team-a");
    assert_eq!(send(&core, get("/v1/videos/video_1")).await.json()["owner"], "team-a");
    send(&core, get("/v1/videos?owner=")).await;
    assert_eq!(core.list_videos_request().owner.as_deref(), Some(""));
}

#[tokio::test]
async fn cost_is_a_decimal_text_and_absent_until_it_is_known() {
    let core = CoreStub::default();
    let priced = pb::Video {
        estimated_cost_micros: Some(400_000),
        price_version: "a1b2c3".to_owned(),
        ..video_in_state(1, 0, State::Queued)
    };
    core.set_snapshots(vec![priced.clone()]);
    let running = send(&core, get("/v1/videos/video_1")).await.json();
    assert_eq!((&running["estimated_cost"], &running["price_version"]), (&json!("0.40"), &json!("a1b2c3")));
    assert!(running.get("cost").is_none());
    core.set_snapshots(vec![pb::Video { cost_micros: Some(0), ..priced }]);
    assert_eq!(send(&core, get("/v1/videos")).await.json()["data"][0]["cost"], "0.00");
    let unpriced = send(&CoreStub::default(), get("/v1/videos/video_1")).await.json();
    assert!(["cost", "estimated_cost", "price_version"].iter().all(|name| unpriced.get(name).is_none()), "{unpriced}");
}

#[tokio::test]
async fn content_has_a_file_name_and_supports_ranges() {
    let core = CoreStub::default();
    let response = send(&core, get("/v1/videos/video_1/content")).await;
    assert_eq!((response.status.as_u16(), response.text()), (200, "0123456789"));
    assert_eq!(response.header("content-type"), Some("video/mp4"));
    assert_eq!(response.header("content-disposition"), Some("inline; filename=\"video_1.mp4\""));
    assert_eq!(response.header("cache-control"), Some("private, no-cache"));
    let mut part = get("/v1/videos/video_1/content?variant=video");
    part.headers_mut().insert("range", "bytes=-3".parse().unwrap());
    let response = send(&core, part).await;
    assert_eq!((response.status.as_u16(), response.text()), (206, "789"));
    let mut head = bodiless(Method::HEAD, "/v1/videos/video_1/content");
    head.headers_mut().insert("range", "bytes=-3".parse().unwrap());
    let response = send(&core, head).await;
    assert_eq!((response.status.as_u16(), response.text(), response.header("content-length")), (200, "", Some("10")));
}

#[tokio::test]
async fn content_of_a_running_video_returns_400() {
    for method in [Method::GET, Method::HEAD] {
        let core = CoreStub::default();
        core.set_snapshots(vec![video_in_state(2, 40, State::Rendering)]);
        let mut request = bodiless(method.clone(), "/v1/videos/video_1/content");
        request.headers_mut().insert("range", "bytes=0-1".parse().unwrap());
        let response = send(&core, request).await;
        assert_eq!(response.status, 400);
        // A response to HEAD has no body.
        if method == Method::GET {
            assert_eq!(response.error(), (400, None, "video_not_ready".to_owned()));
        }
    }
}

/// Returns a stub whose video is queued, half rendered and succeeded in turn, with the revisions 1, 2 and 9.
fn core_with_progress() -> CoreStub {
    let core = CoreStub::default();
    core.set_snapshots(vec![video_in_state(1, 0, State::Queued), video_in_state(2, 50, State::Rendering), succeeded()]);
    core
}

/// Returns id and data of each event.
fn events(text: &str) -> Vec<(u64, Value)> {
    let read = |event: &str| {
        let (id, data) = event.strip_prefix("id: ").unwrap().split_once("\ndata: ").unwrap();
        (id.parse().unwrap(), serde_json::from_str(data).unwrap())
    };
    text.trim_end().split("\n\n").map(read).collect()
}

#[tokio::test]
async fn events_are_snapshots_up_to_the_final_one() {
    let response = send(&core_with_progress(), get("/v1/videos/video_1/events")).await;
    assert_eq!(response.header("content-type"), Some("text/event-stream"));
    let half = document(&json!({"status": "in_progress", "progress": 50}));
    assert_eq!(events(response.text()), [(1, document(&json!({}))), (2, half), (9, completed())]);
}

#[tokio::test]
async fn reconnecting_client_does_not_receive_its_last_event_again() {
    let reconnect = |last_seen: &str| {
        let mut request = get("/v1/videos/video_1/events");
        request.headers_mut().insert("last-event-id", last_seen.parse().unwrap());
        request
    };
    let response = send(&core_with_progress(), reconnect("1")).await;
    assert_eq!(events(response.text()).into_iter().map(|(id, _)| id).collect::<Vec<_>>(), [2, 9]);
    let core = CoreStub::default();
    core.set_snapshots(vec![succeeded()]);
    let response = send(&core, reconnect("9")).await;
    assert_eq!((response.status.as_u16(), response.text()), (204, ""));
}

#[tokio::test]
async fn events_of_an_unknown_video_return_404() {
    let core = CoreStub::default();
    core.fail_every_call("VIDEO_NOT_FOUND", tonic::Code::NotFound, None);
    let response = send(&core, get("/v1/videos/none/events")).await;
    assert_eq!(response.error(), (404, None, "video_not_found".to_owned()));
}
