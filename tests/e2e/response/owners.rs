//! A response belongs to the key that created it.

use core_service::config;
use reqwest::Method;
use serde_json::{Value, json};

use super::{body, id, text};
use crate::test_server::{TestServer, with_local_and_remote_core_and_settings, within_timeout};

const ALICE: &str = "the-secret-of-alice";
const BOB: &str = "the-secret-of-bob-1";
const ADMIN: &str = "the-secret-of-admin";

async fn send(server: &TestServer, secret: &str, method: Method, path: &str, body: &Value) -> (u16, Value) {
    let request = server.request(method, path).bearer_auth(secret).header("content-type", "application/json");
    let response = within_timeout("a response", request.body(body.to_string()).send()).await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_str(&response.text().await.unwrap()).unwrap())
}

#[tokio::test]
async fn response_of_another_key_does_not_exist_and_administrators_reach_it() {
    let adjust = |settings: &mut config::Settings, _: &mut rest_gateway::Settings| {
        let key = |name: &str, secret: &str, admin| config::Key {
            name: name.to_owned(),
            secret: Some(secret.into()),
            admin,
            ..config::Key::default()
        };
        settings.keys = vec![key("alice", ALICE, false), key("bob", BOB, false), key("root", ADMIN, true)];
    };
    with_local_and_remote_core_and_settings(adjust, async |server| {
        server.upstream.enqueue(text("Hello!"));
        let (_, created) = send(server, ALICE, Method::POST, "/v1/responses", &body("Hi", &json!({}))).await;
        server.upstream.skip_requests(1).await;
        let path = format!("/v1/responses/{}", id(&created));
        for (method, path) in [
            (Method::GET, path.clone()),
            (Method::GET, format!("{path}?stream=true")),
            (Method::GET, format!("{path}/input_items")),
            (Method::POST, format!("{path}/cancel")),
            (Method::DELETE, path.clone()),
        ] {
            let (status, error) = send(server, BOB, method.clone(), &path, &Value::Null).await;
            assert_eq!((status, &error["error"]["code"]), (404, &json!("response_not_found")), "{method} {path}");
        }
        let reference = json!({"input": [{"type": "item_reference", "id": created["output"][0]["id"]}]});
        for members in [json!({"previous_response_id": id(&created)}), reference] {
            let (status, error) = send(server, BOB, Method::POST, "/v1/responses", &body("Hi", &members)).await;
            assert_eq!(status, 400, "{error}");
        }
        assert_eq!(send(server, ALICE, Method::GET, &path, &Value::Null).await.0, 200);
        server.upstream.enqueue(text("Hello again!"));
        let request = body("Hi", &json!({"previous_response_id": id(&created)}));
        assert_eq!(send(server, ADMIN, Method::POST, "/v1/responses", &request).await.0, 200);
        server.upstream.skip_requests(1).await;
        assert_eq!(send(server, ADMIN, Method::DELETE, &path, &Value::Null).await.0, 200);
        assert_eq!(send(server, ALICE, Method::GET, &path, &Value::Null).await.0, 404);
    })
    .await;
}
