//! Inputs that a provider fetches from the gateway by a link, because its API accepts no bytes of videos. Tested with Seedance.

use core_service::config::{self, Settings};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    provider_case::{CLIP, FRAME},
    seedance::enqueue_success,
};
use crate::{
    rest_response::Events,
    test_server::{TestServer, with_local_and_remote_core_and_settings, within_timeout},
};

const MODEL: &str = "doubao-seedance-2-5-260628";
const KEY: &str = "tr-secret-of-alice-0001";
/// The public URL of the gateway, with a path in front of it as behind a reverse proxy.
const BASE: &str = "http://gateway.internal:8000/ai";

/// Sends a request with the API key, and returns the body.
async fn call(server: &TestServer, method: Method, path: &str, body: &Value) -> Value {
    let request = server.request(method, path).bearer_auth(KEY).header("content-type", "application/json");
    let response = request.body(body.to_string()).send().await.unwrap();
    let (status, text) = (response.status(), response.text().await.unwrap());
    assert_eq!(status, StatusCode::OK, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// Creates a video with the API key, and returns it after its end.
async fn finished(server: &TestServer, path: &str, body: &Value) -> Value {
    let id = call(server, Method::POST, path, body).await["id"].as_str().unwrap().to_owned();
    let watch = server.request(Method::GET, &format!("/v1/videos/{id}/events")).bearer_auth(KEY).send().await.unwrap();
    within_timeout("the video", Events::new(watch).read_all()).await;
    call(server, Method::GET, &format!("/v1/videos/{id}"), &Value::Null).await
}

fn configure(settings: &mut Settings, gateway: &mut rest_gateway::Settings) {
    super::seedance::configure(settings, gateway);
    settings.video.seedance.models = vec![MODEL.to_owned()];
    settings.keys = vec![config::Key { name: "alice".to_owned(), secret: Some(KEY.into()), ..config::Key::default() }];
}

/// Creates a video with its render `task-1`, and returns its id.
async fn source(server: &TestServer) -> String {
    enqueue_success(server, "task-1");
    let body = json!({"model": MODEL, "prompt": "a boat", "seconds": 5});
    let video = finished(server, "/v1/videos", &body).await;
    assert_eq!(video["status"], "completed", "{video}");
    server.upstream.skip_requests(3).await;
    video["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn provider_fetches_the_source_by_a_link_without_a_key() {
    let adjust = |settings: &mut Settings, gateway: &mut rest_gateway::Settings| {
        configure(settings, gateway);
        settings.media.public_base_url = Some(BASE.to_owned());
        settings.media.fetch_private_addresses = true;
    };
    with_local_and_remote_core_and_settings(adjust, async |server| {
        let id = source(server).await;
        enqueue_success(server, "task-2");
        let body = json!({"prompt": "it sails on", "video": {"id": id}, "seconds": 6});
        let extension = finished(server, "/v1/videos/extensions", &body).await;
        assert_eq!(extension["status"], "completed", "{extension}");
        let sent = server.upstream.received().await.json();
        server.upstream.skip_requests(2).await;
        let link = sent["content"][1]["video_url"]["url"].as_str().unwrap();
        assert_eq!((&sent["omni_reference_task_type"], &sent["duration"]), (&json!("extend"), &json!(6)));
        let path = link.strip_prefix(BASE).unwrap();
        let fetched = server.request(Method::GET, path).send().await.unwrap();
        assert_eq!(
            (fetched.status(), &fetched.headers()["content-type"]),
            (StatusCode::OK, &"video/mp4".parse().unwrap())
        );
        assert_eq!(fetched.headers()["cache-control"], "private, no-store");
        assert!(fetched.bytes().await.unwrap() == *CLIP, "not the source");
        let part = server.request(Method::GET, path).header("range", "bytes=4-7").send().await.unwrap();
        assert_eq!(
            (part.status(), part.bytes().await.unwrap().as_ref()),
            (StatusCode::PARTIAL_CONTENT, b"ftyp".as_slice())
        );
        let head = server.request(Method::HEAD, path).send().await.unwrap();
        assert_eq!(head.headers()["content-length"], CLIP.len().to_string());
        // The token in the link gives access to this one file: neither the file's key nor another token does.
        let copy = format!("/media/{}-input-0.mp4", extension["id"].as_str().unwrap());
        let (start, token) = path.rsplit_once('/').unwrap();
        let altered = format!("{start}/A{}", &token[1..]);
        let other = format!("{start}/B{}", &token[1..]);
        let altered = if altered == path { other } else { altered };
        for wrong in [&*copy, &altered, "/media/inputs/x.mp4"] {
            let response = server.request(Method::GET, wrong).send().await.unwrap();
            assert_eq!(response.status(), StatusCode::NOT_FOUND, "{wrong}");
        }
        // The link ends with its job.
        let path_of_job = format!("/v1/videos/{}", extension["id"].as_str().unwrap());
        call(server, Method::DELETE, &path_of_job, &Value::Null).await;
        assert_eq!(server.request(Method::GET, path).send().await.unwrap().status(), StatusCode::NOT_FOUND);
    })
    .await;
}

#[tokio::test]
async fn job_without_a_public_address_fails_with_the_name_of_the_setting() {
    for base in [None, Some("http://127.0.0.1:8000"), Some("http://localhost:8000")] {
        let adjust = |settings: &mut Settings, gateway: &mut rest_gateway::Settings| {
            configure(settings, gateway);
            settings.media.public_base_url = base.map(str::to_owned);
        };
        with_local_and_remote_core_and_settings(adjust, async |server| {
            let id = source(server).await;
            let edit = finished(server, "/v1/videos/edits", &json!({"prompt": "rain", "video": {"id": id}})).await;
            assert_eq!(
                (&edit["status"], &edit["error"]["code"]),
                (&json!("failed"), &json!("not_supported")),
                "{edit}"
            );
            assert!(edit["error"]["message"].as_str().unwrap().contains("PUBLIC_BASE_URL"), "{edit}");
            server.upstream.assert_no_request().await;
            // Images do not need a link.
            enqueue_success(server, "task-2");
            let frame = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &*FRAME);
            let body = json!({"model": MODEL, "prompt": "a boat", "input_reference": frame});
            assert_eq!(finished(server, "/v1/videos", &body).await["status"], "completed");
            server.upstream.skip_requests(3).await;
        })
        .await;
    }
}
