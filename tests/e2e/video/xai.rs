//! The video provider `xai`, Grok Imagine: requests to the upstream, its responses over REST and gRPC.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use core_service::config::{Settings, VideoServiceType};
use serde_json::json;

use super::{
    common_scenarios::{CommonScenarios, disable_circuit_breaker},
    create,
    provider_case::{
        Call::{Create, File, Poll},
        Exchange, FRAME, MP4, ProviderCase, Scenario,
    },
    provider_faults::{
        assert_cancelled_job_is_final, assert_foreign_link_gets_no_key, assert_lost_submission_is_not_repeated,
    },
    wait_until_final,
};
use crate::test_server::{TestServer, with_local_and_remote_core_and_settings};

const GENERATIONS: &str = "/v1/videos/generations";
const PROVIDER: ProviderCase = ProviderCase {
    provider: "xai",
    model: "grok-imagine-video-1.5",
    key: "xai-video-secret",
    tasks: GENERATIONS,
    file: |id| format!("/xai-video/{id}.mp4"),
    // xAI has no cancellation: cancelling a job sends no request.
    route: |call, id| (call == Poll).then(|| ("get", format!("/v1/videos/{id}"))),
    needs_frame: false,
};

const CREATED: Exchange = (Create, "created.json");
const DONE: Exchange = (Poll, "done.json");
const NOT_FOUND: Exchange = (Poll, "request.404.json");
const DEAD_LINK: Exchange = (File, "denied-link.403.xml");

const COMMON: CommonScenarios = CommonScenarios {
    created: CREATED,
    finished: &[DONE],
    rate_limit: "rate.429.json",
    failure: "internal.500.json",
    not_found: [NOT_FOUND; 3],
    dead_link: DEAD_LINK,
    cleanup: None,
};

const TABLE: [Scenario; 19] = [
    (&[CREATED, (Poll, "pending.202.json"), (Poll, "progress.202.json"), DONE, (File, MP4)], Ok(())),
    (&[CREATED, (Poll, "unknown-state.json"), (Poll, "done-without-status.json"), (File, MP4)], Ok(())),
    (&[CREATED, (Poll, "no-status.json"), DONE, (File, MP4)], Ok(())),
    (&[CREATED, (Poll, "done-without-video.json")], Err("upstream_unreadable")),
    (&[CREATED, (Poll, "done-moderated.json")], Err("content_policy_violation")),
    (&[CREATED, (Poll, "failed-moderation.json")], Err("content_policy_violation")),
    (&[CREATED, (Poll, "failed.json")], Err("upstream_unavailable")),
    (&[CREATED, (Poll, "failed-without-error.json")], Err("upstream_unavailable")),
    (&[CREATED, (Poll, "expired.json")], Err("upstream_timeout")),
    (&[CREATED, (Poll, "key.401.json"), DONE, (File, MP4)], Ok(())),
    (&[(Create, "moderation.400.json")], Err("content_policy_violation")),
    (&[(Create, "error-in-success.json")], Err("content_policy_violation")),
    (&[(Create, "argument.400.json")], Err("upstream_refused")),
    (&[(Create, "model.404.json")], Err("upstream_refused")),
    (&[(Create, "key.400.json")], Err("provider_credentials")),
    (&[(Create, "key.401.json")], Err("provider_credentials")),
    (&[(Create, "credits.403.json")], Err("provider_credentials")),
    (&[(Create, "internal.500.json")], Err("outcome_unknown")),
    (&[CREATED, (Poll, "moderation.400.json")], Err("content_policy_violation")),
];

fn configure(settings: &mut Settings, _: &mut rest_gateway::Settings) {
    settings.video.service_type = VideoServiceType::Xai;
    disable_circuit_breaker(settings);
    settings.video.xai.base_url = settings.chat.base_url.clone();
    settings.video.xai.api_key = Some(PROVIDER.key.into());
    settings.video.xai.poll_interval = Duration::from_millis(100);
}

async fn with_local_and_remote_core(test: impl AsyncFn(&TestServer)) {
    with_local_and_remote_core_and_settings(configure, test).await;
}

#[tokio::test]
async fn every_response_gives_the_same_outcome_over_rest_and_grpc() {
    with_local_and_remote_core(async |server| {
        for (exchanges, expected) in COMMON.with(&TABLE) {
            for request in PROVIDER.assert_outcome(server, exchanges, expected).await {
                let key = (!request.path.starts_with("/xai-video/")).then_some("bearer xai-video-secret");
                assert_eq!(request.header("authorization"), key, "{}", request.head);
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
async fn request_has_the_nearest_size_and_the_frame_as_a_data_url() {
    with_local_and_remote_core(async |server| {
        let image = format!("data:image/png;base64,{}", STANDARD.encode(&*FRAME));
        let text = json!({"prompt": "a boat", "size": "1920x1080", "seconds": 30, "seed": 7, "user": "u-1"});
        let framed = json!({"prompt": "a boat", "input_reference": image, "seconds": 5});
        for (body, expected) in [
            (
                text,
                json!({"model": PROVIDER.model, "prompt": "a boat", "duration": 15, "resolution": "1080p",
                "aspect_ratio": "16:9", "user": "u-1"}),
            ),
            (
                framed,
                json!({"model": PROVIDER.model, "prompt": "a boat", "duration": 5, "resolution": "720p",
                "image": {"url": image}}),
            ),
        ] {
            for (call, fixture) in [CREATED, DONE, (File, MP4)] {
                PROVIDER.enqueue(server, "task-1", call, fixture);
            }
            let id = create(server, &body).await;
            assert_eq!(wait_until_final(server, &id).await["status"], "completed");
            assert_eq!(server.upstream.received().await.json(), expected);
            server.upstream.skip_requests(2).await;
        }
    })
    .await;
}

#[tokio::test]
async fn connection_lost_during_the_submission_leads_to_no_second_one() {
    with_local_and_remote_core(async |server| {
        assert_lost_submission_is_not_repeated(&PROVIDER, server, None).await;
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
        let finished = |link: &str| json!({"status": "done", "video": {"url": link}});
        assert_foreign_link_gets_no_key(&PROVIDER, server, "created.json", finished).await;
    })
    .await;
}

#[tokio::test]
async fn cancelled_job_is_final_and_the_render_runs_on() {
    let adjust = |settings: &mut Settings, gateway: &mut rest_gateway::Settings| {
        configure(settings, gateway);
        // The second poll is far away.
        settings.video.xai.poll_interval = Duration::from_mins(1);
    };
    with_local_and_remote_core_and_settings(adjust, async |server| {
        let replies = [];
        assert_cancelled_job_is_final(&PROVIDER, server, "created.json", "pending.202.json", &replies).await;
    })
    .await;
}
