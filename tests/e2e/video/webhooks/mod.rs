//! Webhooks over REST and gRPC, with the fake upstream as the receiver.

mod endpoints;
mod owners;

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use core_service::config::{ConfiguredEndpoint, Settings};
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::Method;
use serde_json::{Value, json};
use triptych_proto::v1 as pb;

use super::{create, json_body, small_video};
use crate::{
    fake_upstream::{ReceivedRequest, Reply},
    test_server::{TestServer, with_local_and_remote_core_and_settings, within_timeout},
};

const OPERATOR_SECRET: &str = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
const CALLBACK_SECRET: &str = "whsec_YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWY=";

/// Permits the address of the fake upstream, and repeats a failed attempt twice, after 50 ms each.
fn permissive(settings: &mut Settings) {
    settings.webhooks.allow_private_addresses = true;
    settings.webhooks.retry_delays = vec![Duration::from_millis(50); 2];
}

async fn with_webhooks(test: impl AsyncFn(&TestServer)) {
    with_local_and_remote_core_and_settings(|settings, _| permissive(settings), test).await;
}

/// Creates an endpoint over REST, and returns it with its secret.
async fn create_endpoint(server: &TestServer, body: &Value) -> Value {
    json_body(server.post("/v1/webhook_endpoints", body).await).await
}

async fn get(server: &TestServer, path: &str) -> Value {
    json_body(within_timeout("a response", server.request(Method::GET, path).send()).await.unwrap()).await
}

/// Asserts that a delivery is signed with these secrets, in this order, and returns the event.
fn verified(request: &ReceivedRequest, secrets: &[&str]) -> Value {
    let header = |name| request.header(name).unwrap_or_else(|| panic!("no {name}: {}", request.head));
    let signed = format!("{}.{}.{}", header("webhook-id"), header("webhook-timestamp"), request.text());
    let signature = |secret: &&str| {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let mac = Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap().chain_update(&signed).finalize();
        format!("v1,{}", STANDARD.encode(mac.into_bytes()))
    };
    let expected: Vec<_> = secrets.iter().map(signature).collect();
    // The fake upstream has the headers in lower case.
    assert_eq!(header("webhook-signature"), expected.join(" ").to_lowercase());
    assert_eq!(header("content-type"), "application/json");
    let event = request.json();
    assert_eq!((event["id"].as_str(), &event["object"]), (Some(header("webhook-id")), &json!("event")));
    event
}

/// Polls a list of deliveries until the first one has this status.
async fn delivery_with_status(server: &TestServer, path: &str, status: &str) -> Value {
    within_timeout(status, async {
        loop {
            let delivery = get(server, path).await["data"][0].clone();
            if delivery["status"] == status {
                return delivery;
            }
        }
    })
    .await
}

#[tokio::test]
async fn event_reaches_the_endpoints_of_the_configuration_and_of_the_client_and_the_callback_of_the_request() {
    let adjust = |settings: &mut Settings, _: &mut rest_gateway::Settings| {
        permissive(settings);
        settings.webhooks.callback_secret = Some(CALLBACK_SECRET.into());
        let url = settings.chat.base_url.as_ref().map(|url| url.join("/operator").unwrap());
        let secret = Some(OPERATOR_SECRET.into());
        settings.webhooks.endpoints = vec![ConfiguredEndpoint { url, secret, ..ConfiguredEndpoint::default() }];
    };
    with_local_and_remote_core_and_settings(adjust, async |server| {
        let endpoint = create_endpoint(server, &json!({"url": server.upstream.url("/client")})).await;
        let secret = endpoint["signing_secret"].as_str().unwrap();
        for path in ["/operator", "/client", "/callback"] {
            server.upstream.enqueue_at(path, Reply::new(200, ""));
        }
        let request = pb::CreateVideoRequest {
            prompt: "Pan left".to_owned(),
            size: "160x96".to_owned(),
            duration_seconds: Some(1),
            callback_url: server.upstream.url("/callback"),
            ..pb::CreateVideoRequest::default()
        };
        let created = server.video_client().await.create_video(request).await.unwrap().into_inner();
        let id = created.video.unwrap().id;
        let mut events = Vec::new();
        for _ in 0..3 {
            let request = server.upstream.received().await;
            let secret = match request.path.as_str() {
                "/operator" => OPERATOR_SECRET,
                "/client" => secret,
                _ => CALLBACK_SECRET,
            };
            events.push(verified(&request, &[secret]));
        }
        assert_eq!((&events[0]["type"], &events[0]["data"]), (&json!("video.completed"), &json!({"id": id})));
        assert!(events.iter().all(|event| *event == events[0]), "{events:?}");
        let deliveries = get(server, &format!("/v1/videos/{id}/deliveries")).await;
        let mut urls: Vec<_> = deliveries["data"].as_array().unwrap().iter().map(|delivery| &delivery["url"]).collect();
        urls.sort_by_key(|url| url.as_str());
        assert_eq!(urls, ["/callback", "/client", "/operator"].map(|path| server.upstream.url(path)).each_ref());
        let callbacks = delivery_with_status(server, "/v1/webhook_endpoints/callback/deliveries", "succeeded").await;
        assert_eq!((&callbacks["endpoint_id"], &callbacks["video_id"]), (&json!("callback"), &json!(id)));
    })
    .await;
}

