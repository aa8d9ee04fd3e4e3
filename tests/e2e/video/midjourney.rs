//! The video provider `midjourney`, a proxy in front of Midjourney, which has no public API: requests to the upstream, its
//! responses over REST and gRPC. The mark is a text of the client in the request, by which a task is found again.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use core_service::config::{Settings, VideoServiceType};
use serde_json::{Value, json};

use super::{
    common_scenarios::{CommonScenarios, disable_circuit_breaker},
    create,
    provider_case::{
        Call::{self, Cancel, Create, File, Poll},
        Exchange, FRAME, MP4, ProviderCase, Scenario, request_line,
    },
    provider_faults::{assert_cancelled_job_is_final, assert_foreign_link_gets_no_key},
    wait_until_final,
};
use crate::{
    fake_upstream::{Latch, Reply},
    test_server::{TestServer, with_local_and_remote_core_and_settings},
};

const SUBMISSIONS: &str = "/mj/submit/video";
/// The search for a lost submission.
const SEARCH: &str = "/mj/task/list";
const PROVIDER: ProviderCase = ProviderCase {
    provider: "midjourney",
    model: "midjourney-video",
    key: "mj-video-secret",
    tasks: SUBMISSIONS,
    file: |id| format!("/cdn/{id}.mp4?ex=6743&hm=9f"),
    route: |call, id| match call {
        Poll => Some(("get", format!("/mj/task/{id}/fetch"))),
        Cancel => Some(("post", format!("/mj/task/{id}/cancel"))),
        Create | File | Call::Link => None,
    },
    needs_frame: true,
};

const ACCEPTED: Exchange = (Create, "accepted.json");
const SUCCESS: Exchange = (Poll, "success.json");
const DEAD_LINK: Exchange = (File, "denied-link.403.xml");

const COMMON: CommonScenarios = CommonScenarios {
    created: ACCEPTED,
    finished: &[SUCCESS],
    rate_limit: "saturated.429.json",
    failure: "internal.500.json",
    not_found: [(Poll, "empty.json"), (Poll, "unknown-task.204.json"), (Poll, "unknown-task.400.json")],
    dead_link: DEAD_LINK,
    cleanup: Some((Cancel, "cancellation.json")),
};

const TABLE: [Scenario; 20] = [
    (&[ACCEPTED, (Poll, "not-started.json"), (Poll, "in-progress.json"), SUCCESS, (File, MP4)], Ok(())),
    (&[(Create, "waiting.json"), (Poll, "unknown-state.json"), SUCCESS, (File, MP4)], Ok(())),
    (&[ACCEPTED, (Poll, "success-without-list.json"), (File, MP4)], Ok(())),
    (&[(Create, "queue-full.json"), ACCEPTED, SUCCESS, (File, MP4)], Ok(())),
    (&[ACCEPTED, (Poll, "secret.401.json"), SUCCESS, (File, MP4)], Ok(())),
    (&[ACCEPTED, (Poll, "success-without-link.json")], Err("upstream_unreadable")),
    (&[ACCEPTED, (Poll, "failure-moderation.json")], Err("content_policy_violation")),
    (&[ACCEPTED, (Poll, "failure-busy.json")], Err("rate_limit_exceeded")),
    (&[ACCEPTED, (Poll, "failure-timeout.json")], Err("upstream_timeout")),
    (&[ACCEPTED, (Poll, "failure-other.json")], Err("upstream_unavailable")),
    (&[ACCEPTED, (Poll, "failure-without-reason.json")], Err("upstream_unavailable")),
    (&[ACCEPTED, (Poll, "modal.json")], Err("upstream_unavailable")),
    (&[ACCEPTED, (Poll, "cancelled.json")], Err("upstream_cancelled")),
    (&[(Create, "banned.json")], Err("content_policy_violation")),
    (&[(Create, "invalid.json")], Err("upstream_refused")),
    (&[(Create, "relay.400.json")], Err("upstream_refused")),
    (&[(Create, "no-path.404.json")], Err("upstream_refused")),
    (&[(Create, "quota.400.json")], Err("provider_credentials")),
    (&[(Create, "secret.401.json")], Err("provider_credentials")),
    (&[(Create, "empty.json")], Err("upstream_unreadable")),
];

fn configure(settings: &mut Settings, _: &mut rest_gateway::Settings) {
    settings.video.service_type = VideoServiceType::Midjourney;
    disable_circuit_breaker(settings);
    let mut base = settings.chat.base_url.clone().unwrap();
    base.set_path("/mj");
    settings.video.midjourney.base_url = Some(base);
    settings.video.midjourney.api_secret = Some(PROVIDER.key.into());
    settings.video.midjourney.poll_interval = Duration::from_millis(100);
}

async fn with_local_and_remote_core(test: impl AsyncFn(&TestServer)) {
    with_local_and_remote_core_and_settings(configure, test).await;
}

