//! The video provider `runway`: requests to the upstream, its responses over REST and gRPC.

use std::time::Duration;

use core_service::config::{Settings, VideoServiceType};
use serde_json::{Value, json};
use triptych_proto::v1::{self as pb, media_input::Source, video_frame::Position};

use super::{
    common_scenarios::{CommonScenarios, disable_circuit_breaker},
    create,
    provider_case::{
        Call::{self, Cancel, Create, File, Poll},
        Exchange, MP4, ProviderCase, Scenario,
    },
    provider_faults::{
        assert_cancelled_job_is_final, assert_foreign_link_gets_no_key, assert_lost_submission_is_not_repeated,
    },
    wait_until_final,
};
use crate::test_server::{TestServer, with_local_and_remote_core_and_settings};

const TASKS: &str = "/v1/text_to_video";
const PROVIDER: ProviderCase = ProviderCase {
    provider: "runway",
    model: "gen4.5",
    key: "key_runway_secret",
    tasks: TASKS,
    file: |id| format!("/output/{id}.mp4?_jwt=e30.sig"),
    route: |call, id| match call {
        Poll => Some(("get", format!("/v1/tasks/{id}"))),
        Cancel => Some(("delete", format!("/v1/tasks/{id}"))),
        Create | File | Call::Link => None,
    },
    needs_frame: false,
};

const CREATED: Exchange = (Create, "created.json");
const SUCCEEDED: Exchange = (Poll, "succeeded.json");
const NOT_FOUND: Exchange = (Poll, "not-found.404.json");
const DEAD_LINK: Exchange = (File, "denied-link.403.xml");

const COMMON: CommonScenarios = CommonScenarios {
    created: CREATED,
    finished: &[SUCCEEDED],
    rate_limit: "rate.429.json",
    failure: "internal.500.json",
    not_found: [NOT_FOUND; 3],
    dead_link: DEAD_LINK,
    cleanup: Some((Cancel, "deleted.204.json")),
};

const TABLE: [Scenario; 20] = [
    (&[CREATED, (Poll, "pending.json"), (Poll, "running.json"), SUCCEEDED, (File, MP4)], Ok(())),
    (&[CREATED, (Poll, "throttled.json"), (Poll, "unknown-state.json"), SUCCEEDED, (File, MP4)], Ok(())),
    (&[(Create, "unavailable.503.json"), CREATED, SUCCEEDED, (File, MP4)], Ok(())),
    (&[CREATED, (Poll, "succeeded-without-output.json")], Err("upstream_unreadable")),
    (&[CREATED, (Poll, "failed-input-safety.json")], Err("content_policy_violation")),
    (&[CREATED, (Poll, "failed-output-safety.json")], Err("content_policy_violation")),
    (&[CREATED, (Poll, "failed-text-safety.json")], Err("content_policy_violation")),
    (&[CREATED, (Poll, "failed-asset.json")], Err("upstream_refused")),
    (&[CREATED, (Poll, "failed-bad-output.json")], Err("upstream_refused")),
    (&[CREATED, (Poll, "failed-third-party.json")], Err("upstream_unavailable")),
    (&[CREATED, (Poll, "failed-internal.json")], Err("upstream_unavailable")),
    (&[CREATED, (Poll, "failed-without-code.json")], Err("upstream_unavailable")),
    (&[CREATED, (Poll, "cancelled.json")], Err("upstream_cancelled")),
    (&[(Create, "ratio.400.json")], Err("upstream_refused")),
    (&[(Create, "path.404.json")], Err("upstream_refused")),
    (&[(Create, "invalid-key.401.json")], Err("provider_credentials")),
    (&[(Create, "credits.400.json")], Err("provider_credentials")),
    (&[(Create, "model.403.json")], Err("provider_credentials")),
    (&[(Create, "internal.500.json")], Err("outcome_unknown")),
    (&[CREATED, (Poll, "invalid-key.401.json"), SUCCEEDED, (File, MP4)], Ok(())),
];

fn configure(settings: &mut Settings, _: &mut rest_gateway::Settings) {
    settings.video.service_type = VideoServiceType::Runway;
    disable_circuit_breaker(settings);
    settings.video.runway.base_url = settings.chat.base_url.clone();
    settings.video.runway.api_key = Some(PROVIDER.key.into());
    settings.video.runway.poll_interval = Duration::from_millis(100);
}

async fn with_local_and_remote_core(test: impl AsyncFn(&TestServer)) {
    with_local_and_remote_core_and_settings(configure, test).await;
}

