//! The video provider `kling`: requests to the upstream, its responses over REST and gRPC. The mark is a text of the client
//! in the request, by which a task is found again.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use core_service::config::{Settings, VideoServiceType};
use serde_json::{Value, json};
use triptych_proto::v1::{self as pb, video_frame::Position, video_reference::Kind};

use super::{
    common_scenarios::{CommonScenarios, disable_circuit_breaker},
    create,
    provider_case::{
        Call::{Create, File, Poll},
        Exchange, MP4, ProviderCase, Scenario,
    },
    provider_faults::{
        assert_cancelled_job_is_final, assert_foreign_link_gets_no_key, assert_lost_submission_is_found_by_its_mark,
        assert_lost_submission_is_not_repeated, frame, reference, submission_of,
    },
    wait_until_final,
};
use crate::test_server::{TestServer, with_local_and_remote_core_and_settings};

const PROVIDER: ProviderCase = ProviderCase {
    provider: "kling",
    model: "kling-v3",
    key: "api-key-kling-secret",
    tasks: "/v1/videos/text2video",
    file: |id| format!("/cdn/{id}.mp4?x-kcdn-pid=1"),
    route: |_, _| None,
    needs_frame: false,
};
const FROM_IMAGE: ProviderCase = ProviderCase { tasks: "/v1/videos/image2video", ..PROVIDER };
const OMNI: ProviderCase = ProviderCase { tasks: "/v1/videos/omni-video", ..PROVIDER };

const CREATED: Exchange = (Create, "created.json");
const SUCCEED: Exchange = (Poll, "succeed.json");
const NOT_FOUND: Exchange = (Poll, "task.404.json");
const NOT_FOUND_IN_SUCCESS: Exchange = (Poll, "task-in-success.json");
const DEAD_LINK: Exchange = (File, "denied-link.403.txt");

const COMMON: CommonScenarios = CommonScenarios {
    created: CREATED,
    finished: &[SUCCEED],
    rate_limit: "rate.429.json",
    failure: "internal.500.json",
    not_found: [NOT_FOUND, NOT_FOUND_IN_SUCCESS, NOT_FOUND],
    dead_link: DEAD_LINK,
    cleanup: None,
};

const TABLE: [Scenario; 21] = [
    (&[CREATED, (Poll, "processing.json"), SUCCEED, (File, MP4)], Ok(())),
    (&[CREATED, (Poll, "new-state.json"), SUCCEED, (File, MP4)], Ok(())),
    (&[(Create, "parallel.429.json"), CREATED, SUCCEED, (File, MP4)], Ok(())),
    (&[(Create, "maintenance.503.json"), CREATED, SUCCEED, (File, MP4)], Ok(())),
    (&[CREATED, (Poll, "succeed-without-video.json")], Err("upstream_unreadable")),
    (&[CREATED, (Poll, "failed-risk-control.json")], Err("content_policy_violation")),
    (&[CREATED, (Poll, "content.400.json")], Err("content_policy_violation")),
    (&[CREATED, (Poll, "content-in-success.json")], Err("content_policy_violation")),
    (&[(Create, "policy.400.json")], Err("content_policy_violation")),
    (&[(Create, "content.400.json")], Err("content_policy_violation")),
    (&[(Create, "content-in-success.json")], Err("content_policy_violation")),
    (&[CREATED, (Poll, "failed.json")], Err("upstream_unavailable")),
    (&[CREATED, (Poll, "failed-without-message.json")], Err("upstream_unavailable")),
    (&[(Create, "parameter.400.json")], Err("upstream_refused")),
    (&[(Create, "model.404.json")], Err("upstream_refused")),
    (&[(Create, "invalid-key.401.json")], Err("provider_credentials")),
    (&[(Create, "arrears.429.json")], Err("provider_credentials")),
    (&[(Create, "resource-pack.429.json")], Err("provider_credentials")),
    (&[(Create, "no-right.403.json")], Err("provider_credentials")),
    (&[(Create, "address.429.json")], Err("provider_credentials")),
    (&[CREATED, (Poll, "invalid-key.401.json"), SUCCEED, (File, MP4)], Ok(())),
];

fn configure(settings: &mut Settings, _: &mut rest_gateway::Settings) {
    settings.video.service_type = VideoServiceType::Kling;
    disable_circuit_breaker(settings);
    let mut base = settings.chat.base_url.clone().unwrap();
    base.set_path("/");
    settings.video.kling.base_url = Some(base);
    settings.video.kling.api_key = Some(PROVIDER.key.into());
    settings.video.kling.poll_interval = Duration::from_millis(100);
}

async fn with_local_and_remote_core(test: impl AsyncFn(&TestServer)) {
    with_local_and_remote_core_and_settings(configure, test).await;
}

