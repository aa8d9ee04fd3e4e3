//! The video provider `openai`, OpenAI's videos API and the servers that copy it: requests to the upstream, its responses over
//! REST and gRPC.

use core_service::config::{Settings, VideoServiceType};
use reqwest::Method;
use serde_json::json;
use triptych_proto::v1 as pb;

use super::{
    common_scenarios::{CommonScenarios, disable_circuit_breaker},
    create,
    provider_case::{
        CLIP,
        Call::{Cancel, Create, File, Poll},
        Exchange, MP4, ProviderCase, Scenario, request_line,
    },
    wait_until_final, wait_until_rendering,
};
use crate::{
    fake_upstream::{FakeUpstream, ReceivedRequest, Reply},
    test_server::{TestServer, with_local_and_remote_core_and_settings},
};

const PROVIDER: ProviderCase = ProviderCase {
    provider: "openai",
    model: "sora-2",
    key: "sk-video-secret",
    tasks: "/v1/videos",
    file: |id| format!("/v1/videos/{id}/content"),
    route: |_, _| None,
    needs_frame: false,
};

const QUEUED: Exchange = (Create, "queued.json");
const COMPLETED: Exchange = (Poll, "completed.json");
const DEAD_FILE: Exchange = (File, "not-found.404.json");
const NOT_FOUND: Exchange = (Poll, "not-found.404.json");
const NOT_FOUND_IN_DETAIL: Exchange = (Poll, "not-found-detail.404.json");

const COMMON: CommonScenarios = CommonScenarios {
    created: QUEUED,
    finished: &[COMPLETED],
    rate_limit: "rate.429.json",
    failure: "html-page.502.html",
    not_found: [NOT_FOUND, NOT_FOUND_IN_DETAIL, NOT_FOUND],
    dead_link: DEAD_FILE,
    cleanup: Some((Cancel, "deletion.json")),
};

const TABLE: [Scenario; 21] = [
    (&[QUEUED, (Poll, "in-progress.json"), COMPLETED, (File, MP4)], Ok(())),
    (&[QUEUED, (Poll, "processing.json"), (Poll, "unknown-state.json"), COMPLETED, (File, MP4)], Ok(())),
    (&[(Create, "overloaded.503.json"), QUEUED, COMPLETED, (File, MP4)], Ok(())),
    (&[(Create, "blocked.400.json")], Err("content_policy_violation")),
    (&[QUEUED, (Poll, "failed-moderation.json")], Err("content_policy_violation")),
    (&[QUEUED, (Poll, "blocked.400.json")], Err("content_policy_violation")),
    (&[QUEUED, (Poll, "failed-without-code.json")], Err("upstream_unavailable")),
    (&[QUEUED, (Poll, "failed-without-error.json")], Err("upstream_unavailable")),
    (&[QUEUED, (Poll, "failed.500.json")], Err("upstream_unavailable")),
    (&[QUEUED, (Poll, "failed-invalid.400.json")], Err("upstream_refused")),
    (&[(Create, "failed.500.json")], Err("upstream_refused")),
    (&[QUEUED, (Poll, "expired.json")], Err("upstream_timeout")),
    (&[QUEUED, (Poll, "cancelled.json")], Err("upstream_cancelled")),
    (&[QUEUED, (Poll, "deleted.json")], Err("upstream_cancelled")),
    (&[(Create, "size.400.json")], Err("upstream_refused")),
    (&[(Create, "flat.400.json")], Err("upstream_refused")),
    (&[(Create, "detail.422.json")], Err("upstream_refused")),
    (&[(Create, "error-in-success.json")], Err("upstream_refused")),
    (&[(Create, "model.404.json")], Err("upstream_refused")),
    (&[(Create, "invalid-key.401.json")], Err("provider_credentials")),
    (&[(Create, "quota.429.json")], Err("provider_credentials")),
];

