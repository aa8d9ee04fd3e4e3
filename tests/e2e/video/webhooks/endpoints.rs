//! Webhook endpoints: create, update, test, delete; rotation of secrets; URLs that are refused.

use reqwest::{Method, StatusCode};
use serde_json::json;
use tonic::Code;
use tonic_types::StatusExt as _;
use triptych_proto::v1 as pb;

use super::{create, create_endpoint, get, json_body, small_video, verified, with_webhooks};
use crate::{fake_upstream::Reply, rest_response::error_body, test_server::with_local_and_remote_core};

#[tokio::test]
async fn rotated_secret_signs_with_the_previous_one_during_the_overlap() {
    with_webhooks(async |server| {
        let endpoint = create_endpoint(server, &json!({"url": server.upstream.url("/hook")})).await;
        let (id, old) = (endpoint["id"].as_str().unwrap(), endpoint["signing_secret"].as_str().unwrap());
        let path = format!("/v1/webhook_endpoints/{id}");
        let rotated =
            json_body(server.post(&format!("{path}/rotate_secret"), &json!({"overlap_seconds": 600})).await).await;
        let new = rotated["signing_secret"].as_str().unwrap();
        assert_ne!(new, old);
        assert!(rotated["previous_secret_expires_at"].is_i64());
        server.upstream.enqueue_at("/hook", Reply::new(200, ""));
        create(server, &small_video("Pan left")).await;
        verified(&server.upstream.received().await, &[new, old]);

        // Without an overlap, the old secret ends at once.
        let request = pb::RotateWebhookSecretRequest { id: id.to_owned(), overlap: None };
        let newest = server.webhook_client().await.rotate_webhook_secret(request).await.unwrap().into_inner().secret;
        server.upstream.enqueue_at("/hook", Reply::new(200, ""));
        let test = json_body(server.post(&format!("{path}/test"), &json!({"event_type": "video.failed"})).await).await;
        assert_eq!((&test["success"], &test["status_code"]), (&json!(true), &json!(200)));
        assert_eq!((&test["delivery"]["status"], &test["delivery"]["test"]), (&json!("succeeded"), &json!(true)));
        let event = verified(&server.upstream.received().await, &[&newest]);
        assert_eq!((&event["type"], &event["data"]["id"]), (&json!("video.failed"), &test["delivery"]["video_id"]));
        assert!(get(server, &path).await.get("signing_secret").is_none());
    })
    .await;
}

#[tokio::test]
async fn endpoint_is_updated_disabled_and_deleted_over_both_apis() {
    with_webhooks(async |server| {
        let endpoint = create_endpoint(server, &json!({"url": server.upstream.url("/old"), "name": "a"})).await;
        let path = format!("/v1/webhook_endpoints/{}", endpoint["id"].as_str().unwrap());
        let update = json!({"url": server.upstream.url("/hook"), "enabled": false});
        let updated = json_body(server.post(&path, &update).await).await;
        assert_eq!((&updated["url"], &updated["name"]), (&update["url"], &json!("a")));
        assert_eq!((&updated["enabled"], &updated["disabled_reason"]), (&json!(false), &json!("disabled by a client")));
        // A test is sent to a disabled endpoint as well, and once only.
        server.upstream.enqueue_at("/hook", Reply::new(500, ""));
        let test = json_body(server.post(&format!("{path}/test"), &json!({})).await).await;
        assert_eq!((&test["delivery"]["status"], &test["status_code"]), (&json!("failed"), &json!(500)));
        server.upstream.received().await;
        let redeliver = format!("{path}/deliveries/{}/redeliver", test["delivery"]["id"].as_str().unwrap());
        // Tests have no schedule, but can be repeated.
        server.upstream.enqueue_at("/hook", Reply::new(200, ""));
        let again = server.post(&redeliver, &json!({})).await;
        assert_eq!(again.status(), StatusCode::OK);
        server.upstream.received().await;

        let mut client = server.webhook_client().await;
        let id = endpoint["id"].as_str().unwrap().to_owned();
        let request = pb::UpdateWebhookEndpointRequest {
            id: id.clone(),
            event_types: vec!["video.completed".to_owned()],
            enabled: Some(true),
            ..pb::UpdateWebhookEndpointRequest::default()
        };
        let enabled = client.update_webhook_endpoint(request).await.unwrap().into_inner().endpoint.unwrap();
        assert!(enabled.enabled && enabled.event_types == ["video.completed"], "{enabled:?}");
        let listed = client.list_webhook_endpoints(pb::ListWebhookEndpointsRequest::default()).await.unwrap();
        assert_eq!(listed.into_inner().endpoints, [enabled]);
        let deleted = json_body(server.request(Method::DELETE, &path).send().await.unwrap()).await;
        assert_eq!(deleted, json!({"id": id, "object": "webhook_endpoint.deleted", "deleted": true}));
        let gone = client.get_webhook_endpoint(pb::GetWebhookEndpointRequest { id }).await.unwrap_err();
        assert_eq!(gone.code(), Code::NotFound);
        assert_eq!(gone.get_details_error_info().unwrap().reason, "WEBHOOK_ENDPOINT_NOT_FOUND");
    })
    .await;
}

#[tokio::test]
async fn private_addresses_and_unsigned_callbacks_are_refused_by_default() {
    with_local_and_remote_core(async |server| {
        for url in
            [server.upstream.url("/hook"), "http://169.254.169.254/latest".into(), "http://[::1]/".into(), "a".into()]
        {
            let (status, error) = error_body(server.post("/v1/webhook_endpoints", &json!({"url": url})).await).await;
            let refused = (status, error["code"].as_str(), error["param"].as_str());
            assert_eq!(refused, (StatusCode::BAD_REQUEST, Some("invalid_field"), Some("url")), "{url}: {error}");
        }
        let request = pb::CreateVideoRequest {
            prompt: "Pan left".to_owned(),
            callback_url: "https://a.test/hook".to_owned(),
            ..pb::CreateVideoRequest::default()
        };
        let refused = server.video_client().await.create_video(request).await.unwrap_err();
        assert!(refused.message().contains("webhooks.callback_secret"), "{refused}");
        // A name is checked when it is resolved.
        let endpoint = create_endpoint(server, &json!({"url": "http://localhost:9/hook"})).await;
        let path = format!("/v1/webhook_endpoints/{}/test", endpoint["id"].as_str().unwrap());
        let test = json_body(server.post(&path, &json!({})).await).await;
        assert_eq!((&test["success"], &test["status_code"]), (&json!(false), &json!(null)));
        assert_eq!(test["delivery"]["attempts"][0]["error"], "the URL leads to an address that is not public");
    })
    .await;
}