#[tokio::test]
async fn every_response_gives_the_same_outcome_over_rest_and_grpc() {
    with_local_and_remote_core(async |server| {
        for (exchanges, expected) in COMMON.with(&TABLE) {
            for request in PROVIDER.assert_outcome(server, exchanges, expected).await {
                let is_link = request.path.starts_with("/cdn/");
                let key = (!is_link).then_some("bearer api-key-kling-secret");
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
async fn inputs_decide_the_endpoint_and_the_id_of_the_job_is_the_mark() {
    with_local_and_remote_core(async |server| {
        let responses = ["created.json", "succeed.json"];
        let request = pb::CreateVideoRequest {
            model: "kling-v2-6".to_owned(),
            frame_images: vec![frame(Position::First, "asset://a"), frame(Position::Last, "asset://b")],
            resolution: "720p".to_owned(),
            duration_seconds: Some(6),
            negative_prompt: "rain".to_owned(),
            ..pb::CreateVideoRequest::default()
        };
        let mut body = submission_of(&FROM_IMAGE, server, responses, request).await;
        let mark = body.as_object_mut().unwrap().remove("external_task_id").unwrap();
        assert!(mark.as_str().unwrap().starts_with("video_"), "{mark}");
        // A last frame is available in the mode `pro` only.
        let expected = json!({"model_name": "kling-v2-6", "prompt": "a boat", "negative_prompt": "rain", "mode": "pro",
            "duration": "5", "image": "asset://a", "image_tail": "asset://b"});
        assert_eq!(body, expected);

        let request = pb::CreateVideoRequest {
            model: "kling-v3-omni".to_owned(),
            input_references: vec![reference(Kind::Image, "asset://a"), reference(Kind::Video, "https://a.test/v.mp4")],
            aspect_ratio: "9:16".to_owned(),
            generate_audio: Some(false),
            ..pb::CreateVideoRequest::default()
        };
        let mut body = submission_of(&OMNI, server, responses, request).await;
        body.as_object_mut().unwrap().remove("external_task_id");
        let expected = json!({"model_name": "kling-v3-omni", "prompt": "a boat", "mode": "pro", "duration": "5",
            "aspect_ratio": "9:16", "sound": "off", "image_list": [{"image_url": "asset://a"}],
            "video_list": [{"video_url": "https://a.test/v.mp4", "refer_type": "feature"}]});
        assert_eq!(body, expected);
    })
    .await;
}

#[tokio::test]
async fn pair_of_keys_signs_a_token_that_is_in_no_message() {
    let adjust = |settings: &mut Settings, gateway: &mut rest_gateway::Settings| {
        configure(settings, gateway);
        let kling = &mut settings.video.kling;
        (kling.api_key, kling.access_key, kling.secret_key) = (None, Some("access".into()), Some("secret".into()));
    };
    with_local_and_remote_core_and_settings(adjust, async |server| {
        PROVIDER.enqueue(server, "task-1", Create, "created.json");
        PROVIDER.enqueue(server, "task-1", Poll, "content.400.json");
        let id = create(server, &PROVIDER.body()).await;
        assert_eq!(wait_until_final(server, &id).await["error"]["code"], "content_policy_violation");
        for _ in 0..2 {
            let request = server.upstream.received().await;
            // The fake upstream records headers in lower case, so only the structure of the token can be checked.
            let token = request.header("authorization").unwrap().strip_prefix("bearer ").unwrap();
            let parts: Vec<_> = token.split('.').collect();
            assert_eq!(parts.len(), 3, "{token}");
            let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#).to_lowercase();
            assert_eq!(parts[0], header);
        }
    })
    .await;
}

#[tokio::test]
async fn connection_lost_during_the_submission_leads_to_no_second_one() {
    let search = Some(("/v1/videos/text2video?pageNum=1", "{}"));
    with_local_and_remote_core(async |server| {
        assert_lost_submission_is_not_repeated(&PROVIDER, server, search).await;
    })
    .await;
}

#[tokio::test]
async fn job_continues_with_the_task_of_a_submission_whose_response_was_lost() {
    with_local_and_remote_core(async |server| {
        let list = |mark: &str| json!({"code": 0, "data": [{"task_id": "task-1", "task_status": "processing", "task_info": {"external_task_id": mark}}]});
        assert_lost_submission_is_found_by_its_mark(&PROVIDER, server, "succeed.json", list).await;
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
        let finished = |link: &str| -> Value {
            json!({"code": 0, "data": {"task_id": "task-1", "task_status": "succeed",
                "task_result": {"videos": [{"id": "v", "url": link, "duration": "5"}]}}})
        };
        assert_foreign_link_gets_no_key(&PROVIDER, server, "created.json", finished).await;
    })
    .await;
}

#[tokio::test]
async fn cancelled_job_is_final_although_no_task_can_be_cancelled() {
    let adjust = |settings: &mut Settings, gateway: &mut rest_gateway::Settings| {
        configure(settings, gateway);
        // The second poll is far away.
        settings.video.kling.poll_interval = Duration::from_mins(1);
    };
    with_local_and_remote_core_and_settings(adjust, async |server| {
        assert_cancelled_job_is_final(&PROVIDER, server, "created.json", "processing.json", &[]).await;
    })
    .await;
}

#[tokio::test]
async fn delay_that_the_upstream_requests_is_observed() {
    with_local_and_remote_core(async |server| {
        let limited = PROVIDER.fixtures().reply(server, "rate.429.json", "task-1").header("retry-after", "1");
        server.upstream.enqueue_at(PROVIDER.tasks, limited);
        for (call, fixture) in [CREATED, SUCCEED, (File, MP4)] {
            PROVIDER.enqueue(server, "task-1", call, fixture);
        }
        let begin = std::time::Instant::now();
        let id = create(server, &PROVIDER.body()).await;
        assert_eq!(wait_until_final(server, &id).await["status"], "completed");
        assert!(begin.elapsed() >= Duration::from_secs(1), "{:?}", begin.elapsed());
        server.upstream.skip_requests(4).await;
    })
    .await;
}