fn configure(settings: &mut Settings, _: &mut rest_gateway::Settings) {
    settings.video.service_type = VideoServiceType::Openai;
    disable_circuit_breaker(settings);
    settings.video.openai.base_url = settings.chat.base_url.clone();
    settings.video.openai.api_key = Some(PROVIDER.key.into());
    settings.video.openai.poll_interval = std::time::Duration::from_millis(100);
}

async fn with_local_and_remote_core(test: impl AsyncFn(&TestServer)) {
    with_local_and_remote_core_and_settings(configure, test).await;
}

#[tokio::test]
async fn every_response_gives_the_same_outcome_over_rest_and_grpc() {
    with_local_and_remote_core(async |server| {
        for (exchanges, expected) in COMMON.with(&TABLE) {
            for request in PROVIDER.assert_outcome(server, exchanges, expected).await {
                assert_eq!(request.header("authorization"), Some("bearer sk-video-secret"), "{}", request.head);
            }
        }
    })
    .await;
}

#[test]
fn every_fixture_is_tested() {
    // The fixtures of the tests below that are in no table.
    let others = ["completed-with-url.json", "completed-with-urls.json", "conflict.409.json", "html-page.502.html"];
    PROVIDER.fixtures().assert_all_used(&COMMON.with(&TABLE), &others);
}

/// Enqueues the responses of a render that succeeds.
fn enqueue_success(server: &TestServer) {
    for (call, fixture) in [QUEUED, COMPLETED, (File, MP4)] {
        PROVIDER.enqueue(server, "task-1", call, fixture);
    }
}

/// Takes the next requests of the upstream.
async fn received(server: &TestServer, count: usize) -> Vec<ReceivedRequest> {
    let mut requests = Vec::new();
    for _ in 0..count {
        requests.push(server.upstream.received().await);
    }
    requests
}

/// Returns the text of a part of a multipart form.
fn part<'a>(form: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = form.split_once(&format!("form-data; name=\"{name}\"\r\n\r\n"))?;
    Some(rest.split_once("\r\n--")?.0)
}

#[tokio::test]
async fn request_is_a_form_with_text_parts_and_the_reference_as_a_file() {
    let adjust = |settings: &mut Settings, gateway: &mut rest_gateway::Settings| {
        configure(settings, gateway);
        // Triptych knows nothing about this model, so it leaves no parameter out.
        settings.video.openai.models = vec!["my-video-model".to_owned()];
    };
    with_local_and_remote_core_and_settings(adjust, async |server| {
        enqueue_success(server);
        let mut picture = std::io::Cursor::new(Vec::new());
        image::RgbImage::new(64, 36).write_to(&mut picture, image::ImageFormat::Png).unwrap();
        let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, picture.get_ref());
        let body = json!({"model": "my-video-model", "prompt": "a \"boat\"\r\nat dusk", "size": "1280x720", "seconds": 8, "seed": 7,
            "user": "u-1", "input_reference": encoded, "negative_prompt": "rain", "fps": 24, "extra_params": {"a": [1]}});
        let id = create(server, &body).await;
        assert_eq!(wait_until_final(server, &id).await["status"], "completed");
        let requests = received(server, 3).await;
        let lines: Vec<_> = requests.iter().map(request_line).collect();
        assert_eq!(lines, ["post /v1/videos", "get /v1/videos/task-1", "get /v1/videos/task-1/content"]);
        let head = &requests[0];
        assert!(head.header("content-type").unwrap().starts_with("multipart/form-data; boundary="), "{}", head.head);
        assert_eq!(head.header("idempotency-key"), Some(id.as_str()));
        // All have the id of the call that created the job, also the download from the upstream's own origin.
        let request_ids: Vec<_> = requests.iter().map(|request| request.header("x-request-id").unwrap()).collect();
        assert!(request_ids.iter().all(|request_id| *request_id == request_ids[0]), "{request_ids:?}");
        let form = String::from_utf8_lossy(&head.body);
        for (name, value) in [
            ("model", "my-video-model"),
            ("prompt", "a \"boat\"\r\nat dusk"),
            ("size", "1280x720"),
            ("seconds", "8"),
            ("seed", "7"),
            ("negative_prompt", "rain"),
            ("fps", "24"),
            ("extra_params", "{\"a\":[1]}"),
        ] {
            assert_eq!(part(&form, name), Some(value), "{name} in {form}");
        }
        assert_eq!(part(&form, "user"), None);
        let file = "name=\"input_reference\"; filename=\"reference.png\"\r\ncontent-type: image/png\r\n\r\n";
        let start = form.find(file).unwrap_or_else(|| panic!("no file in {form}"));
        let bytes = &head.body[start + file.len()..];
        // The lossy text has the same length as the bytes up to the first invalid one, and the file is the last part.
        assert!(bytes.starts_with(picture.get_ref()), "not the picture");
    })
    .await;
}

