//! The video provider `fal`, whose queue runs models of many vendors: requests to the upstream, its responses over REST and
//! gRPC. In fal's API a task is called a request, and an application is the group of a model's endpoints.

use std::time::Duration;

use core_service::config::{Settings, VideoServiceType};
use serde_json::{Value, json};
use triptych_proto::v1::{self as pb, media_input::Source, video_reference::Kind};

use super::{
    common_scenarios::{CommonScenarios, disable_circuit_breaker},
    create,
    provider_case::{
        CLIP,
        Call::{self, Cancel, Create, File, Poll},
        Exchange, MP4, ProviderCase, Scenario,
    },
    provider_faults::{assert_cancelled_job_is_final, assert_lost_submission_is_not_repeated},
    wait_until_final,
};
use crate::{
    fake_upstream::{FakeUpstream, Reply},
    test_server::{TestServer, with_local_and_remote_core_and_settings},
};

const APPLICATION: &str = "/fal-ai/veo3.1";
const PROVIDER: ProviderCase = ProviderCase {
    provider: "fal",
    model: "fal-ai/veo3.1",
    key: "fal-id:fal-video-secret",
    tasks: APPLICATION,
    file: |id| format!("/files/{id}.mp4"),
    route: |call, id| match call {
        Poll => Some(("get", format!("{APPLICATION}/requests/{id}/status"))),
        Call::Link => Some(("get", format!("{APPLICATION}/requests/{id}"))),
        Cancel => Some(("put", format!("{APPLICATION}/requests/{id}/cancel"))),
        Create | File => None,
    },
    needs_frame: false,
};

const CREATED: Exchange = (Create, "created.json");
const COMPLETED: Exchange = (Poll, "completed.json");
const RESULT: Exchange = (Call::Link, "result.json");
const NOT_FOUND: Exchange = (Poll, "request.404.json");
const DEAD_LINK: Exchange = (File, "denied-link.403.xml");

const COMMON: CommonScenarios = CommonScenarios {
    created: CREATED,
    finished: &[COMPLETED, RESULT],
    rate_limit: "rate.429.json",
    failure: "gateway.502.html",
    not_found: [NOT_FOUND; 3],
    dead_link: DEAD_LINK,
    cleanup: Some((Cancel, "already-completed.400.json")),
};

const TABLE: [Scenario; 24] = [
    (&[CREATED, (Poll, "queued.202.json"), (Poll, "in-progress.202.json"), COMPLETED, RESULT, (File, MP4)], Ok(())),
    (&[CREATED, (Poll, "unknown-state.json"), COMPLETED, RESULT, (File, MP4)], Ok(())),
    (&[CREATED, COMPLETED, (Call::Link, "gateway.502.html"), COMPLETED, RESULT, (File, MP4)], Ok(())),
    (&[CREATED, COMPLETED, (Call::Link, "invalid-key.401.json"), COMPLETED, RESULT, (File, MP4)], Ok(())),
    (&[CREATED, (Poll, "no-status.json"), COMPLETED, RESULT, (File, MP4)], Ok(())),
    (&[CREATED, COMPLETED, (Call::Link, "result-without-video.json")], Err("upstream_unreadable")),
    (&[CREATED, COMPLETED, (Call::Link, "policy.422.json")], Err("content_policy_violation")),
    (&[CREATED, COMPLETED, (Call::Link, "policy-list.422.json")], Err("content_policy_violation")),
    (&[CREATED, COMPLETED, (Call::Link, "no-media.422.json")], Err("upstream_refused")),
    (&[CREATED, COMPLETED, (Call::Link, "duration.422.json")], Err("upstream_refused")),
    (&[CREATED, COMPLETED, (Call::Link, "text.400.json")], Err("upstream_refused")),
    (&[CREATED, COMPLETED, (Call::Link, "model-error.500.json")], Err("upstream_unavailable")),
    (&[CREATED, COMPLETED, (Call::Link, "downstream.502.json")], Err("upstream_unavailable")),
    (&[CREATED, COMPLETED, (Call::Link, "timeout.504.json")], Err("upstream_timeout")),
    (&[CREATED, (Poll, "cancelled.json")], Err("upstream_cancelled")),
    (&[(Create, "policy.422.json")], Err("content_policy_violation")),
    (&[(Create, "policy-list.422.json")], Err("content_policy_violation")),
    (&[(Create, "duration.422.json")], Err("upstream_refused")),
    (&[(Create, "text.400.json")], Err("upstream_refused")),
    (&[(Create, "application.404.json")], Err("upstream_refused")),
    (&[(Create, "invalid-key.401.json")], Err("provider_credentials")),
    (&[(Create, "balance.403.json")], Err("provider_credentials")),
    (&[(Create, "gateway.502.html")], Err("outcome_unknown")),
    (&[(Create, "model-error.500.json")], Err("outcome_unknown")),
];

fn configure(settings: &mut Settings, _: &mut rest_gateway::Settings) {
    settings.video.service_type = VideoServiceType::Fal;
    disable_circuit_breaker(settings);
    let mut base = settings.chat.base_url.clone().unwrap();
    base.set_path("");
    settings.video.fal.base_url = Some(base);
    settings.video.fal.api_key = Some(PROVIDER.key.into());
    settings.video.fal.poll_interval = Duration::from_millis(100);
}

async fn with_local_and_remote_core(test: impl AsyncFn(&TestServer)) {
    with_local_and_remote_core_and_settings(configure, test).await;
}