#[tokio::test]
async fn every_response_gives_the_same_outcome_over_rest_and_grpc() {
    with_local_and_remote_core(async |server| {
        for (exchanges, expected) in COMMON.with(&TABLE) {
            for request in PROVIDER.assert_outcome(server, exchanges, expected).await {
                // Files of the proxy's own origin require the secret too.
                assert_eq!(request.header("mj-api-secret"), Some("mj-video-secret"), "{}", request.head);
                assert_eq!(request.header("authorization"), None, "{}", request.head);
            }
        }
    })
    .await;
}

#[test]
fn every_fixture_is_tested() {
    PROVIDER.fixtures().assert_all_used(&COMMON.with(&TABLE), &[]);
}

#[tokio::test]
async fn submission_has_the_frame_the_mark_and_one_line_of_prompt() {
    with_local_and_remote_core(async |server| {
        for (call, fixture) in [ACCEPTED, SUCCESS, (File, MP4)] {
            PROVIDER.enqueue(server, "task-1", call, fixture);
        }
        let mut body = PROVIDER.body();
        body["prompt"] = json!("a boat\nat dusk");
        body["motion"] = json!("high");
        // Not forwarded: the proxy would send requests to this address.
        body["notifyHook"] = json!("http://10.0.0.1/");
        let id = create(server, &body).await;
        assert_eq!(wait_until_final(server, &id).await["status"], "completed");
        let image = format!("data:image/png;base64,{}", STANDARD.encode(&*FRAME));
        let expected = json!({"prompt": "a boat at dusk", "image": image, "videoType": "vid_1.1_i2v_720",
            "batchSize": 1, "state": id, "motion": "high"});
        assert_eq!(server.upstream.received().await.json(), expected);
        server.upstream.skip_requests(2).await;
    })
    .await;
}

#[tokio::test]
async fn request_without_an_image_is_refused() {
    with_local_and_remote_core(async |server| {
        let response = server.post("/v1/videos", &json!({"model": PROVIDER.model, "prompt": "a boat"})).await;
        assert_eq!(response.status(), 400);
        server.upstream.assert_no_request().await;
    })
    .await;
}

/// Creates a video whose submission gets this reply, with a connection loss at its end. The list that the search for the lost
/// submission returns has the task that `task` makes from the job's id.
async fn create_and_lose_response(server: &TestServer, reply: Reply, task: impl Fn(&str) -> Value) -> Value {
    let latch = Latch::new();
    server.upstream.enqueue_at(SUBMISSIONS, reply.wait_for(&latch).abort());
    let id = create(server, &PROVIDER.body()).await;
    server.upstream.enqueue_at(SEARCH, Reply::new(200, &json!([task(&id)]).to_string()));
    latch.open();
    let video = wait_until_final(server, &id).await;
    assert_eq!(server.upstream.received().await.json()["state"], id);
    assert_eq!(request_line(&server.upstream.received().await), format!("get {SEARCH}"));
    video
}

#[tokio::test]
async fn job_continues_with_the_task_of_a_submission_whose_response_was_lost() {
    with_local_and_remote_core(async |server| {
        for (call, fixture) in [SUCCESS, (File, MP4)] {
            PROVIDER.enqueue(server, "task-1", call, fixture);
        }
        let task = |mark: &str| json!({"id": "task-1", "action": "VIDEO", "status": "SUBMITTED", "state": mark});
        let video = create_and_lose_response(server, Reply::new(200, "{\"code\":"), task).await;
        assert_eq!(video["status"], "completed", "{video}");
        server.upstream.skip_requests(2).await;
        server.upstream.assert_no_request().await;
    })
    .await;
}

#[tokio::test]
async fn outcome_is_unknown_if_the_list_has_no_task_with_the_mark() {
    with_local_and_remote_core(async |server| {
        let other = |_: &str| json!({"id": "task-2", "action": "VIDEO", "status": "SUBMITTED", "state": "video_0"});
        for reply in [Reply::new(200, ""), PROVIDER.fixtures().reply(server, "internal.500.json", "task-1")] {
            let video = create_and_lose_response(server, reply, other).await;
            assert_eq!(video["error"]["code"], "outcome_unknown", "{video}");
            server.upstream.assert_no_request().await;
        }
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
        let finished = |link: &str| json!({"id": "task-1", "status": "SUCCESS", "videoUrls": [link]});
        assert_foreign_link_gets_no_key(&PROVIDER, server, "accepted.json", finished).await;
    })
    .await;
}

#[tokio::test]
async fn cancelled_job_is_final_although_a_proxy_cannot_cancel() {
    let adjust = |settings: &mut Settings, gateway: &mut rest_gateway::Settings| {
        configure(settings, gateway);
        // The second poll is far away.
        settings.video.midjourney.poll_interval = Duration::from_mins(1);
    };
    with_local_and_remote_core_and_settings(adjust, async |server| {
        let replies = ["cancellation.json", "no-path.404.json"];
        assert_cancelled_job_is_final(&PROVIDER, server, "accepted.json", "in-progress.json", &replies).await;
    })
    .await;
}