#[tokio::test]
async fn empty_values_in_extra_json_do_not_repeat_parts() {
    with_local_and_remote_core_and_settings(configure, async |server| {
        enqueue_success(server);
        // Valid: no field can represent these values.
        let extra_json = r#"{"model":[],"prompt":{},"seconds":[],"size":{},"input_reference":{},"user":{},"fps":24}"#;
        let request = pb::CreateVideoRequest {
            model: PROVIDER.model.to_owned(),
            prompt: "a boat".to_owned(),
            extra_json: extra_json.to_owned(),
            ..pb::CreateVideoRequest::default()
        };
        server.video_client().await.create_video(request).await.unwrap();
        let requests = received(server, 3).await;
        let form = String::from_utf8_lossy(&requests[0].body);
        let names: Vec<_> =
            form.split("form-data; name=\"").skip(1).filter_map(|part| part.split('"').next()).collect();
        assert_eq!(names, ["model", "prompt", "seconds", "size", "fps"]);
    })
    .await;
}

/// The search for a lost submission.
const SEARCH: &str = "/v1/videos?order=desc&limit=100";

#[tokio::test]
async fn job_continues_with_the_only_new_video_of_its_prompt_after_a_lost_response() {
    with_local_and_remote_core(async |server| {
        server.upstream.enqueue_at(PROVIDER.tasks, Reply::new(200, "{\"id\":").abort());
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let video =
            json!({"id": "task-1", "object": "video", "model": PROVIDER.model, "prompt": "a boat", "created_at": now});
        server.upstream.enqueue_at(SEARCH, Reply::new(200, &json!({"object": "list", "data": [video]}).to_string()));
        for (call, fixture) in [COMPLETED, (File, MP4)] {
            PROVIDER.enqueue(server, "task-1", call, fixture);
        }
        let id = create(server, &PROVIDER.body()).await;
        let video = wait_until_final(server, &id).await;
        assert_eq!(video["status"], "completed", "{video}");
        let lines: Vec<_> = received(server, 4).await.iter().map(request_line).collect();
        let searched = format!("get {SEARCH}");
        assert_eq!(lines[..2], ["post /v1/videos", searched.as_str()]);
        server.upstream.assert_no_request().await;
    })
    .await;
}

#[tokio::test]
async fn submission_without_a_response_is_not_repeated_if_the_list_does_not_have_it() {
    with_local_and_remote_core(async |server| {
        let lost = || Reply::new(200, "").abort();
        let failed = || PROVIDER.fixtures().reply(server, "html-page.502.html", "");
        for (reply, list) in [(lost(), "{\"data\": []}"), (failed(), "{}")] {
            server.upstream.enqueue_at(PROVIDER.tasks, reply);
            server.upstream.enqueue_at(SEARCH, Reply::new(200, list));
            let id = create(server, &PROVIDER.body()).await;
            let video = wait_until_final(server, &id).await;
            assert_eq!(video["error"]["code"], "outcome_unknown", "{video}");
            let lines: Vec<_> = received(server, 2).await.iter().map(request_line).collect();
            assert_eq!(lines, ["post /v1/videos".to_owned(), format!("get {SEARCH}")]);
            server.upstream.assert_no_request().await;
        }
    })
    .await;
}

