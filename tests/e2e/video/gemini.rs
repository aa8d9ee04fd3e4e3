//! The video provider `gemini`, Google's models on the Gemini API: requests to the upstream, its responses over REST and
//! gRPC. Gemini Omni renders as *interactions*, Veo as *operations*: two APIs with states and errors of their own.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use core_service::config::{Settings, VideoServiceType};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    common_scenarios::{CommonScenarios, disable_circuit_breaker},
    create, json_body,
    provider_case::{
        CLIP,
        Call::{Cancel, Create, File, Poll},
        Exchange, MP4, ProviderCase, Scenario, request_line,
    },
    wait_until_final, wait_until_rendering,
};
use crate::{
    fake_upstream::{FakeUpstream, Reply},
    test_server::{TestServer, with_local_and_remote_core_and_settings},
};

const OMNI: ProviderCase = ProviderCase {
    provider: "gemini",
    model: "gemini-omni-1.2-flash",
    key: "gemini-video-secret",
    tasks: "/v1beta/interactions",
    file: |id| format!("/v1beta/files/{id}?alt=media"),
    route: |call, id| (call == Cancel).then(|| ("post", format!("/v1beta/interactions/{id}/cancel"))),
    needs_frame: false,
};

/// Veo has no cancellation: cancelling a job sends no request.
const VEO: ProviderCase = ProviderCase {
    model: "veo-3.1-fast-generate-001",
    tasks: "/v1beta/models/veo-3.1-fast-generate-001:predictLongRunning",
    file: |id| format!("/v1beta/files/{id}:download?alt=media"),
    route: |call, id| {
        (call == Poll).then(|| ("get", format!("/v1beta/models/veo-3.1-fast-generate-001/operations/{id}")))
    },
    ..OMNI
};

const CREATED: Exchange = (Create, "created.json");
const COMPLETED: Exchange = (Poll, "completed.json");
const NOT_FOUND: Exchange = (Poll, "not-found.404.json");
const DEAD_LINK: Exchange = (File, "expired-file.403.json");

const COMMON: CommonScenarios = CommonScenarios {
    created: CREATED,
    finished: &[COMPLETED],
    rate_limit: "rate.429.json",
    failure: "internal.500.json",
    not_found: [NOT_FOUND; 3],
    dead_link: DEAD_LINK,
    cleanup: Some((Cancel, "cancel-too-late.400.json")),
};

/// Jobs of Gemini Omni.
const INTERACTIONS: [Scenario; 23] = [
    (&[CREATED, (Poll, "queued.json"), (Poll, "in-progress.json"), COMPLETED, (File, MP4)], Ok(())),
    (&[CREATED, (Poll, "unknown-state.json"), COMPLETED, (File, MP4)], Ok(())),
    (&[(Create, "unavailable.503.json"), CREATED, COMPLETED, (File, MP4)], Ok(())),
    (&[CREATED, (Poll, "completed-without-video.json")], Err("upstream_unreadable")),
    (&[CREATED, (Poll, "completed-with-text.json")], Err("upstream_refused")),
    (&[CREATED, (Poll, "completed-with-refusal.json")], Err("content_policy_violation")),
    (&[CREATED, (Poll, "failed-policy.json")], Err("content_policy_violation")),
    (&[CREATED, (Poll, "failed-list.json")], Err("content_policy_violation")),
    (&[CREATED, (Poll, "incomplete.json")], Err("content_policy_violation")),
    (&[CREATED, (Poll, "failed-step.json")], Err("upstream_unavailable")),
    (&[CREATED, (Poll, "failed-without-error.json")], Err("upstream_unavailable")),
    (&[CREATED, (Poll, "requires-action.json")], Err("upstream_unavailable")),
    (&[CREATED, (Poll, "cancelled.json")], Err("upstream_cancelled")),
    (&[(Create, "safety.400.json")], Err("content_policy_violation")),
    (&[(Create, "duration.400.json")], Err("upstream_refused")),
    (&[(Create, "error-in-success.json")], Err("upstream_refused")),
    (&[(Create, "model.404.json")], Err("upstream_refused")),
    (&[(Create, "key.400.json")], Err("provider_credentials")),
    (&[(Create, "billing.400.json")], Err("provider_credentials")),
    (&[(Create, "denied.403.json")], Err("provider_credentials")),
    (&[(Create, "zero-quota.429.json")], Err("provider_credentials")),
    (&[(Create, "internal.500.json")], Err("outcome_unknown")),
    (&[CREATED, (Poll, "denied.403.json"), COMPLETED, (File, MP4)], Ok(())),
];