#[tokio::test]
async fn every_response_gives_the_same_outcome_over_rest_and_grpc() {
    with_local_and_remote_core(async |server| {
        for (exchanges, expected) in COMMON.with(&TABLE) {
            for request in PROVIDER.assert_outcome(server, exchanges, expected).await {
                let key = (!request.path.starts_with("/files/")).then_some("key fal-id:fal-video-secret");
                assert_eq!(request.header("authorization"), key, "{}", request.head);
            }
        }
    })
    .await;
}

#[test]
fn every_fixture_is_tested() {
    // `cancellation.202.json` responds to a cancellation below.
    PROVIDER.fixtures().assert_all_used(&COMMON.with(&TABLE), &["cancellation.202.json"]);
}

/// Creates a video at the endpoint `path` that succeeds, and returns the body of the submission.
async fn submitted(server: &TestServer, path: &str, request: pb::CreateVideoRequest) -> Value {
    // The tasks of an endpoint are below its application: the first two segments of the path.
    let mut segments = path.splitn(4, '/');
    let application: Vec<_> = segments.by_ref().take(3).collect();
    let task = format!("{}/requests/task-1", application.join("/"));
    let reply = |name: &str| PROVIDER.fixtures().reply(server, name, "task-1");
    server.upstream.enqueue_at(path, reply("created.json"));
    server.upstream.enqueue_at(&format!("{task}/status"), reply("completed.json"));
    server.upstream.enqueue_at(&task, reply("result.json"));
    PROVIDER.enqueue(server, "task-1", File, MP4);
    let mut client = server.video_client().await;
    let id = client.create_video(request).await.unwrap().into_inner().video.unwrap().id;
    assert_eq!(wait_until_final(server, &id).await["status"], "completed");
    let submission = server.upstream.received().await;
    assert_eq!(submission.path, path);
    server.upstream.skip_requests(3).await;
    submission.json()
}

#[tokio::test]
async fn inputs_choose_the_endpoint_of_the_model() {
    with_local_and_remote_core(async |server| {
        let request = |model: &str| pb::CreateVideoRequest {
            model: model.to_owned(),
            prompt: "a boat".to_owned(),
            duration_seconds: Some(5),
            ..pb::CreateVideoRequest::default()
        };
        let text = pb::CreateVideoRequest { size: "1280x720".to_owned(), ..request("fal-ai/veo3.1") };
        let expected = json!({"prompt": "a boat", "duration": "6s", "aspect_ratio": "16:9", "resolution": "720p"});
        assert_eq!(submitted(server, "/fal-ai/veo3.1", text).await, expected);
        let mut picture = std::io::Cursor::new(Vec::new());
        image::RgbImage::new(320, 180).write_to(&mut picture, image::ImageFormat::Png).unwrap();
        let input = pb::MediaInput { source: Some(Source::Data(picture.get_ref().clone().into())) };
        let framed = pb::CreateVideoRequest { input_reference: Some(input), ..request("fal-ai/kling-video/v3/pro") };
        let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, picture.get_ref());
        let expected = json!({"prompt": "a boat", "duration": "5", "resolution": "1080p",
            "start_image_url": format!("data:image/png;base64,{encoded}")});
        assert_eq!(submitted(server, "/fal-ai/kling-video/v3/pro/image-to-video", framed).await, expected);
        let clip = pb::MediaInput { source: Some(Source::Url("https://clips.example/a.mp4".to_owned())) };
        let reference = pb::VideoReference { media: Some(clip), kind: Kind::Video.into() };
        let referring = pb::CreateVideoRequest {
            input_references: vec![reference],
            generate_audio: Some(false),
            ..request("bytedance/seedance-2.0")
        };
        let expected = json!({"prompt": "a boat", "duration": "5", "aspect_ratio": "16:9", "resolution": "720p",
            "generate_audio": false, "video_urls": ["https://clips.example/a.mp4"]});
        assert_eq!(submitted(server, "/bytedance/seedance-2.0/reference-to-video", referring).await, expected);
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
        let storage = FakeUpstream::start().await;
        storage.enqueue(Reply::file("video/mp4", &CLIP));
        PROVIDER.enqueue(server, "task-1", Create, "created.json");
        PROVIDER.enqueue(server, "task-1", Poll, "completed.json");
        let result = json!({"video": {"url": storage.url("/clip.mp4?sig=1")}});
        server.upstream.enqueue_at(&PROVIDER.line(Call::Link, "task-1").1, Reply::new(200, &result.to_string()));
        let id = create(server, &PROVIDER.body()).await;
        assert_eq!(wait_until_final(server, &id).await["status"], "completed");
        let file = storage.received().await;
        assert_eq!((file.path.as_str(), file.header("authorization")), ("/clip.mp4?sig=1", None));
        server.upstream.skip_requests(3).await;
    })
    .await;
}

#[tokio::test]
async fn cancelled_job_stops_the_request_also_if_it_is_gone_or_finished() {
    let adjust = |settings: &mut Settings, gateway: &mut rest_gateway::Settings| {
        configure(settings, gateway);
        // The second poll is far away.
        settings.video.fal.poll_interval = Duration::from_mins(1);
    };
    with_local_and_remote_core_and_settings(adjust, async |server| {
        let replies = ["cancellation.202.json", "already-completed.400.json", "request.404.json"];
        assert_cancelled_job_is_final(&PROVIDER, server, "created.json", "in-progress.202.json", &replies).await;
    })
    .await;
}
