//! The video provider `seedance`, models of ByteDance's Volcengine Ark: requests to the upstream, its responses over REST and
//! gRPC. The mark is the job's id, sent as `safety_identifier` unless the request names a `user`. By it, the task of a submission
//! whose response was lost is found again.

use std::time::Duration;

use core_service::config::{Settings, VideoServiceType};
use reqwest::Method;
use serde_json::{Value, json};
use triptych_proto::v1 as pb;

use super::{
    common_scenarios::{CommonScenarios, disable_circuit_breaker},
    create,
    provider_case::{
        Call::{Cancel, Create, File, Poll},
        Exchange, MP4, ProviderCase, Scenario, request_line,
    },
    provider_faults::assert_foreign_link_gets_no_key,
    wait_until_final, wait_until_rendering,
};
use crate::{
    fake_upstream::{Latch, Reply},
    test_server::{TestServer, with_local_and_remote_core_and_settings},
};

const TASKS: &str = "/api/v3/contents/generations/tasks";
/// The search for a lost submission.
const SEARCH: &str = "/api/v3/contents/generations/tasks?page_num=1&page_size=100";
const PROVIDER: ProviderCase = ProviderCase {
    provider: "seedance",
    model: "doubao-seedance-1-5-pro-251215",
    key: "ark-video-secret",
    tasks: TASKS,
    file: |id| format!("/tos/{id}.mp4?X-Tos-Expires=86400&X-Tos-Signature=a%2Fb"),
    route: |_, _| None,
    needs_frame: false,
};

const CREATED: Exchange = (Create, "created.json");
const SUCCEEDED: Exchange = (Poll, "succeeded.json");
const NOT_FOUND: Exchange = (Poll, "task.404.json");
const DEAD_LINK: Exchange = (File, "denied-link.403.xml");

const COMMON: CommonScenarios = CommonScenarios {
    created: CREATED,
    finished: &[SUCCEEDED],
    rate_limit: "rate.429.json",
    failure: "internal.500.json",
    not_found: [NOT_FOUND; 3],
    dead_link: DEAD_LINK,
    cleanup: Some((Cancel, "deleted.json")),
};

const TABLE: [Scenario; 21] = [
    (&[CREATED, (Poll, "queued.json"), (Poll, "running.json"), SUCCEEDED, (File, MP4)], Ok(())),
    (&[CREATED, (Poll, "unknown-state.json"), SUCCEEDED, (File, MP4)], Ok(())),
    (&[CREATED, (Poll, "succeeded-without-video.json")], Err("upstream_unreadable")),
    (&[CREATED, (Poll, "failed-output.json")], Err("content_policy_violation")),
    (&[CREATED, (Poll, "failed-audio.json")], Err("content_policy_violation")),
    (&[CREATED, (Poll, "failed-internal.json")], Err("upstream_unavailable")),
    (&[CREATED, (Poll, "failed-without-error.json")], Err("upstream_unavailable")),
    (&[CREATED, (Poll, "failed-constraint.json")], Err("upstream_refused")),
    (&[CREATED, (Poll, "expired.json")], Err("upstream_timeout")),
    (&[CREATED, (Poll, "cancelled.json")], Err("upstream_cancelled")),
    (&[(Create, "prompt.400.json")], Err("content_policy_violation")),
    (&[(Create, "person.400.json")], Err("content_policy_violation")),
    (&[(Create, "error-in-success.json")], Err("content_policy_violation")),
    (&[(Create, "resolution.400.json")], Err("upstream_refused")),
    (&[(Create, "model.404.json")], Err("upstream_refused")),
    (&[(Create, "invalid-key.401.json")], Err("provider_credentials")),
    (&[(Create, "overdue.403.json")], Err("provider_credentials")),
    (&[(Create, "service-overdue.403.json")], Err("provider_credentials")),
    // The quota or the spending limit of the account: a retry cannot help.
    (&[(Create, "quota.429.json")], Err("provider_credentials")),
    (&[(Create, "limit.429.json")], Err("provider_credentials")),
    (&[CREATED, (Poll, "prompt.400.json")], Err("content_policy_violation")),
];