#[tokio::test]
async fn failed_attempt_is_repeated_and_a_delivery_is_sent_again_on_request() {
    with_webhooks(async |server| {
        let endpoint = create_endpoint(server, &json!({"url": server.upstream.url("/hook")})).await;
        let (endpoint_id, secret) = (endpoint["id"].as_str().unwrap(), endpoint["signing_secret"].as_str().unwrap());
        for status in [500, 302, 204, 200, 200] {
            server.upstream.enqueue_at("/hook", Reply::new(status, ""));
        }
        let id = create(server, &small_video("Pan left")).await;
        let mut events = Vec::new();
        for _ in 0..3 {
            events.push(verified(&server.upstream.received().await, &[secret]));
        }
        let path = format!("/v1/webhook_endpoints/{endpoint_id}/deliveries");
        let delivery = delivery_with_status(server, &path, "succeeded").await;
        let attempts = delivery["attempts"].as_array().unwrap();
        let statuses: Vec<_> = attempts.iter().map(|attempt| &attempt["http_status"]).collect();
        assert_eq!(statuses, [&json!(500), &json!(302), &json!(204)]);
        assert_eq!((&delivery["video_id"], &delivery["event_id"]), (&json!(id), &events[0]["id"]));

        let delivery_id = delivery["id"].as_str().unwrap();
        let again = server.post(&format!("{path}/{delivery_id}/redeliver"), &json!({})).await;
        assert_eq!(json_body(again).await["status"], "pending");
        events.push(verified(&server.upstream.received().await, &[secret]));
        delivery_with_status(server, &path, "succeeded").await;
        let mut client = server.webhook_client().await;
        let request = pb::RedeliverWebhookRequest { id: delivery_id.to_owned(), endpoint_id: String::new() };
        client.redeliver_webhook(request).await.unwrap();
        events.push(verified(&server.upstream.received().await, &[secret]));
        assert!(events.iter().all(|event| *event == events[0]), "{events:?}");
    })
    .await;
}

#[tokio::test]
async fn failed_video_is_an_event_and_a_cancelled_one_is_none() {
    with_webhooks(async |server| {
        let body = json!({"url": server.upstream.url("/hook"), "event_types": ["video.failed"]});
        let endpoint = create_endpoint(server, &body).await;
        let cancelled = create(
            server,
            &json!({"prompt": "Pan left", "size": "160x96", "seconds": 1, "model": "offline-video-fault-stuck"}),
        )
        .await;
        assert_eq!(server.post(&format!("/v1/videos/{cancelled}/cancel"), &json!({})).await.status(), 200);
        server.upstream.enqueue_at("/hook", Reply::new(200, ""));
        let failing =
            json!({"prompt": "Pan left", "size": "160x96", "seconds": 1, "model": "offline-video-fault-fails"});
        let failed = create(server, &failing).await;
        let event = verified(&server.upstream.received().await, &[endpoint["signing_secret"].as_str().unwrap()]);
        assert_eq!((&event["type"], &event["data"]["id"]), (&json!("video.failed"), &json!(failed)));
        assert_eq!(get(server, &format!("/v1/videos/{cancelled}/deliveries")).await["data"], json!([]));
    })
    .await;
}
