//! `/api/v1/videos`: the life cycle of a video in the form of OpenRouter's API.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{json_body, small_video, wait_until_final};
use crate::{
    rest_response::error_body,
    test_server::{TestServer, with_local_and_remote_core, within_timeout},
};

async fn get(server: &TestServer, path: &str) -> reqwest::Response {
    within_timeout("a response", server.request(Method::GET, path).send()).await.unwrap()
}

/// Creates a video, and returns the response.
async fn create(server: &TestServer, body: &Value) -> Value {
    accepted(server.post("/api/v1/videos", body).await).await
}

/// Asserts the status 202 and returns the body.
async fn accepted(response: reqwest::Response) -> Value {
    let (status, text) = (response.status(), response.text().await.unwrap());
    assert_eq!(status, StatusCode::ACCEPTED, "{text}");
    serde_json::from_str(&text).unwrap()
}

fn id(video: &Value) -> &str {
    video["id"].as_str().unwrap()
}

#[tokio::test]
async fn video_is_created_polled_and_downloaded() {
    with_local_and_remote_core(async |server| {
        // A PNG of one pixel.
        let picture =
            "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
        let first = json!({"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{picture}")},
            "frame_type": "first_frame"});
        let body = json!({"model": "offline-video", "prompt": "Pan left", "size": "160x96", "duration": 1,
            "frame_images": [first]});
        let created = create(server, &body).await;
        let id = id(&created);
        let poll = format!("/api/v1/videos/{id}");
        assert_eq!((&created["polling_url"], &created["model"]), (&json!(poll), &json!("offline-video")));
        let status = created["status"].as_str().unwrap();
        assert!(["pending", "in_progress"].contains(&status), "{created}");
        assert!(created.get("error").is_none() && created.get("urls").is_none(), "{created}");

        // The job is the same at both paths.
        let done = wait_until_final(server, id).await;
        assert_eq!(
            (&done["status"], &done["size"], &done["seconds"]),
            (&json!("completed"), &json!("160x96"), &json!("1"))
        );
        let polled = json_body(get(server, &poll).await).await;
        let links = json!([done["video_url"]]);
        let expected = json!({"id": id, "polling_url": poll, "status": "completed", "model": "offline-video",
            "urls": links, "unsigned_urls": links});
        assert_eq!(polled, expected);

        let content = get(server, &format!("{poll}/content?index=0")).await;
        assert_eq!(content.headers()["content-type"], "video/mp4");
        let content = content.bytes().await.unwrap();
        assert_eq!(&content[4..8], b"ftyp");
        let link = polled["unsigned_urls"][0].as_str().unwrap().strip_prefix(&server.url("")).unwrap();
        assert_eq!(get(server, link).await.bytes().await.unwrap(), content);

        let models = json_body(get(server, "/api/v1/videos/models").await).await;
        assert_eq!(models, json_body(get(server, "/v1/videos/models").await).await);
    })
    .await;
}

#[tokio::test]
async fn repeated_create_with_the_same_key_returns_the_same_video() {
    with_local_and_remote_core(async |server| {
        let post = async || {
            let request = server.request(Method::POST, "/api/v1/videos").header("content-type", "application/json");
            let response = request.header("idempotency-key", "k-1").body(small_video("Pan left").to_string()).send();
            accepted(within_timeout("a response", response).await.unwrap()).await
        };
        assert_eq!(id(&post().await), id(&post().await));
    })
    .await;
}

#[tokio::test]
async fn failed_and_cancelled_videos_have_the_reason_as_text() {
    with_local_and_remote_core(async |server| {
        let mut body = small_video("Pan left");
        body["model"] = json!("offline-video-fault-refused");
        let failed = create(server, &body).await;
        let reason = wait_until_final(server, id(&failed)).await["error"]["message"].clone();
        let polled = json_body(get(server, failed["polling_url"].as_str().unwrap()).await).await;
        assert_eq!((&polled["status"], &polled["error"]), (&json!("failed"), &reason));
        assert!(reason.is_string() && polled.get("urls").is_none(), "{polled}");

        let slow = create(server, &json!({"prompt": "Waves", "size": "1920x1080", "seconds": 60})).await;
        let poll = slow["polling_url"].as_str().unwrap();
        let (status, error) = error_body(get(server, &format!("{poll}/content")).await).await;
        assert_eq!((status, &error["code"]), (StatusCode::BAD_REQUEST, &json!("video_not_ready")));
        json_body(server.post(&format!("/v1/videos/{}/cancel", id(&slow)), &json!({})).await).await;
        let polled = json_body(get(server, poll).await).await;
        assert_eq!(polled["status"], "cancelled");
        assert!(polled["error"].is_string(), "{polled}");
    })
    .await;
}

#[tokio::test]
async fn refused_requests_have_errors_in_openais_form() {
    with_local_and_remote_core(async |server| {
        for (more, status, code, param) in [
            (json!({"duration": 61}), StatusCode::BAD_REQUEST, "invalid_field", json!("seconds")),
            (json!({"size": "100x"}), StatusCode::BAD_REQUEST, "invalid_field", json!("size")),
            (json!({"prompt": ""}), StatusCode::BAD_REQUEST, "invalid_field", json!("prompt")),
            (json!({"model": "none"}), StatusCode::NOT_FOUND, "model_not_found", json!("model")),
        ] {
            let mut body = json!({"prompt": "Pan left"});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let (found, error) = error_body(server.post("/api/v1/videos", &body).await).await;
            assert_eq!((found, &error["code"], &error["param"]), (status, &json!(code), &param), "{more}: {error}");
        }
        let unknown = "/api/v1/videos/video_00000000000000000000000000000000";
        for path in [unknown.to_owned(), format!("{unknown}/content")] {
            let (status, error) = error_body(get(server, &path).await).await;
            assert_eq!((status, &error["code"]), (StatusCode::NOT_FOUND, &json!("video_not_found")), "{path}");
        }
        let listed = json_body(get(server, "/v1/videos").await).await;
        assert_eq!(listed["data"], json!([]), "a refused request creates no video");
    })
    .await;
}