pub(super) fn configure(settings: &mut Settings, _: &mut rest_gateway::Settings) {
    settings.video.service_type = VideoServiceType::Seedance;
    disable_circuit_breaker(settings);
    let mut base = settings.chat.base_url.clone().unwrap();
    base.set_path("/api/v3");
    settings.video.seedance.base_url = Some(base);
    settings.video.seedance.api_key = Some(PROVIDER.key.into());
    settings.video.seedance.poll_interval = Duration::from_millis(100);
}

async fn with_local_and_remote_core(test: impl AsyncFn(&TestServer)) {
    with_local_and_remote_core_and_settings(configure, test).await;
}

#[tokio::test]
async fn every_response_gives_the_same_outcome_over_rest_and_grpc() {
    with_local_and_remote_core(async |server| {
        for (exchanges, expected) in COMMON.with(&TABLE) {
            for request in PROVIDER.assert_outcome(server, exchanges, expected).await {
                let is_link = request.path.starts_with("/tos/");
                let key = (!is_link).then_some("bearer ark-video-secret");
                assert_eq!(request.header("authorization"), key, "{}", request.head);
            }
        }
    })
    .await;
}

#[test]
fn every_fixture_is_tested() {
    // The fixtures of the tests below that are in no table.
    PROVIDER.fixtures().assert_all_used(&COMMON.with(&TABLE), &["running.409.json", "internal.500.json"]);
}

/// Enqueues the responses of a render that succeeds.
pub(super) fn enqueue_success(server: &TestServer, id: &str) {
    for (call, fixture) in [CREATED, SUCCEEDED, (File, MP4)] {
        PROVIDER.enqueue(server, id, call, fixture);
    }
}

/// Creates a video that succeeds, and returns the body of the submission.
pub(super) async fn submitted(server: &TestServer, body: &Value) -> Value {
    enqueue_success(server, "task-1");
    let id = create(server, body).await;
    assert_eq!(wait_until_final(server, &id).await["status"], "completed");
    let submission = server.upstream.received().await;
    assert_eq!(submission.header("content-type"), Some("application/json"));
    server.upstream.skip_requests(2).await;
    submission.json()
}

#[tokio::test]
async fn request_has_the_nearest_output_and_no_flags_of_the_prompt() {
    // Ark reads flags such as `--dur 12` in a prompt as parameters, which would override those of the request.
    with_local_and_remote_core(async |server| {
        let body = json!({"model": PROVIDER.model, "prompt": "a boat --rs 1080p --dur 12 at dusk", "size": "854x480",
            "seconds": 1, "seed": 7, "user": "u-1", "camera_fixed": true});
        let expected = json!({"model": PROVIDER.model, "content": [{"type": "text", "text": "a boat at dusk"}],
            "resolution": "480p", "ratio": "16:9", "duration": 4, "seed": 7, "watermark": false,
            "safety_identifier": "u-1", "camera_fixed": true});
        assert_eq!(submitted(server, &body).await, expected);
    })
    .await;
}

#[tokio::test]
async fn reference_is_the_first_frame_and_chooses_the_ratio() {
    with_local_and_remote_core(async |server| {
        let mut picture = std::io::Cursor::new(Vec::new());
        image::RgbImage::new(320, 180).write_to(&mut picture, image::ImageFormat::Png).unwrap();
        let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, picture.get_ref());
        let body = json!({"prompt": "a boat", "size": "1080x1920", "seconds": 5, "input_reference": encoded});
        let submission = submitted(server, &body).await;
        let url = format!("data:image/png;base64,{encoded}");
        let frame = json!({"type": "image_url", "image_url": {"url": url}, "role": "first_frame"});
        assert_eq!(submission["content"][1], frame);
        assert_eq!((&submission["ratio"], &submission["resolution"]), (&json!("adaptive"), &json!("1080p")));
        assert_eq!((&submission["model"], &submission["duration"]), (&json!(PROVIDER.model), &json!(5)));
    })
    .await;
}

