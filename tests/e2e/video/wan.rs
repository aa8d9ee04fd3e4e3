//! The video provider `wan`, Wan and the other video models of Alibaba Cloud's DashScope: requests to the upstream, its
//! responses over REST and gRPC.

use std::time::Duration;

use core_service::{
    config::{Price, Settings, VideoServiceType},
    usd::Usd,
};
use reqwest::Method;
use serde_json::{Value, json};
use triptych_proto::v1::{self as pb, video_frame::Position, video_reference::Kind};

use super::{
    common_scenarios::{CommonScenarios, disable_circuit_breaker},
    create,
    provider_case::{
        Call::{Cancel, Create, File, Link, Poll},
        Exchange, MP4, ProviderCase, Scenario,
    },
    provider_faults::{
        assert_cancelled_job_is_final, assert_foreign_link_gets_no_key, assert_lost_submission_is_not_repeated, frame,
        reference, submission_of,
    },
    wait_until_final,
};
use crate::test_server::{TestServer, with_local_and_remote_core_and_settings};

const PROVIDER: ProviderCase = ProviderCase {
    provider: "wan",
    model: "wan3.0-video",
    key: "sk-wan-secret",
    tasks: "/api/v1/services/aigc/video-generation/video-synthesis",
    file: |id| format!("/oss/{id}.mp4?Expires=1795436000&Signature=e%2Ff"),
    route: |call, id| match call {
        Poll => Some(("get", format!("/api/v1/tasks/{id}"))),
        Cancel => Some(("post", format!("/api/v1/tasks/{id}/cancel"))),
        Create | Link | File => None,
    },
    needs_frame: false,
};

const CREATED: Exchange = (Create, "created.json");
const SUCCEEDED: Exchange = (Poll, "succeeded.json");
const NOT_FOUND: Exchange = (Poll, "unknown.json");
const DEAD_LINK: Exchange = (File, "denied-link.403.xml");

const COMMON: CommonScenarios = CommonScenarios {
    created: CREATED,
    finished: &[SUCCEEDED],
    rate_limit: "rate.429.json",
    failure: "internal.500.json",
    not_found: [NOT_FOUND; 3],
    dead_link: DEAD_LINK,
    cleanup: Some((Cancel, "running.400.json")),
};

const TABLE: [Scenario; 20] = [
    (&[CREATED, (Poll, "pending.json"), (Poll, "running.json"), SUCCEEDED, (File, MP4)], Ok(())),
    (&[CREATED, (Poll, "new-state.json"), SUCCEEDED, (File, MP4)], Ok(())),
    (&[CREATED, (Poll, "succeeded-without-video.json")], Err("upstream_unreadable")),
    (&[CREATED, (Poll, "failed-inspection.json")], Err("content_policy_violation")),
    (&[CREATED, (Poll, "failed-infringement.json")], Err("content_policy_violation")),
    (&[CREATED, (Poll, "inspection-in-success.json")], Err("content_policy_violation")),
    (&[(Create, "inspection.400.json")], Err("content_policy_violation")),
    (&[(Create, "inspection-in-success.json")], Err("content_policy_violation")),
    (&[CREATED, (Poll, "failed-internal.json")], Err("upstream_unavailable")),
    (&[CREATED, (Poll, "failed-without-error.json")], Err("upstream_unavailable")),
    (&[CREATED, (Poll, "failed-timeout.json")], Err("upstream_timeout")),
    (&[CREATED, (Poll, "failed-parameter.json")], Err("upstream_refused")),
    (&[CREATED, (Poll, "canceled.json")], Err("upstream_cancelled")),
    (&[(Create, "parameter.400.json")], Err("upstream_refused")),
    (&[(Create, "model.404.json")], Err("upstream_refused")),
    (&[(Create, "invalid-key.401.json")], Err("provider_credentials")),
    (&[(Create, "unpurchased.403.json")], Err("provider_credentials")),
    (&[(Create, "arrears.400.json")], Err("provider_credentials")),
    (&[(Create, "free-tier.403.json")], Err("provider_credentials")),
    (&[CREATED, (Poll, "invalid-key.401.json"), SUCCEEDED, (File, MP4)], Ok(())),
];

fn configure(settings: &mut Settings, _: &mut rest_gateway::Settings) {
    settings.video.service_type = VideoServiceType::Wan;
    disable_circuit_breaker(settings);
    let mut base = settings.chat.base_url.clone().unwrap();
    base.set_path("/");
    settings.video.wan.base_url = Some(base);
    settings.video.wan.api_key = Some(PROVIDER.key.into());
    settings.video.wan.poll_interval = Duration::from_millis(100);
}

async fn with_local_and_remote_core(test: impl AsyncFn(&TestServer)) {
    with_local_and_remote_core_and_settings(configure, test).await;
}