const STARTED: Exchange = (Create, "veo-created.json");
const DONE: Exchange = (Poll, "veo-done.json");

/// Jobs of Veo.
const OPERATIONS: [Scenario; 14] = [
    (&[STARTED, (Poll, "veo-running.json"), DONE, (File, MP4)], Ok(())),
    (&[(Create, "rate.429.json"), STARTED, DONE, (File, MP4)], Ok(())),
    (&[STARTED, NOT_FOUND, NOT_FOUND, NOT_FOUND], Err("upstream_lost")),
    (&[STARTED, DONE, DEAD_LINK, DONE, (File, MP4)], Ok(())),
    (&[STARTED, (Poll, "veo-filtered.json")], Err("content_policy_violation")),
    (&[STARTED, (Poll, "veo-filtered-without-reason.json")], Err("content_policy_violation")),
    (&[STARTED, (Poll, "veo-guidelines.json")], Err("content_policy_violation")),
    (&[STARTED, (Poll, "veo-without-samples.json")], Err("upstream_unreadable")),
    (&[STARTED, (Poll, "veo-invalid.json")], Err("upstream_refused")),
    (&[STARTED, (Poll, "veo-quota.json")], Err("rate_limit_exceeded")),
    (&[STARTED, (Poll, "veo-internal.json")], Err("upstream_unavailable")),
    (&[(Create, "error-in-success.json")], Err("upstream_refused")),
    (&[(Create, "veo-no-name.json")], Err("upstream_unreadable")),
    (&[(Create, "model.404.json")], Err("upstream_refused")),
];

fn configure(settings: &mut Settings, _: &mut rest_gateway::Settings) {
    settings.video.service_type = VideoServiceType::Gemini;
    disable_circuit_breaker(settings);
    let mut base = settings.chat.base_url.clone().unwrap();
    base.set_path("/v1beta");
    settings.video.gemini.base_url = Some(base);
    settings.video.gemini.api_key = Some(OMNI.key.into());
    settings.video.gemini.poll_interval = Duration::from_millis(100);
}

async fn with_local_and_remote_core(test: impl AsyncFn(&TestServer)) {
    with_local_and_remote_core_and_settings(configure, test).await;
}

