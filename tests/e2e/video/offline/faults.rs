//! The models `offline-video-fault-FAULT` and the built-in webhook receivers `webhook-fault-FAULT.invalid`, which fail in a
//! defined way, over REST and gRPC.

use std::time::Duration;

use core_service::config::Settings;
use futures_util::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use triptych_proto::v1::{self as pb, video::State};

use super::super::{create, json_body, small_video, wait_until_final};
use crate::test_server::{
    TestServer, with_local_and_remote_core, with_local_and_remote_core_and_settings, within_timeout,
};

/// Renders a video with this fault over REST and over gRPC, and returns both endings: the code of the error, or `completed`, and
/// the progress.
async fn endings(server: &TestServer, fault: &str) -> [(String, u64); 2] {
    let model = format!("offline-video-fault-{fault}");
    let over_rest = async {
        let mut body = small_video("Pan left");
        body["model"] = json!(model);
        let video = wait_until_final(server, &create(server, &body).await).await;
        let code = video["error"]["code"].as_str().or(video["status"].as_str()).unwrap();
        (code.to_owned(), video["progress"].as_u64().unwrap())
    };
    let over_grpc = async {
        let mut client = server.video_client().await;
        let request = pb::CreateVideoRequest {
            model: model.clone(),
            prompt: "Pan left".to_owned(),
            size: "160x96".to_owned(),
            duration_seconds: Some(1),
            ..pb::CreateVideoRequest::default()
        };
        let id = client.create_video(request).await.unwrap().into_inner().video.unwrap().id;
        let watch = client.watch_video(pb::WatchVideoRequest { id }).await.unwrap().into_inner();
        let snapshots: Vec<_> = within_timeout("the video", watch.collect()).await;
        let video = snapshots.into_iter().next_back().unwrap().unwrap().video.unwrap();
        let ending = if video.state() == State::Succeeded { "completed".to_owned() } else { video.error.unwrap().code };
        (ending, video.progress_percent.into())
    };
    let (over_rest, over_grpc) = tokio::join!(over_rest, over_grpc);
    [over_rest, over_grpc]
}

/// Renders a video with each of these faults, all at once, and asserts its ending and progress.
async fn assert_endings(server: &TestServer, expected: &[(&str, &str, u64)]) {
    let ended = expected.iter().map(|(fault, ..)| endings(server, fault));
    for (ended, (fault, ending, progress)) in futures_util::future::join_all(ended).await.into_iter().zip(expected) {
        let expected = ((*ending).to_owned(), *progress);
        assert_eq!(ended, [expected.clone(), expected], "{fault}");
    }
}

#[tokio::test]
async fn lost_submission_is_found_by_a_search_or_has_an_unknown_outcome() {
    with_local_and_remote_core(async |server| {
        assert_endings(server, &[("lost", "completed", 100), ("outcome-unknown", "outcome_unknown", 0)]).await;
    })
    .await;
}

#[tokio::test]
async fn expired_link_is_renewed_once() {
    with_local_and_remote_core(async |server| {
        assert_endings(server, &[("renewed", "completed", 100), ("expired", "upstream_unreadable", 99)]).await;
    })
    .await;
}

#[tokio::test]
async fn render_that_is_unknown_for_a_while_is_completed_and_a_lost_one_fails() {
    with_local_and_remote_core(async |server| {
        let expected =
            [("unknown-state", "completed", 100), ("missing", "completed", 100), ("gone", "upstream_lost", 0)];
        assert_endings(server, &expected).await;
    })
    .await;
}

#[tokio::test]
async fn copy_below_the_minimum_rate_ends_at_the_deadline() {
    let adjust = |settings: &mut Settings, _: &mut rest_gateway::Settings| {
        settings.jobs.deadline = Duration::from_secs(10);
    };
    with_local_and_remote_core_and_settings(adjust, async |server| {
        assert_endings(server, &[("slow-copy", "deadline_exceeded", 99)]).await;
    })
    .await;
}

/// Polls the deliveries for a video until the only one is no longer pending, and returns it.
async fn delivery(server: &TestServer, id: &str) -> Value {
    within_timeout("the delivery", async {
        loop {
            let path = format!("/v1/videos/{id}/deliveries");
            let deliveries = json_body(server.request(Method::GET, &path).send().await.unwrap()).await;
            if let [delivery] = deliveries["data"].as_array().unwrap().as_slice()
                && delivery["status"] != "pending"
            {
                return delivery.clone();
            }
        }
    })
    .await
}

#[tokio::test]
async fn failing_receivers_serve_deliveries_to_a_callback_and_to_an_endpoint() {
    let adjust = |settings: &mut Settings, _: &mut rest_gateway::Settings| {
        settings.webhooks.callback_secret = Some("whsec_YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWY=".into());
        settings.webhooks.retry_delays = vec![Duration::from_millis(50); 3];
    };
    with_local_and_remote_core_and_settings(adjust, async |server| {
        let mut body = small_video("Pan left");
        // The built-in receiver of this host fails twice.
        body["callback_url"] = json!("https://webhook-fault-2.invalid/hook");
        let id = create(server, &body).await;
        let callback = delivery(server, &id).await;
        let attempts = callback["attempts"].as_array().unwrap();
        let statuses: Vec<_> = attempts.iter().map(|attempt| &attempt["http_status"]).collect();
        assert_eq!((&callback["status"], statuses), (&json!("succeeded"), vec![&json!(503), &json!(503), &json!(200)]));

        let mut webhooks = server.webhook_client().await;
        let url = "https://webhook-fault-down.invalid".to_owned();
        let request = pb::CreateWebhookEndpointRequest { url, ..pb::CreateWebhookEndpointRequest::default() };
        webhooks.create_webhook_endpoint(request).await.unwrap();
        let request = pb::CreateVideoRequest {
            prompt: "Pan left".to_owned(),
            size: "160x96".to_owned(),
            duration_seconds: Some(1),
            ..pb::CreateVideoRequest::default()
        };
        let id = server.video_client().await.create_video(request).await.unwrap().into_inner().video.unwrap().id;
        let down = delivery(server, &id).await;
        // The first attempt and three repetitions.
        assert_eq!((&down["status"], down["attempts"].as_array().unwrap().len()), (&json!("failed"), 4));
        assert_eq!(down["attempts"][0]["error"], "the receiver cannot be reached");
    })
    .await;
}
