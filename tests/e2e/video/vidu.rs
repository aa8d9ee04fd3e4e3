//! The video provider `vidu`: requests to the upstream, its responses over REST and gRPC. A task is Vidu's render of one video.
//! The mark is a text of the client in the request, by which the task is found again.

use std::time::Duration;

use core_service::config::{Settings, VideoServiceType};
use serde_json::json;
use triptych_proto::v1::{self as pb, video_frame::Position};

use super::{
    common_scenarios::{CommonScenarios, disable_circuit_breaker},
    provider_case::{
        Call::{Cancel, Create, File, Link, Poll},
        Exchange, MP4, ProviderCase, Scenario,
    },
    provider_faults::{
        assert_cancelled_job_is_final, assert_foreign_link_gets_no_key, assert_lost_submission_is_found_by_its_mark,
        assert_lost_submission_is_not_repeated, frame, submission_of,
    },
};
use crate::test_server::{TestServer, with_local_and_remote_core_and_settings};

const PROVIDER: ProviderCase = ProviderCase {
    provider: "vidu",
    model: "viduq3-pro",
    key: "vda_secret",
    tasks: "/ent/v2/text2video",
    file: |id| format!("/s3/{id}.mp4?X-Amz-Expires=86400"),
    route: |call, id| match call {
        Poll => Some(("get", format!("/ent/v2/tasks/{id}/creations"))),
        Cancel => Some(("post", format!("/ent/v2/tasks/{id}/cancel"))),
        Create | Link | File => None,
    },
    needs_frame: false,
};
/// Requests with a first and a last frame, which have another path.
const FROM_FRAMES: ProviderCase = ProviderCase { tasks: "/ent/v2/start-end2video", ..PROVIDER };

const CREATED: Exchange = (Create, "created.json");
const SUCCESS: Exchange = (Poll, "success.json");
/// The task does not exist: the job fails at the third such response in succession.
const NOT_FOUND: Exchange = (Poll, "task.404.json");
const DEAD_LINK: Exchange = (File, "denied-link.403.xml");

const COMMON: CommonScenarios = CommonScenarios {
    created: CREATED,
    finished: &[SUCCESS],
    rate_limit: "throttling.429.json",
    failure: "internal.500.json",
    not_found: [NOT_FOUND; 3],
    dead_link: DEAD_LINK,
    cleanup: Some((Cancel, "scheduled.400.json")),
};

const TABLE: [Scenario; 16] = [
    (&[CREATED, (Poll, "queueing.json"), (Poll, "processing.json"), SUCCESS, (File, MP4)], Ok(())),
    (&[CREATED, (Poll, "new-state.json"), SUCCESS, (File, MP4)], Ok(())),
    (&[(Create, "quota.429.json"), CREATED, SUCCESS, (File, MP4)], Ok(())),
    (&[CREATED, (Poll, "unauthorized.401.json"), SUCCESS, (File, MP4)], Ok(())),
    (&[CREATED, (Poll, "success-without-video.json")], Err("upstream_unreadable")),
    (&[CREATED, (Poll, "failed-output.json")], Err("content_policy_violation")),
    (&[CREATED, (Poll, "failed-internal.json")], Err("upstream_unavailable")),
    (&[CREATED, (Poll, "failed-without-code.json")], Err("upstream_unavailable")),
    (&[CREATED, (Poll, "cancelled.json")], Err("upstream_cancelled")),
    (&[(Create, "failed-on-submission.json")], Err("content_policy_violation")),
    (&[(Create, "audit.400.json")], Err("content_policy_violation")),
    (&[(Create, "prompt.400.json")], Err("content_policy_violation")),
    (&[(Create, "field.400.json")], Err("upstream_refused")),
    (&[(Create, "model.400.json")], Err("upstream_refused")),
    (&[(Create, "credits.400.json")], Err("provider_credentials")),
    (&[(Create, "unauthorized.401.json")], Err("provider_credentials")),
];

