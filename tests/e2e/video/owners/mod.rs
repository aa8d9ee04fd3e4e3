//! Owners: with API keys, a client reaches its own videos only, in every call of both APIs; an administrator reaches all.

mod isolation;
mod lists;
mod media;
mod queue;

use core_service::config;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tonic::Request;
use triptych_proto::v1::{self as pb, video_service_client::VideoServiceClient};

use super::small_video;
use crate::{
    rest_response::Events,
    test_server::{TestServer, with_local_and_remote_core_and_settings, within_timeout},
};

const ALICE: &str = "the-secret-of-alice";
const BOB: &str = "the-secret-of-bob-1";
const ADMIN: &str = "the-secret-of-admin";

/// Runs a test with the keys of Alice, Bob and an administrator.
async fn with_owners(test: impl AsyncFn(&TestServer)) {
    with_limits(1000, test).await;
}

/// As [`with_owners`], with a limit of queued videos for each owner.
async fn with_limits(max_queued_per_owner: u32, test: impl AsyncFn(&TestServer)) {
    with_local_and_remote_core_and_settings(
        |settings, _| {
            let key = |name: &str, secret: &str, admin| config::Key {
                name: name.to_owned(),
                secret: Some(secret.into()),
                admin,
                ..config::Key::default()
            };
            settings.keys = vec![key("alice", ALICE, false), key("bob", BOB, false), key("root", ADMIN, true)];
            settings.jobs.max_queued_per_owner = max_queued_per_owner;
        },
        test,
    )
    .await;
}

/// Sends a REST request with this key, and the body as JSON unless it is null.
async fn rest(server: &TestServer, secret: &str, method: Method, path: &str, body: &Value) -> reqwest::Response {
    let mut request = server.request(method, path).bearer_auth(secret);
    if !body.is_null() {
        request = request.header("content-type", "application/json").body(body.to_string());
    }
    within_timeout("a response", request.send()).await.unwrap()
}

async fn rest_json(server: &TestServer, secret: &str, method: Method, path: &str, body: &Value) -> Value {
    let response = rest(server, secret, method, path, body).await;
    let (status, text) = (response.status(), response.text().await.unwrap());
    assert_eq!(status, StatusCode::OK, "{path}: {text}");
    serde_json::from_str(&text).unwrap()
}

async fn create(server: &TestServer, secret: &str, body: &Value) -> String {
    let created = rest_json(server, secret, Method::POST, "/v1/videos", body).await;
    created["id"].as_str().unwrap().to_owned()
}

/// Creates a small video and waits until it is finished.
async fn finished(server: &TestServer, secret: &str) -> String {
    let id = create(server, secret, &small_video("Pan left")).await;
    let watch = rest(server, secret, Method::GET, &format!("/v1/videos/{id}/events"), &Value::Null).await;
    within_timeout("the video", Events::new(watch).read_all()).await;
    id
}

fn grpc<T>(secret: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {secret}").parse().unwrap());
    request
}

/// Returns the ids of the videos in a list.
async fn listed(server: &TestServer, secret: &str, query: &str) -> Vec<String> {
    let page = rest_json(server, secret, Method::GET, &format!("/v1/videos{query}"), &Value::Null).await;
    page["data"].as_array().unwrap().iter().map(|video| video["id"].as_str().unwrap().to_owned()).collect()
}

/// Returns everything that a client can observe of a response: status, headers except request id and date, and body, without
/// the id.
async fn observed(response: reqwest::Response, id: &str) -> Value {
    let headers: Vec<_> = response
        .headers()
        .iter()
        .filter(|(name, _)| !["x-request-id", "date"].contains(&name.as_str()))
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    let status = response.status().as_u16();
    json!([status, headers, response.text().await.unwrap().replace(id, "ID")])
}

async fn get(client: &mut VideoServiceClient<tonic::transport::Channel>, secret: &str, id: &str) -> pb::Video {
    let request = grpc(secret, pb::GetVideoRequest { id: id.to_owned() });
    client.get_video(request).await.unwrap().into_inner().video.unwrap()
}
