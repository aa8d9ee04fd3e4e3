//! Administration over both APIs: keys that are created at run time, and the repair of the ledger.

mod keys;
mod ledger;

use core_service::{
    config::{Key, Price, Settings, Team},
    usd::Usd,
};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use tonic::Request;

use crate::test_server::{MODEL, TestServer, chat_body, within_timeout};

/// The key of an administrator.
const ROOT: &str = "secret-of-root-00001";
/// The key of a user who is no administrator.
const CAROL: &str = "secret-of-carol-0001";

/// Configures the administrator `root`, the key `carol`, the team `research`, and prices: a token of a chat response costs a millionth
/// of a dollar, a second of video a dollar.
fn configure(settings: &mut Settings, _: &mut rest_gateway::Settings) {
    let key = |name: &str, secret: &str, admin| Key {
        name: name.to_owned(),
        secret: Some(secret.into()),
        admin,
        ..Key::default()
    };
    settings.keys = vec![key("root", ROOT, true), key("carol", CAROL, false)];
    settings.teams = vec![Team { name: "research".to_owned(), ..Team::default() }];
    let chat = Price { model: MODEL.to_owned(), per_million_output_tokens: Usd::parse("1"), ..Price::default() };
    let video = Price { model: "offline-video*".to_owned(), per_second: Usd::parse("1"), ..Price::default() };
    settings.prices = vec![chat, video];
}

/// Sends a REST request; a null body is not sent.
async fn rest(server: &TestServer, secret: &str, method: Method, path: &str, body: &Value) -> Response {
    let request = server.request(method, path).bearer_auth(secret).header("content-type", "application/json");
    let request = if body.is_null() { request } else { request.body(body.to_string()) };
    within_timeout("a response", request.send()).await.unwrap()
}

async fn post(server: &TestServer, secret: &str, path: &str, body: &Value) -> Response {
    rest(server, secret, Method::POST, path, body).await
}

/// Sends a request that must succeed, and returns the JSON of the response.
async fn ok(server: &TestServer, secret: &str, method: Method, path: &str, body: &Value) -> Value {
    let response = rest(server, secret, method, path, body).await;
    let status = response.status();
    let text = response.text().await.unwrap();
    assert_eq!(status, StatusCode::OK, "{path}: {text}");
    serde_json::from_str(&text).unwrap()
}

/// Creates a key over REST, and returns its secret.
async fn create(server: &TestServer, body: &Value) -> String {
    let key = ok(server, ROOT, Method::POST, "/admin/v1/keys", body).await;
    key["secret"].as_str().unwrap().to_owned()
}

async fn post_chat(server: &TestServer, secret: &str, max_tokens: u32) -> Response {
    let body = serde_json::from_str(&chat_body(&json!({"max_tokens": max_tokens}))).unwrap();
    post(server, secret, "/v1/chat/completions", &body).await
}

/// Returns a gRPC request with a key.
fn grpc<T>(secret: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {secret}").parse().unwrap());
    request
}

/// Returns the status of a call that every valid key may make.
async fn models_status(server: &TestServer, secret: &str) -> StatusCode {
    rest(server, secret, Method::GET, "/v1/models", &Value::Null).await.status()
}
