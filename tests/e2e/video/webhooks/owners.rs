//! Webhook endpoints and their deliveries belong to the client that created the endpoint.

use core_service::config::{self, Settings};
use reqwest::Method;
use serde_json::{Value, json};

use super::{permissive, small_video, verified};
use crate::{
    fake_upstream::Reply,
    test_server::{TestServer, with_local_and_remote_core_and_settings, within_timeout},
};

const ALICE: &str = "the-secret-of-alice";
const BOB: &str = "the-secret-of-bob-1";
const ADMIN: &str = "the-secret-of-admin";

/// Sends a request with this key, and returns the status and the JSON of the response.
async fn send(server: &TestServer, key: &str, method: Method, path: &str, body: &Value) -> (u16, Value) {
    let request = server.request(method, path).bearer_auth(key).header("content-type", "application/json");
    let response = within_timeout("a response", request.body(body.to_string()).send()).await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_str(&response.text().await.unwrap()).unwrap())
}

async fn get(server: &TestServer, key: &str, path: &str) -> (u16, Value) {
    send(server, key, Method::GET, path, &Value::Null).await
}

#[tokio::test]
async fn events_reach_the_endpoints_of_the_owner_only_and_others_do_not_see_them() {
    let adjust = |settings: &mut Settings, _: &mut rest_gateway::Settings| {
        permissive(settings);
        let key = |name: &str, secret: &str, admin| config::Key {
            name: name.to_owned(),
            secret: Some(secret.into()),
            admin,
            ..config::Key::default()
        };
        settings.keys = vec![key("alice", ALICE, false), key("bob", BOB, false), key("root", ADMIN, true)];
    };
    with_local_and_remote_core_and_settings(adjust, async |server| {
        let mut endpoints = Vec::new();
        for (key, path) in [(ALICE, "/alice"), (BOB, "/bob")] {
            let body = json!({"url": server.upstream.url(path)});
            let (status, endpoint) = send(server, key, Method::POST, "/v1/webhook_endpoints", &body).await;
            assert_eq!(status, 200, "{endpoint}");
            endpoints.push(endpoint);
        }
        let alice = format!("/v1/webhook_endpoints/{}", endpoints[0]["id"].as_str().unwrap());
        server.upstream.enqueue_at("/alice", Reply::new(200, ""));
        let (_, video) = send(server, ALICE, Method::POST, "/v1/videos", &small_video("Pan left")).await;
        let request = server.upstream.received().await;
        assert_eq!(request.path, "/alice");
        verified(&request, &[endpoints[0]["signing_secret"].as_str().unwrap()]);
        let (_, page) = get(server, ALICE, &format!("{alice}/deliveries")).await;
        let delivery = page["data"][0]["id"].as_str().unwrap();
        let of_video = format!("/v1/videos/{}/deliveries", video["id"].as_str().unwrap());

        let code = |(status, body): (u16, Value)| (status, body["error"]["code"].as_str().unwrap().to_owned());
        for path in [alice.clone(), format!("{alice}/deliveries")] {
            let refused = code(get(server, BOB, &path).await);
            assert_eq!(refused, (404, "webhook_endpoint_not_found".to_owned()), "{path}");
        }
        for action in ["", "/rotate_secret", "/test"] {
            let refused = code(send(server, BOB, Method::POST, &format!("{alice}{action}"), &json!({})).await);
            assert_eq!(refused, (404, "webhook_endpoint_not_found".to_owned()), "{action}");
        }
        assert_eq!(code(send(server, BOB, Method::DELETE, &alice, &Value::Null).await).0, 404);
        let redeliver = format!("{alice}/deliveries/{delivery}/redeliver");
        let refused = code(send(server, BOB, Method::POST, &redeliver, &json!({})).await);
        assert_eq!(refused, (404, "webhook_delivery_not_found".to_owned()));
        assert_eq!(code(get(server, BOB, &of_video).await), (404, "video_not_found".to_owned()));
        let (_, own) = get(server, BOB, "/v1/webhook_endpoints").await;
        assert_eq!((own["data"].as_array().unwrap().len(), &own["data"][0]["id"]), (1, &endpoints[1]["id"]));
        assert!(own["data"][0].get("owner").is_none());
        let (_, all) = get(server, ADMIN, "/v1/webhook_endpoints").await;
        let owners: Vec<_> = all["data"].as_array().unwrap().iter().map(|endpoint| &endpoint["owner"]).collect();
        assert_eq!(owners, ["bob", "alice"]);
        assert_eq!(get(server, ADMIN, &of_video).await.1["data"][0]["id"], delivery);
    })
    .await;
}
