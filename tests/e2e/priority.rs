//! The priority of API keys: the order in which waiting calls reach an upstream, and in which queued videos are submitted.

use core_service::{
    config::{Key, Settings, VideoServiceType},
    priority::Priority,
};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tonic::{Code, Request};
use triptych_proto::v1::{self as pb, api_key};

use crate::{
    chat::setup::{COMPLETION, configure_targets},
    fake_upstream::{Latch, ReceivedRequest, Reply},
    rest_response::error_body,
    test_server::{TestServer, chat_body, with_local_and_remote_core_and_settings, within_timeout},
    video::small_video,
};

const ROOT: &str = "secret-of-root-00001";
const BATCH: &str = "secret-of-batch-0001";
const CAROL: &str = "secret-of-carol-0001";

/// Configures an administrator, the key `batch` of low priority and `carol` of the default one.
fn configure_keys(settings: &mut Settings) {
    let key = |name: &str, secret: &str| Key { name: name.to_owned(), secret: Some(secret.into()), ..Key::default() };
    settings.keys = vec![
        Key { admin: true, ..key("root", ROOT) },
        Key { priority: Priority::Low, ..key("batch", BATCH) },
        key("carol", CAROL),
    ];
}

async fn post(server: &TestServer, secret: &str, path: &str, body: &Value) -> Response {
    let request = server.request(Method::POST, path).bearer_auth(secret).header("content-type", "application/json");
    within_timeout("a response", request.body(body.to_string()).send()).await.unwrap()
}

/// Sends a request that must succeed, and returns the JSON of the response.
async fn ok(server: &TestServer, secret: &str, path: &str, body: &Value) -> Value {
    let response = post(server, secret, path, body).await;
    let status = response.status();
    let text = response.text().await.unwrap();
    assert_eq!(status, 200, "{path}: {text}");
    serde_json::from_str(&text).unwrap()
}

fn body_of(request: &ReceivedRequest) -> String {
    String::from_utf8_lossy(&request.body).into_owned()
}

/// Creates a key at run time, and returns its secret.
async fn create_key(server: &TestServer, body: &Value) -> String {
    let created = ok(server, ROOT, "/admin/v1/keys", body).await;
    assert_eq!(created["priority"], body["priority"]);
    created["secret"].as_str().unwrap().to_owned()
}

/// Sends a chat call, repeated until the queue has room, and returns its status.
fn spawn_chat(server: &TestServer, secret: &str, user: &str) -> JoinHandle<u16> {
    let request = server.request(Method::POST, "/v1/chat/completions").bearer_auth(secret);
    let request = request.body(chat_body(&json!({"user": user})));
    tokio::spawn(async move {
        loop {
            let status = request.try_clone().unwrap().send().await.unwrap().status().as_u16();
            if status != 429 {
                return status;
            }
        }
    })
}

/// Waits until the queue is full. Each probe is queued for a moment itself, so three in a row must find no room.
async fn wait_until_queue_is_full(server: &TestServer) {
    let full = async {
        let mut refusals = 0;
        while refusals < 3 {
            let probe = server.request(Method::POST, "/v1/chat/completions").bearer_auth(ROOT);
            let probe = probe.header("x-request-timeout-ms", "1").body(chat_body(&json!({"user": "probe"})));
            let (_, error) = error_body(probe.send().await.unwrap()).await;
            refusals = if error["code"] == "overloaded" { refusals + 1 } else { 0 };
        }
    };
    within_timeout("the queue to fill", full).await;
}

#[tokio::test]
async fn waiting_calls_reach_the_upstream_by_the_priority_of_their_keys() {
    with_local_and_remote_core_and_settings(
        |settings, _| {
            configure_keys(settings);
            configure_targets(settings, None);
            (settings.chat.upstreams[0].max_in_flight, settings.chat.upstreams[0].queue_limit) = (1, 3);
        },
        async |server| {
            let alice = create_key(server, &json!({"name": "alice", "priority": "high"})).await;
            for (changed, order) in [
                (Value::Null, ["high", "normal", "low"]),
                // A change applies to the calls after it.
                (json!({"priority": "low"}), ["normal", "low", "high"]),
            ] {
                if !changed.is_null() {
                    assert_eq!(ok(server, ROOT, "/admin/v1/keys/alice", &changed).await["priority"], "low");
                }
                let gate = Latch::new();
                server.upstream.enqueue(Reply::stream().wait_for(&gate));
                let holder = spawn_chat(server, BATCH, "holder");
                assert_eq!(server.upstream.received().await.json()["user"], "holder");
                let mut waiting = Vec::new();
                // The one of low priority is the first in the queue.
                let low = spawn_chat(server, BATCH, "low");
                waiting.extend([low, spawn_chat(server, CAROL, "normal"), spawn_chat(server, &alice, "high")]);
                wait_until_queue_is_full(server).await;
                for _ in &waiting {
                    server.upstream.enqueue(Reply::new(200, COMPLETION));
                }
                gate.open();
                let mut received = Vec::new();
                for _ in &waiting {
                    received.push(server.upstream.received().await.json()["user"].as_str().unwrap().to_owned());
                }
                assert_eq!(received, order);
                for call in waiting {
                    assert_eq!(within_timeout("a response", call).await.unwrap(), 200);
                }
                within_timeout("the first response", holder).await.unwrap();
            }
        },
    )
    .await;
}