/// Creates a video. Its submission gets this reply, at whose end the connection is lost. The search for the submission then finds
/// one task: `task(id of the job)`.
async fn create_and_lose_response(server: &TestServer, reply: Reply, task: impl Fn(&str) -> Value) -> Value {
    let latch = Latch::new();
    server.upstream.enqueue_at(TASKS, reply.wait_for(&latch).abort());
    let id = create(server, &PROVIDER.body()).await;
    server.upstream.enqueue_at(SEARCH, Reply::new(200, &json!({"total": 1, "items": [task(&id)]}).to_string()));
    latch.open();
    let video = wait_until_final(server, &id).await;
    let submission = server.upstream.received().await;
    assert_eq!(request_line(&submission), format!("post {TASKS}"));
    assert_eq!(submission.json()["safety_identifier"], id);
    assert_eq!(request_line(&server.upstream.received().await), format!("get {SEARCH}"));
    video
}

#[tokio::test]
async fn job_continues_with_the_task_of_a_submission_whose_response_was_lost() {
    with_local_and_remote_core(async |server| {
        for (call, fixture) in [SUCCEEDED, (File, MP4)] {
            PROVIDER.enqueue(server, "task-1", call, fixture);
        }
        let task = |mark: &str| json!({"id": "task-1", "status": "running", "safety_identifier": mark});
        let video = create_and_lose_response(server, Reply::new(200, "{\"id\":"), task).await;
        assert_eq!(video["status"], "completed", "{video}");
        for path in [format!("{TASKS}/task-1"), (PROVIDER.file)("task-1")] {
            assert_eq!(request_line(&server.upstream.received().await), format!("get {path}"));
        }
        server.upstream.assert_no_request().await;
    })
    .await;
}

#[tokio::test]
async fn outcome_of_a_failed_submission_without_a_mark_is_unknown() {
    with_local_and_remote_core(async |server| {
        PROVIDER.enqueue(server, "task-1", Create, "internal.500.json");
        // With the identifier of an end user, there is no mark to search for.
        let mut body = PROVIDER.body();
        body["user"] = json!("u-1");
        let id = create(server, &body).await;
        assert_eq!(wait_until_final(server, &id).await["error"]["code"], "outcome_unknown");
        server.upstream.received().await;
        server.upstream.assert_no_request().await;
    })
    .await;
}

#[tokio::test]
async fn link_to_another_origin_gets_no_key() {
    let adjust = |settings: &mut Settings, gateway: &mut rest_gateway::Settings| {
        configure(settings, gateway);
        // The server of the link has a loopback address.
        settings.media.fetch_private_addresses = true;
    };
    with_local_and_remote_core_and_settings(adjust, async |server| {
        let finished = |link: &str| json!({"id": "task-1", "status": "succeeded", "content": {"video_url": link}});
        assert_foreign_link_gets_no_key(&PROVIDER, server, "created.json", finished).await;
    })
    .await;
}

#[tokio::test]
async fn cancelled_job_is_final_although_a_running_task_cannot_be_cancelled() {
    let adjust = |settings: &mut Settings, gateway: &mut rest_gateway::Settings| {
        configure(settings, gateway);
        // The second poll is far away.
        settings.video.seedance.poll_interval = Duration::from_mins(1);
    };
    with_local_and_remote_core_and_settings(adjust, async |server| {
        let mut client = server.video_client().await;
        for (state, reply) in [("queued.json", "deleted.json"), ("running.json", "running.409.json")] {
            PROVIDER.enqueue(server, "task-1", Create, "created.json");
            PROVIDER.enqueue(server, "task-1", Poll, state);
            let id = create(server, &PROVIDER.body()).await;
            wait_until_rendering(server, &id).await;
            server.upstream.skip_requests(2).await;
            PROVIDER.enqueue(server, "task-1", Cancel, reply);
            let cancelled = server.request(Method::POST, &format!("/v1/videos/{id}/cancel")).send().await.unwrap();
            assert_eq!(cancelled.status(), 200);
            assert_eq!(request_line(&server.upstream.received().await), format!("delete {TASKS}/task-1"));
            let request = pb::GetVideoRequest { id };
            let video = client.get_video(request).await.unwrap().into_inner().video.unwrap();
            assert_eq!(video.state(), pb::video::State::Cancelled);
        }
    })
    .await;
}