#[tokio::test]
async fn link_in_the_video_object_is_followed_without_content_and_without_the_key_elsewhere() {
    let adjust = |settings: &mut Settings, gateway: &mut rest_gateway::Settings| {
        configure(settings, gateway);
        // The server of the link has a loopback address.
        settings.media.fetch_private_addresses = true;
    };
    with_local_and_remote_core_and_settings(adjust, async |server| {
        let storage = FakeUpstream::start().await;
        for (fixture, is_elsewhere) in [("completed-with-url.json", true), ("completed-with-urls.json", false)] {
            PROVIDER.enqueue(server, "task-1", Create, "queued.json");
            let completed = json!({"id": "task-1", "status": "completed", "url": storage.url("/files/task-1.mp4")});
            if is_elsewhere {
                server.upstream.enqueue_at("/v1/videos/task-1", Reply::new(200, &completed.to_string()));
                storage.enqueue_at("/files/task-1.mp4", Reply::file("video/mp4", &CLIP));
            } else {
                PROVIDER.enqueue(server, "task-1", Poll, fixture);
                server.upstream.enqueue_at("/files/task-1.mp4", Reply::file("video/mp4", &CLIP));
            }
            PROVIDER.enqueue(server, "task-1", File, "not-found.404.json");
            let id = create(server, &PROVIDER.body()).await;
            assert_eq!(wait_until_final(server, &id).await["status"], "completed");
            let file = if is_elsewhere {
                received(server, 3).await;
                storage.received().await
            } else {
                received(server, 4).await.pop().unwrap()
            };
            assert_eq!(file.path, "/files/task-1.mp4");
            assert_eq!(file.header("authorization").is_none(), is_elsewhere);
        }
        for (call, fixture) in [QUEUED, (Poll, "completed-with-url.json"), (File, "not-found.404.json")] {
            PROVIDER.enqueue(server, "task-2", call, fixture);
        }
        server.upstream.enqueue_at("/files/task-2.mp4", Reply::file("video/mp4", &CLIP));
        let id = create(server, &PROVIDER.body()).await;
        assert_eq!(wait_until_final(server, &id).await["status"], "completed");
        received(server, 4).await;
    })
    .await;
}

#[tokio::test]
async fn cancelled_job_stops_the_render_also_if_the_upstream_is_stopping_it_already() {
    with_local_and_remote_core(async |server| {
        let mut client = server.video_client().await;
        for reply in ["deletion.json", "conflict.409.json", "not-found.404.json"] {
            PROVIDER.enqueue(server, "task-1", Create, "queued.json");
            // The next poll is far away.
            let working = PROVIDER.fixtures().reply(server, "in-progress.json", "task-1");
            server.upstream.enqueue_at("/v1/videos/task-1", working.header("openai-poll-after-ms", "60000"));
            let id = create(server, &PROVIDER.body()).await;
            wait_until_rendering(server, &id).await;
            let lines: Vec<_> = received(server, 2).await.iter().map(request_line).collect();
            assert_eq!(lines, ["post /v1/videos", "get /v1/videos/task-1"]);
            PROVIDER.enqueue(server, "task-1", Cancel, reply);
            client.cancel_video(pb::CancelVideoRequest { id: id.clone() }).await.unwrap();
            assert_eq!(request_line(&server.upstream.received().await), "delete /v1/videos/task-1");
            let polled = server.request(Method::GET, &format!("/v1/videos/{id}")).send().await.unwrap();
            let video: serde_json::Value = serde_json::from_str(&polled.text().await.unwrap()).unwrap();
            assert_eq!(video["error"]["code"], "cancelled");
        }
    })
    .await;
}
