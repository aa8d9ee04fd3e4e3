//! The video provider `minimax`, in both versions of its API: requests to the upstream, its responses over REST and gRPC. The
//! first version (`v1`) returns a file id, and a further request returns the link to the file.

use std::time::Duration;

use core_service::config::{Settings, VideoServiceType};
use serde_json::json;
use triptych_proto::v1::{self as pb, video_frame::Position, video_reference::Kind};

use super::{
    common_scenarios::{CommonScenarios, disable_circuit_breaker},
    provider_case::{
        Call::{Cancel, Create, File, Link, Poll},
        Exchange, MP4, ProviderCase, Scenario,
    },
    provider_faults::{
        assert_cancelled_job_is_final, assert_foreign_link_gets_no_key, assert_lost_submission_is_not_repeated, frame,
        reference, submission_of,
    },
};
use crate::test_server::{TestServer, with_local_and_remote_core_and_settings};

const PROVIDER: ProviderCase = ProviderCase {
    provider: "minimax",
    model: "MiniMax-H3",
    key: "sk-minimax-secret",
    tasks: "/v2/video_generation",
    file: |id| format!("/cdn/{id}.mp4?Expires=1795436000"),
    route: |call, id| (call == Poll).then(|| ("get", format!("/v2/query/video_generation/{id}"))),
    needs_frame: false,
};

const FIRST_VERSION: ProviderCase = ProviderCase {
    model: "MiniMax-Hailuo-02",
    tasks: "/v1/video_generation",
    route: |call, id| match call {
        Poll => Some(("get", format!("/v1/query/video_generation?task_id={id}"))),
        Link => Some(("get", format!("/v1/files/retrieve?file_id=file-{id}"))),
        Create | File | Cancel => None,
    },
    ..PROVIDER
};

const CREATED: Exchange = (Create, "created.json");
const SUCCEEDED: Exchange = (Poll, "succeeded.json");
const NOT_FOUND: Exchange = (Poll, "no-record.500.json");
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

const TABLE: [Scenario; 17] = [
    (&[CREATED, (Poll, "queued.json"), (Poll, "running.json"), SUCCEEDED, (File, MP4)], Ok(())),
    (&[CREATED, (Poll, "new-state.json"), SUCCEEDED, (File, MP4)], Ok(())),
    (&[CREATED, (Poll, "succeeded-without-video.json")], Err("upstream_unreadable")),
    (&[CREATED, (Poll, "failed-output.json")], Err("content_policy_violation")),
    (&[CREATED, (Poll, "failed-internal.json")], Err("upstream_unavailable")),
    (&[CREATED, (Poll, "failed-without-error.json")], Err("upstream_unavailable")),
    (&[CREATED, (Poll, "expired.json")], Err("upstream_timeout")),
    (&[CREATED, (Poll, "cancelled.json")], Err("upstream_cancelled")),
    (&[(Create, "input.400.json")], Err("content_policy_violation")),
    (&[(Create, "error-in-success.json")], Err("content_policy_violation")),
    (&[(Create, "parameter.400.json")], Err("upstream_refused")),
    (&[(Create, "model.404.json")], Err("upstream_refused")),
    (&[(Create, "invalid-key.401.json")], Err("provider_credentials")),
    (&[(Create, "balance.429.json")], Err("provider_credentials")),
    (&[(Create, "internal.500.json")], Err("outcome_unknown")),
    (&[CREATED, (Poll, "invalid-key.401.json"), SUCCEEDED, (File, MP4)], Ok(())),
    (&[CREATED, (Poll, "input.400.json")], Err("content_policy_violation")),
];

const V1_CREATED: Exchange = (Create, "v1-created.json");
const V1_SUCCESS: Exchange = (Poll, "v1-success.json");
const V1_LINK: Exchange = (Link, "v1-file.json");

const V1_TABLE: [Scenario; 13] = [
    (&[V1_CREATED, (Poll, "v1-processing.json"), V1_SUCCESS, V1_LINK, (File, MP4)], Ok(())),
    (&[V1_CREATED, (Poll, "v1-new-state.json"), V1_SUCCESS, V1_LINK, (File, MP4)], Ok(())),
    (&[(Create, "v1-rate.json"), V1_CREATED, V1_SUCCESS, V1_LINK, (File, MP4)], Ok(())),
    (&[V1_CREATED, V1_SUCCESS, V1_LINK, DEAD_LINK, V1_SUCCESS, V1_LINK, (File, MP4)], Ok(())),
    (&[V1_CREATED, (Poll, "v1-success-without-file.json")], Err("upstream_unreadable")),
    (&[V1_CREATED, V1_SUCCESS, (Link, "v1-file-without-link.json")], Err("upstream_unreadable")),
    (&[V1_CREATED, (Poll, "v1-fail-output.json")], Err("content_policy_violation")),
    (&[V1_CREATED, (Poll, "v1-fail.json")], Err("upstream_unavailable")),
    (&[(Create, "v1-input.json")], Err("content_policy_violation")),
    (&[(Create, "v1-parameter.json")], Err("upstream_refused")),
    (&[(Create, "v1-balance.json")], Err("provider_credentials")),
    (&[(Create, "v1-invalid-key.json")], Err("provider_credentials")),
    (&[(Create, "v1-unknown.json")], Err("outcome_unknown")),
];