#[tokio::test]
async fn every_response_gives_the_same_outcome_over_rest_and_grpc() {
    with_local_and_remote_core(async |server| {
        for (exchanges, expected) in COMMON.with(&TABLE) {
            for request in PROVIDER.assert_outcome(server, exchanges, expected).await {
                let is_link = request.path.starts_with("/output/");
                // The download of the result needs neither the key nor the version of the API.
                let headers = ["authorization", "x-runway-version"].map(|name| request.header(name));
                let expected = [Some("bearer key_runway_secret"), Some("2024-11-06")];
                assert_eq!(headers, if is_link { [None; 2] } else { expected }, "{}", request.head);
            }
        }
    })
    .await;
}

#[test]
fn every_fixture_is_tested() {
    PROVIDER.fixtures().assert_all_used(&COMMON.with(&TABLE), &[]);
}

/// Enqueues the responses of a render that succeeds, whose submission goes to a path.
fn enqueue_success(server: &TestServer, path: &str) {
    server.upstream.enqueue_at(path, PROVIDER.fixtures().reply(server, "created.json", "task-1"));
    for (call, fixture) in [SUCCEEDED, (File, MP4)] {
        PROVIDER.enqueue(server, "task-1", call, fixture);
    }
}

/// Returns the body of the submission of a render that succeeded.
async fn submission(server: &TestServer, id: &str) -> Value {
    assert_eq!(wait_until_final(server, id).await["status"], "completed");
    let submission = server.upstream.received().await;
    server.upstream.skip_requests(2).await;
    submission.json()
}

#[tokio::test]
async fn request_has_the_nearest_size_and_no_unsupported_parameter() {
    with_local_and_remote_core(async |server| {
        enqueue_success(server, TASKS);
        let body = json!({"model": "gen4.5", "prompt": "a boat", "size": "1920x1080", "seconds": 12, "seed": 7,
            "user": "u-1", "contentModeration": {"publicFigureThreshold": "low"}});
        let id = create(server, &body).await;
        let expected = json!({"model": "gen4.5", "promptText": "a boat", "duration": 10, "ratio": "1280:720", "seed": 7,
            "contentModeration": {"publicFigureThreshold": "low"}});
        assert_eq!(submission(server, &id).await, expected);
    })
    .await;
}

#[tokio::test]
async fn first_and_last_frame_are_sent_to_image_to_video_as_data_urls() {
    with_local_and_remote_core(async |server| {
        enqueue_success(server, "/v1/image_to_video");
        let mut picture = std::io::Cursor::new(Vec::new());
        image::RgbImage::new(320, 180).write_to(&mut picture, image::ImageFormat::Png).unwrap();
        let frame = |position: Position| pb::VideoFrame {
            image: Some(pb::MediaInput { source: Some(Source::Data(picture.get_ref().clone().into())) }),
            position: position.into(),
        };
        let request = pb::CreateVideoRequest {
            model: "veo3.1".to_owned(),
            prompt: "a boat".to_owned(),
            duration_seconds: Some(5),
            generate_audio: Some(false),
            frame_images: vec![frame(Position::First), frame(Position::Last)],
            ..pb::CreateVideoRequest::default()
        };
        let mut client = server.video_client().await;
        let id = client.create_video(request).await.unwrap().into_inner().video.unwrap().id;
        let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, picture.get_ref());
        let uri = format!("data:image/png;base64,{encoded}");
        let expected = json!({"model": "veo3.1", "promptText": "a boat", "duration": 6, "ratio": "1920:1080",
            "audio": false,
            "promptImage": [{"uri": uri, "position": "first"}, {"uri": uri, "position": "last"}]});
        assert_eq!(submission(server, &id).await, expected);
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
        let finished = |link: &str| json!({"id": "task-1", "status": "SUCCEEDED", "output": [link]});
        assert_foreign_link_gets_no_key(&PROVIDER, server, "created.json", finished).await;
    })
    .await;
}

#[tokio::test]
async fn cancelled_job_stops_the_task_also_if_it_is_gone() {
    let adjust = |settings: &mut Settings, gateway: &mut rest_gateway::Settings| {
        configure(settings, gateway);
        // The second poll is far away.
        settings.video.runway.poll_interval = Duration::from_mins(1);
    };
    with_local_and_remote_core_and_settings(adjust, async |server| {
        let replies = ["deleted.204.json", "not-found.404.json"];
        assert_cancelled_job_is_final(&PROVIDER, server, "created.json", "running.json", &replies).await;
    })
    .await;
}