#[tokio::test]
async fn queued_videos_are_submitted_by_the_priority_of_their_keys() {
    with_local_and_remote_core_and_settings(
        |settings, _| {
            configure_keys(settings);
            settings.video.service_type = VideoServiceType::Openai;
            settings.video.openai.base_url = settings.chat.base_url.clone();
            // One submission at a time.
            settings.jobs.concurrency = 1;
        },
        async |server| {
            let refusal = r#"{"error":{"message":"no","type":"invalid_request_error","code":"invalid_value"}}"#;
            let alice = create_key(server, &json!({"name": "alice", "priority": "high"})).await;
            let gate = Latch::new();
            server.upstream.enqueue_at("/v1/videos", Reply::new(400, refusal).wait_for(&gate));
            ok(server, BATCH, "/v1/videos", &small_video("first")).await;
            assert!(body_of(&server.upstream.received().await).contains("first"));
            for (secret, prompt) in [
                (BATCH, "low-1"),
                (BATCH, "low-2"),
                (CAROL, "normal-1"),
                (&alice, "high-1"),
                (&alice, "high-2"),
                (&alice, "high-3"),
                (&alice, "high-4"),
            ] {
                let created = ok(server, secret, "/v1/videos", &small_video(prompt)).await;
                assert_eq!(created["status"], "queued", "{created}");
                server.upstream.enqueue_at("/v1/videos", Reply::new(400, refusal));
            }
            // The queued videos keep their priority.
            ok(server, ROOT, "/admin/v1/keys/alice", &json!({"priority": "low"})).await;
            gate.open();
            // Three of high priority, one of those below, and so on.
            for prompt in ["high-1", "high-2", "high-3", "normal-1", "high-4", "low-1", "low-2"] {
                let body = body_of(&server.upstream.received().await);
                assert!(body.contains(prompt), "{prompt}: {body}");
            }
        },
    )
    .await;
}

#[tokio::test]
async fn priority_is_in_the_keys_of_both_apis_and_an_invalid_one_is_refused_by_name() {
    with_local_and_remote_core_and_settings(
        |settings, _| configure_keys(settings),
        async |server| {
            for (name, priority) in [("batch", "low"), ("carol", "normal")] {
                let request = server.request(Method::GET, &format!("/admin/v1/keys/{name}")).bearer_auth(ROOT);
                let key: Value = serde_json::from_str(&request.send().await.unwrap().text().await.unwrap()).unwrap();
                assert_eq!(key["priority"], priority);
            }
            for body in [json!({"name": "dave", "priority": "urgent"}), json!({"name": "dave", "priority": 3})] {
                let (status, error) = error_body(post(server, ROOT, "/admin/v1/keys", &body).await).await;
                assert_eq!((status.as_u16(), &error["param"]), (400, &json!("priority")), "{error}");
                assert!(error["message"].as_str().unwrap().contains("`low`, `normal` or `high`"), "{error}");
            }
            let grpc = |priority| {
                let name = "dave".to_owned();
                let mut request =
                    Request::new(pb::CreateKeyRequest { name, priority, ..pb::CreateKeyRequest::default() });
                request.metadata_mut().insert("authorization", format!("Bearer {ROOT}").parse().unwrap());
                request
            };
            let mut client = server.admin_client().await;
            // One more than the last value of the enum.
            let refused = client.create_key(grpc(4)).await.unwrap_err();
            assert_eq!(refused.code(), Code::InvalidArgument);
            assert!(refused.message().starts_with("priority: must be PRIORITY_LOW"), "{refused:?}");
            let created = client.create_key(grpc(api_key::Priority::Unspecified.into())).await.unwrap().into_inner();
            assert_eq!(created.key.unwrap().priority(), api_key::Priority::Normal);
        },
    )
    .await;
}