fn configure(settings: &mut Settings, _: &mut rest_gateway::Settings) {
    settings.video.service_type = VideoServiceType::Minimax;
    disable_circuit_breaker(settings);
    let mut base = settings.chat.base_url.clone().unwrap();
    base.set_path("/");
    let minimax = &mut settings.video.minimax;
    minimax.base_url = Some(base);
    minimax.api_key = Some(PROVIDER.key.into());
    minimax.models.push(FIRST_VERSION.model.to_owned());
    minimax.poll_interval = Duration::from_millis(100);
}

async fn with_local_and_remote_core(test: impl AsyncFn(&TestServer)) {
    with_local_and_remote_core_and_settings(configure, test).await;
}

async fn assert_table(case: &ProviderCase, server: &TestServer, table: &[Scenario]) {
    for (exchanges, expected) in table {
        for request in case.assert_outcome(server, exchanges, *expected).await {
            let is_link = request.path.starts_with("/cdn/");
            let key = (!is_link).then_some("bearer sk-minimax-secret");
            assert_eq!(request.header("authorization"), key, "{}", request.head);
        }
    }
}

#[tokio::test]
async fn every_response_gives_the_same_outcome_over_rest_and_grpc() {
    with_local_and_remote_core(async |server| assert_table(&PROVIDER, server, &COMMON.with(&TABLE)).await).await;
}

#[tokio::test]
async fn every_response_of_the_first_version_gives_the_same_outcome_over_rest_and_grpc() {
    with_local_and_remote_core(async |server| assert_table(&FIRST_VERSION, server, &V1_TABLE).await).await;
}

#[test]
fn every_fixture_is_tested() {
    // Both further fixtures respond to cancellations below.
    PROVIDER
        .fixtures()
        .assert_all_used(COMMON.with(&TABLE).iter().chain(&V1_TABLE), &["deleted.json", "deleted-running.json"]);
}

#[tokio::test]
async fn inputs_and_parameters_reach_the_upstream() {
    with_local_and_remote_core(async |server| {
        let responses = ["created.json", "succeeded.json"];
        let request = pb::CreateVideoRequest {
            model: PROVIDER.model.to_owned(),
            frame_images: vec![frame(Position::First, "asset://a"), frame(Position::Last, "asset://b")],
            duration_seconds: Some(20),
            ..pb::CreateVideoRequest::default()
        };
        let text = json!({"type": "text", "text": "a boat"});
        let expected = json!({"model": "MiniMax-H3", "resolution": "768P", "duration": 15, "content": [text,
            {"type": "image_url", "image_url": {"url": "asset://a"}, "role": "first_frame"},
            {"type": "image_url", "image_url": {"url": "asset://b"}, "role": "last_frame"}]});
        assert_eq!(submission_of(&PROVIDER, server, responses, request).await, expected);

        let request = pb::CreateVideoRequest {
            model: PROVIDER.model.to_owned(),
            input_references: vec![
                reference(Kind::Image, "asset://a"),
                reference(Kind::Video, "https://a.test/v.mp4"),
                reference(Kind::Audio, "https://a.test/s.mp3"),
            ],
            size: "2560x1440".to_owned(),
            ..pb::CreateVideoRequest::default()
        };
        let expected = json!({"model": "MiniMax-H3", "resolution": "2K", "duration": 5, "ratio": "16:9", "content": [text,
            {"type": "image_url", "image_url": {"url": "asset://a"}, "role": "reference_image"},
            {"type": "video_url", "video_url": {"url": "https://a.test/v.mp4"}, "role": "reference_video"},
            {"type": "audio_url", "audio_url": {"url": "https://a.test/s.mp3"}, "role": "reference_audio"}]});
        assert_eq!(submission_of(&PROVIDER, server, responses, request).await, expected);
    })
    .await;
}

#[tokio::test]
async fn connection_lost_during_the_submission_leads_to_no_second_one() {
    let search = None;
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
        let finished = |link: &str| json!({"task": {"id": "task-1", "status": "succeeded", "content": {"url": link}}});
        assert_foreign_link_gets_no_key(&PROVIDER, server, "created.json", finished).await;
    })
    .await;
}

#[tokio::test]
async fn cancelled_job_is_final_although_a_running_task_cannot_be_cancelled() {
    let adjust = |settings: &mut Settings, gateway: &mut rest_gateway::Settings| {
        configure(settings, gateway);
        // The second poll is far away.
        settings.video.minimax.poll_interval = Duration::from_mins(1);
    };
    with_local_and_remote_core_and_settings(adjust, async |server| {
        let replies = ["deleted.json", "deleted-running.json", "running.400.json", "no-record.500.json"];
        assert_cancelled_job_is_final(&PROVIDER, server, "created.json", "running.json", &replies).await;
        assert_cancelled_job_is_final(&FIRST_VERSION, server, "v1-created.json", "v1-processing.json", &[]).await;
    })
    .await;
}