fn configure(settings: &mut Settings, _: &mut rest_gateway::Settings) {
    settings.video.service_type = VideoServiceType::Vidu;
    disable_circuit_breaker(settings);
    let mut base = settings.chat.base_url.clone().unwrap();
    base.set_path("/");
    settings.video.vidu.base_url = Some(base);
    settings.video.vidu.api_key = Some(PROVIDER.key.into());
    settings.video.vidu.poll_interval = Duration::from_millis(100);
}

async fn with_local_and_remote_core(test: impl AsyncFn(&TestServer)) {
    with_local_and_remote_core_and_settings(configure, test).await;
}

#[tokio::test]
async fn every_response_gives_the_same_outcome_over_rest_and_grpc() {
    with_local_and_remote_core(async |server| {
        for (exchanges, expected) in COMMON.with(&TABLE) {
            for request in PROVIDER.assert_outcome(server, exchanges, expected).await {
                // Files have signed links.
                let is_file = request.path.starts_with("/s3/");
                let key = (!is_file).then_some("token vda_secret");
                assert_eq!(request.header("authorization"), key, "{}", request.head);
            }
        }
    })
    .await;
}

#[test]
fn every_fixture_is_tested() {
    // `deleted.json` responds to a cancellation below.
    PROVIDER.fixtures().assert_all_used(&COMMON.with(&TABLE), &["deleted.json"]);
}

#[tokio::test]
async fn inputs_decide_the_path_and_the_id_of_the_job_is_the_mark() {
    with_local_and_remote_core(async |server| {
        let request = pb::CreateVideoRequest {
            model: "viduq2".to_owned(),
            frame_images: vec![frame(Position::First, "asset://a"), frame(Position::Last, "asset://b")],
            resolution: "1080p".to_owned(),
            // More than the model's maximum of 8, which is sent instead.
            duration_seconds: Some(20),
            seed: Some(7),
            ..pb::CreateVideoRequest::default()
        };
        let mut body = submission_of(&FROM_FRAMES, server, ["created.json", "success.json"], request).await;
        let mark = body.as_object_mut().unwrap().remove("payload").unwrap();
        assert!(mark.as_str().unwrap().starts_with("video_"), "{mark}");
        // For frames, Vidu's API has another name of the model.
        let expected = json!({"model": "viduq2-pro", "prompt": "a boat", "images": ["asset://a", "asset://b"],
            "duration": 8, "resolution": "1080p", "seed": 7});
        assert_eq!(body, expected);
    })
    .await;
}

#[tokio::test]
async fn connection_lost_during_the_submission_leads_to_no_second_one() {
    let search = Some(("/ent/v2/tasks?created_at.from=", r#"{"tasks":[]}"#));
    with_local_and_remote_core(async |server| {
        assert_lost_submission_is_not_repeated(&PROVIDER, server, search).await;
    })
    .await;
}

#[tokio::test]
async fn job_continues_with_the_task_of_a_submission_whose_response_was_lost() {
    with_local_and_remote_core(async |server| {
        let list = |mark: &str| json!({"tasks": [{"id": "task-1", "state": "processing", "payload": mark}]});
        assert_lost_submission_is_found_by_its_mark(&PROVIDER, server, "success.json", list).await;
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
            |link: &str| json!({"state": "success", "err_code": "", "creations": [{"id": "c", "url": link}]});
        assert_foreign_link_gets_no_key(&PROVIDER, server, "created.json", finished).await;
    })
    .await;
}

#[tokio::test]
async fn cancelled_job_is_final_although_a_scheduled_task_cannot_be_cancelled() {
    let adjust = |settings: &mut Settings, gateway: &mut rest_gateway::Settings| {
        configure(settings, gateway);
        // The second poll is far away.
        settings.video.vidu.poll_interval = Duration::from_mins(1);
    };
    with_local_and_remote_core_and_settings(adjust, async |server| {
        let replies = ["deleted.json", "scheduled.400.json", "task.404.json"];
        assert_cancelled_job_is_final(&PROVIDER, server, "created.json", "processing.json", &replies).await;
    })
    .await;
}