#[tokio::test]
async fn every_response_gives_the_same_outcome_over_rest_and_grpc() {
    with_local_and_remote_core(async |server| {
        for (exchanges, expected) in COMMON.with(&TABLE) {
            for request in PROVIDER.assert_outcome(server, exchanges, expected).await {
                let is_link = request.path.starts_with("/oss/");
                let key = (!is_link).then_some("bearer sk-wan-secret");
                assert_eq!(request.header("authorization"), key, "{}", request.head);
                let is_submission = request.path == PROVIDER.tasks;
                assert_eq!(request.header("x-dashscope-async"), is_submission.then_some("enable"), "{}", request.head);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn video_costs_the_seconds_that_the_provider_reports() {
    let configure = |settings: &mut Settings, gateway: &mut rest_gateway::Settings| {
        configure(settings, gateway);
        settings.prices =
            vec![Price { model: PROVIDER.model.to_owned(), per_second: Usd::parse("0.10"), ..Price::default() }];
    };
    with_local_and_remote_core_and_settings(configure, async |server| {
        for (call, fixture) in [CREATED, SUCCEEDED, (File, MP4)] {
            PROVIDER.enqueue(server, "task-1", call, fixture);
        }
        // Four seconds are requested, the file has one, and the provider reports five.
        let id = create(server, &PROVIDER.body()).await;
        let video = wait_until_final(server, &id).await;
        assert_eq!((&video["estimated_cost"], &video["cost"]), (&json!("0.40"), &json!("0.50")), "{video}");
        let usage = server.request(Method::GET, "/v1/usage").send().await.unwrap().text().await.unwrap();
        let usage: Value = serde_json::from_str(&usage).unwrap();
        let row = &usage["data"][0];
        assert_eq!((&row["cost"], &row["video_seconds"]), (&json!("0.50"), &json!(5.0)), "{usage}");
        for _ in 0..3 {
            server.upstream.received().await;
        }
    })
    .await;
}

#[test]
fn every_fixture_is_tested() {
    // `cancelled.json` responds to a cancellation below.
    PROVIDER.fixtures().assert_all_used(&COMMON.with(&TABLE), &["cancelled.json"]);
}

#[tokio::test]
async fn inputs_and_parameters_reach_the_upstream() {
    with_local_and_remote_core(async |server| {
        let responses = ["created.json", "succeeded.json"];
        let request = pb::CreateVideoRequest {
            model: "wan3.0-video".to_owned(),
            frame_images: vec![
                frame(Position::First, "oss://bucket/a.png"),
                frame(Position::Last, "oss://bucket/b.png"),
            ],
            resolution: "720p".to_owned(),
            // More than the model's maximum of 30.
            duration_seconds: Some(40),
            generate_audio: Some(false),
            seed: Some(7),
            ..pb::CreateVideoRequest::default()
        };
        let expected = json!({
            "model": "wan3.0-video",
            "input": {"prompt": "a boat", "media": [{"type": "first_frame", "url": "oss://bucket/a.png"},
                {"type": "last_frame", "url": "oss://bucket/b.png"}]},
            "parameters": {"resolution": "720P", "ratio": "adaptive", "duration": 30, "audio": false, "seed": 7,
                "watermark": false},
        });
        assert_eq!(submission_of(&PROVIDER, server, responses, request).await, expected);

        let request = pb::CreateVideoRequest {
            model: "happyhorse-1.1".to_owned(),
            input_references: vec![reference(Kind::Image, "oss://bucket/a.png")],
            size: "1080x1920".to_owned(),
            ..pb::CreateVideoRequest::default()
        };
        let expected = json!({
            "model": "happyhorse-1.1-r2v",
            "input": {"prompt": "a boat", "media": [{"type": "reference_image", "url": "oss://bucket/a.png"}]},
            "parameters": {"resolution": "1080P", "ratio": "9:16", "duration": 5, "watermark": false},
        });
        assert_eq!(submission_of(&PROVIDER, server, responses, request).await, expected);
    })
    .await;
}

#[tokio::test]
async fn connection_lost_during_the_submission_leads_to_no_second_one() {
    let search = Some(("/api/v1/tasks?model_name=wan3.0-video&start_time=", r#"{"data":[],"total_page":0}"#));
    with_local_and_remote_core(async |server| {
        assert_lost_submission_is_not_repeated(&PROVIDER, server, search).await;
    })
    .await;
}

#[tokio::test]
async fn key_is_not_sent_to_a_link_of_another_origin() {
    let adjust = |settings: &mut Settings, gateway: &mut rest_gateway::Settings| {
        configure(settings, gateway);
        // The server of the link has a loopback address.
        settings.media.fetch_private_addresses = true;
    };
    with_local_and_remote_core_and_settings(adjust, async |server| {
        let finished =
            |link: &str| json!({"output": {"task_id": "task-1", "task_status": "SUCCEEDED", "video_url": link}});
        assert_foreign_link_gets_no_key(&PROVIDER, server, "created.json", finished).await;
    })
    .await;
}

#[tokio::test]
async fn cancelled_job_is_final_although_a_running_task_cannot_be_cancelled() {
    let adjust = |settings: &mut Settings, gateway: &mut rest_gateway::Settings| {
        configure(settings, gateway);
        // The second poll is far away.
        settings.video.wan.poll_interval = Duration::from_mins(1);
    };
    with_local_and_remote_core_and_settings(adjust, async |server| {
        let replies = ["cancelled.json", "running.400.json", "model.404.json"];
        assert_cancelled_job_is_final(&PROVIDER, server, "created.json", "running.json", &replies).await;
    })
    .await;
}