async fn assert_outcomes(provider: &ProviderCase, table: &[Scenario]) {
    with_local_and_remote_core(async |server| {
        for (exchanges, expected) in table {
            for request in provider.assert_outcome(server, exchanges, *expected).await {
                // Files of the API require the key too.
                assert_eq!(request.header("x-goog-api-key"), Some("gemini-video-secret"), "{}", request.head);
                assert_eq!(request.header("authorization"), None, "{}", request.head);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn every_response_about_an_interaction_gives_the_same_outcome_over_rest_and_grpc() {
    assert_outcomes(&OMNI, &COMMON.with(&INTERACTIONS)).await;
}

#[tokio::test]
async fn every_response_about_an_operation_gives_the_same_outcome_over_rest_and_grpc() {
    assert_outcomes(&VEO, &OPERATIONS).await;
}

#[test]
fn every_fixture_is_tested() {
    OMNI.fixtures().assert_all_used(COMMON.with(&INTERACTIONS).iter().chain(&OPERATIONS), &[]);
}

/// Creates a video that succeeds, and returns the body of the submission.
async fn submitted(server: &TestServer, provider: &ProviderCase, exchanges: [Exchange; 3], body: &Value) -> Value {
    for (call, fixture) in exchanges {
        provider.enqueue(server, "task-1", call, fixture);
    }
    let id = create(server, body).await;
    assert_eq!(wait_until_final(server, &id).await["status"], "completed");
    let submission = server.upstream.received().await;
    server.upstream.skip_requests(2).await;
    submission.json()
}

#[tokio::test]
async fn requests_have_the_nearest_ratio_resolution_and_duration() {
    with_local_and_remote_core(async |server| {
        let mut picture = std::io::Cursor::new(Vec::new());
        image::RgbImage::new(180, 320).write_to(&mut picture, image::ImageFormat::Png).unwrap();
        let encoded = STANDARD.encode(picture.get_ref());
        let body = json!({"prompt": "a boat", "seconds": 12, "input_reference": encoded, "user": "u-1"});
        let expected = json!({"model": OMNI.model, "background": true,
            "input": [{"type": "text", "text": "a boat"},
                {"type": "image", "data": encoded, "mime_type": "image/png"}],
            "response_format": {"type": "video", "aspect_ratio": "9:16", "resolution": "720p", "duration": "10s",
                "delivery": "uri"},
            "generation_config": {"video_config": {"task": "image_to_video"}}});
        assert_eq!(submitted(server, &OMNI, [CREATED, COMPLETED, (File, MP4)], &body).await, expected);
        let body = json!({"model": VEO.model, "prompt": "a boat", "size": "1920x1080", "seconds": 5,
            "personGeneration": "allow_adult"});
        let expected = json!({"instances": [{"prompt": "a boat"}], "parameters": {"aspectRatio": "16:9",
            "resolution": "720p", "durationSeconds": 6, "personGeneration": "allow_adult"}});
        assert_eq!(submitted(server, &VEO, [STARTED, DONE, (File, MP4)], &body).await, expected);
    })
    .await;
}

#[tokio::test]
async fn video_within_the_response_is_read_again_when_it_is_copied() {
    with_local_and_remote_core(async |server| {
        OMNI.enqueue(server, "task-1", Create, "created.json");
        let video = json!({"type": "video", "mime_type": "video/mp4", "data": STANDARD.encode(&*CLIP)});
        let steps = json!([{"type": "model_output", "content": [video]}]);
        let completed = json!({"id": "task-1", "status": "completed", "steps": steps}).to_string();
        for _ in 0..2 {
            server.upstream.enqueue_at("/v1beta/interactions/task-1", Reply::new(200, &completed));
        }
        let id = create(server, &OMNI.body()).await;
        assert_eq!(wait_until_final(server, &id).await["status"], "completed");
        let content = server.request(Method::GET, &format!("/v1/videos/{id}/content")).send().await.unwrap();
        assert!(content.bytes().await.unwrap() == *CLIP, "not the file of the upstream");
        server.upstream.skip_requests(3).await;
    })
    .await;
}

#[tokio::test]
async fn connection_lost_during_the_submission_leads_to_no_second_one() {
    with_local_and_remote_core(async |server| {
        for provider in [OMNI, VEO] {
            server.upstream.enqueue_at(provider.tasks, Reply::new(200, "{\"id\":").abort());
            let id = create(server, &provider.body()).await;
            assert_eq!(wait_until_final(server, &id).await["error"]["code"], "outcome_unknown");
            assert_eq!(request_line(&server.upstream.received().await), format!("post {}", provider.tasks));
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
        let storage = FakeUpstream::start().await;
        storage.enqueue(Reply::file("video/mp4", &CLIP));
        VEO.enqueue(server, "task-1", Create, "veo-created.json");
        let sample = json!({"video": {"uri": storage.url("/clip.mp4?X-Goog-Signature=1")}});
        let response = json!({"generateVideoResponse": {"generatedSamples": [sample]}});
        let done = json!({"name": "task-1", "done": true, "response": response});
        server.upstream.enqueue_at(&VEO.line(Poll, "task-1").1, Reply::new(200, &done.to_string()));
        let id = create(server, &VEO.body()).await;
        assert_eq!(wait_until_final(server, &id).await["status"], "completed");
        let file = storage.received().await;
        assert_eq!((file.path.as_str(), file.header("x-goog-api-key")), ("/clip.mp4?X-Goog-Signature=1", None));
        server.upstream.skip_requests(2).await;
    })
    .await;
}

#[tokio::test]
async fn interaction_is_cancelled_and_an_operation_runs_on() {
    let adjust = |settings: &mut Settings, gateway: &mut rest_gateway::Settings| {
        configure(settings, gateway);
        // The second poll is far away.
        settings.video.gemini.poll_interval = Duration::from_mins(1);
    };
    with_local_and_remote_core_and_settings(adjust, async |server| {
        for (provider, created, running, reply) in [
            (OMNI, "created.json", "in-progress.json", Some("cancelled.json")),
            (OMNI, "created.json", "in-progress.json", Some("cancel-too-late.400.json")),
            (VEO, "veo-created.json", "veo-running.json", None),
        ] {
            provider.enqueue(server, "task-1", Create, created);
            provider.enqueue(server, "task-1", Poll, running);
            let id = create(server, &provider.body()).await;
            wait_until_rendering(server, &id).await;
            server.upstream.skip_requests(2).await;
            if let Some(reply) = reply {
                provider.enqueue(server, "task-1", Cancel, reply);
            }
            let cancelled = server.request(Method::POST, &format!("/v1/videos/{id}/cancel")).send().await.unwrap();
            assert_eq!(json_body(cancelled).await["error"]["code"], "cancelled");
            if reply.is_some() {
                let request = server.upstream.received().await;
                assert_eq!(request_line(&request), "post /v1beta/interactions/task-1/cancel");
            }
            server.upstream.assert_no_request().await;
        }
    })
    .await;
}
