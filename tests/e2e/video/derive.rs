//! Videos that are derived from another one, over REST and gRPC: edits, extensions and remixes. The source reaches the upstream
//! as the id of its own render, as a link or as a file.

use core_service::config::{Settings, VideoServiceType};
use reqwest::Method;
use serde_json::{Value, json};
use tonic::Code;
use triptych_proto::v1::{self as pb, media_input, video_source::Source};

use super::{
    common_scenarios::disable_circuit_breaker, create, json_body, provider_case::CLIP, small_video, wait_until_final,
};
use crate::{
    fake_upstream::{ReceivedRequest, Reply},
    rest_response::error_body,
    test_server::{TestServer, with_local_and_remote_core, with_local_and_remote_core_and_settings},
};

/// Posts a request for a derived video, and returns the video once it is completed.
async fn derived(server: &TestServer, path: &str, body: &Value) -> Value {
    let created = json_body(server.post(path, body).await).await;
    let done = wait_until_final(server, created["id"].as_str().unwrap()).await;
    assert_eq!(done["status"], "completed", "{done}");
    done
}

/// Returns the file of a video.
async fn content(server: &TestServer, id: &str) -> Vec<u8> {
    let content = server.request(Method::GET, &format!("/v1/videos/{id}/content")).send().await.unwrap();
    content.bytes().await.unwrap().to_vec()
}

#[tokio::test]
async fn built_in_engine_edits_and_extends_videos_and_files() {
    with_local_and_remote_core(async |server| {
        let id = create(server, &small_video("Pan left")).await;
        wait_until_final(server, &id).await;
        let source = json!({"id": id});
        let edit = derived(server, "/v1/videos/edits", &json!({"prompt": "Zoom in", "video": source})).await;
        assert_eq!(
            (&edit["size"], &edit["seconds"], &edit["prompt"]),
            (&json!("160x96"), &json!("1"), &json!("Zoom in"))
        );
        assert_eq!((&edit["model"], &edit["remixed_from_video_id"]), (&json!("offline-video"), &Value::Null));
        let body = json!({"prompt": "Pan right", "video": source, "seconds": "2"});
        let extension = derived(server, "/v1/videos/extensions", &body).await;
        assert_eq!((&extension["size"], &extension["seconds"]), (&json!("160x96"), &json!("2")));

        // A file as a part of a form; size and duration of the edit are read from it.
        let file = content(server, &id).await;
        let text = "--b\r\ncontent-disposition: form-data; name=\"prompt\"\r\n\r\nZoom out\r\n";
        let head = "--b\r\ncontent-disposition: form-data; name=\"video\"; filename=\"v.mp4\"\r\n\r\n";
        let form = [text.as_bytes(), head.as_bytes(), &file, b"\r\n--b--\r\n"].concat();
        let request = server.request(Method::POST, "/v1/videos/edits");
        let request = request.header("content-type", "multipart/form-data; boundary=b").body(form);
        let created = json_body(request.send().await.unwrap()).await;
        assert_eq!((&created["size"], &created["seconds"]), (&json!("160x96"), &json!("1")), "read from the file");
        let done = wait_until_final(server, created["id"].as_str().unwrap()).await;
        assert_eq!(done["status"], "completed", "{done}");

        let mut client = server.video_client().await;
        let video = |source| Some(pb::VideoSource { source: Some(source) });
        let request = pb::ExtendVideoRequest {
            prompt: "Pan left".to_owned(),
            video: video(Source::File(pb::MediaInput { source: Some(media_input::Source::Data(file.into())) })),
            duration_seconds: Some(1),
            idempotency_key: "once".to_owned(),
            ..pb::ExtendVideoRequest::default()
        };
        let first = client.extend_video(request.clone()).await.unwrap().into_inner().video.unwrap();
        assert_eq!(client.extend_video(request).await.unwrap().into_inner().video.unwrap().id, first.id);
        assert_eq!(wait_until_final(server, &first.id).await["status"], "completed");
        // A well-formed id of a video that does not exist.
        let unknown = "video_01900000000070008000000000000000".to_owned();
        let request = pb::EditVideoRequest {
            prompt: "x".to_owned(),
            video: video(Source::Id(unknown)),
            ..pb::EditVideoRequest::default()
        };
        assert_eq!(client.edit_video(request).await.unwrap_err().code(), Code::NotFound);
        let (status, error) = error_body(server.post("/v1/videos/edits", &json!({"prompt": "x"})).await).await;
        assert_eq!((status.as_u16(), &error["param"]), (400, &json!("video")));
        let url = json!({"prompt": "x", "video": {"url": "https://example.com/a.mp4"}});
        for path in ["/v1/videos/edits", "/v1/videos/extensions"] {
            let (status, error) = error_body(server.post(path, &url).await).await;
            assert_eq!((status.as_u16(), &error["param"]), (400, &json!("video")), "{error}");
            assert!(error["message"].as_str().unwrap().contains("send the MP4 file"), "{error}");
        }
    })
    .await;
}

/// Configures OpenAI's API as the video provider.
fn openai(settings: &mut Settings, _: &mut rest_gateway::Settings) {
    settings.video.service_type = VideoServiceType::Openai;
    disable_circuit_breaker(settings);
    settings.video.openai.base_url = settings.chat.base_url.clone();
    settings.video.openai.api_key = Some("sk-video-secret".into());
    settings.video.openai.poll_interval = std::time::Duration::from_millis(100);
}

/// Enqueues the responses of a render `id` that succeeds: to its submission at `path`, to a poll, and to the download.
fn enqueue_success(server: &TestServer, path: &str, id: &str) {
    let video = |status: &str| json!({"id": id, "object": "video", "status": status, "model": "sora-2"}).to_string();
    server.upstream.enqueue_at(path, Reply::new(200, &video("queued")));
    enqueue_result(server, id);
}

/// Enqueues the responses to a poll and to the download.
fn enqueue_result(server: &TestServer, id: &str) {
    let done = json!({"id": id, "object": "video", "status": "completed", "model": "sora-2"});
    server.upstream.enqueue_at(&format!("/v1/videos/{id}"), Reply::new(200, &done.to_string()));
    server.upstream.enqueue_at(&format!("/v1/videos/{id}/content"), Reply::file("video/mp4", &CLIP));
}

/// Returns the submission of a render that succeeded, and skips its poll and its download.
async fn submission(server: &TestServer) -> ReceivedRequest {
    let first = server.upstream.received().await;
    server.upstream.skip_requests(2).await;
    first
}

#[tokio::test]
async fn video_of_an_openai_upstream_is_edited_extended_and_remixed_there_by_its_id() {
    with_local_and_remote_core_and_settings(openai, async |server| {
        enqueue_success(server, "/v1/videos", "up-1");
        let id = create(server, &json!({"model": "sora-2", "prompt": "a boat", "seconds": 4})).await;
        wait_until_final(server, &id).await;
        submission(server).await;

        enqueue_success(server, "/v1/videos/edits", "up-2");
        let edit = derived(server, "/v1/videos/edits", &json!({"prompt": "rain", "video": {"id": id}})).await;
        let sent = submission(server).await;
        assert_eq!(
            (sent.path.as_str(), sent.json()),
            ("/v1/videos/edits", json!({"prompt": "rain", "video": {"id": "up-1"}}))
        );
        let path = format!("/v1/videos/{}", edit["id"].as_str().unwrap());
        let read = json_body(server.request(Method::GET, &path).send().await.unwrap()).await;
        let body = json!({"model": "sora-2", "prompt": "rain", "video": {"id": id}});
        assert_eq!(read["request"], json!({"path": "/v1/videos/edits", "body": body}));

        enqueue_success(server, "/v1/videos/extensions", "up-3");
        let body = json!({"prompt": "on", "video": {"id": edit["id"]}, "seconds": "8"});
        derived(server, "/v1/videos/extensions", &body).await;
        let expected = json!({"prompt": "on", "seconds": "8", "video": {"id": "up-2"}});
        assert_eq!(submission(server).await.json(), expected);

        enqueue_success(server, "/v1/videos/up-1/remix", "up-4");
        let remix = derived(server, &format!("/v1/videos/{id}/remix"), &json!({"prompt": "at night"})).await;
        assert_eq!(remix["remixed_from_video_id"], json!(id));
        assert_eq!(submission(server).await.json(), json!({"prompt": "at night"}));

        let body = json!({"prompt": "on", "video": {"id": id}, "seconds": 7, "fit_policy": "strict"});
        let (status, error) = error_body(server.post("/v1/videos/extensions", &body).await).await;
        assert_eq!((status.as_u16(), &error["param"]), (400, &json!("seconds")), "{error}");
        assert!(error["message"].as_str().unwrap().contains("\"8\""), "{error}");
    })
    .await;
}

#[tokio::test]
async fn file_of_another_model_is_sent_to_an_openai_upstream() {
    with_local_and_remote_core_and_settings(openai, async |server| {
        let mut offline = small_video("Pan left");
        offline["model"] = json!("offline-video");
        let id = create(server, &offline).await;
        wait_until_final(server, &id).await;
        enqueue_success(server, "/v1/videos/edits", "up-1");
        derived(server, "/v1/videos/edits", &json!({"model": "sora-2", "prompt": "rain", "video": {"id": id}})).await;
        let sent = submission(server).await;
        assert!(sent.header("content-type").unwrap().starts_with("multipart/form-data"), "{}", sent.head);
        let file = content(server, &id).await;
        assert!(sent.body.windows(file.len()).any(|window| window == file), "the file is not in the form");
    })
    .await;
}

#[tokio::test]
async fn file_is_sent_if_an_openai_upstream_no_longer_has_the_source() {
    with_local_and_remote_core_and_settings(openai, async |server| {
        enqueue_success(server, "/v1/videos", "up-1");
        let id = create(server, &json!({"model": "sora-2", "prompt": "a boat", "seconds": 4})).await;
        wait_until_final(server, &id).await;
        submission(server).await;
        let gone =
            || Reply::new(404, r#"{"error": {"message": "Video up-1 not found", "type": "invalid_request_error"}}"#);
        server.upstream.enqueue_at("/v1/videos/edits", gone());
        server.upstream.enqueue_at("/v1/videos/up-1", gone());
        enqueue_success(server, "/v1/videos/edits", "up-2");
        derived(server, "/v1/videos/edits", &json!({"prompt": "rain", "video": {"id": id}})).await;
        let native = server.upstream.received().await;
        assert_eq!(native.json(), json!({"prompt": "rain", "video": {"id": "up-1"}}));
        assert_eq!(server.upstream.received().await.path, "/v1/videos/up-1");
        let sent = submission(server).await;
        let file = content(server, &id).await;
        assert!(sent.body.windows(file.len()).any(|window| window == file), "the file is not in the form");
    })
    .await;
}

#[tokio::test]
async fn edit_whose_response_was_lost_is_found_in_the_list() {
    with_local_and_remote_core_and_settings(openai, async |server| {
        enqueue_success(server, "/v1/videos", "up-1");
        let id = create(server, &json!({"model": "sora-2", "prompt": "a boat", "seconds": 4})).await;
        wait_until_final(server, &id).await;
        submission(server).await;
        server.upstream.enqueue_at("/v1/videos/edits", Reply::new(200, "{\"id\":").abort());
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let found = json!({"id": "up-2", "object": "video", "model": "sora-2", "prompt": "rain", "created_at": now});
        let list = json!({"object": "list", "data": [found]}).to_string();
        server.upstream.enqueue_at("/v1/videos?order=desc&limit=100", Reply::new(200, &list));
        enqueue_result(server, "up-2");
        derived(server, "/v1/videos/edits", &json!({"prompt": "rain", "video": {"id": id}})).await;
        server.upstream.skip_requests(4).await;
        server.upstream.assert_no_request().await;
    })
    .await;
}

#[tokio::test]
async fn extension_by_veo_sends_the_uri_of_the_source_video() {
    const MODEL: &str = "veo-3.1-fast-generate-001";
    let veo = |settings: &mut Settings, _: &mut rest_gateway::Settings| {
        settings.video.service_type = VideoServiceType::Gemini;
        disable_circuit_breaker(settings);
        let mut base = settings.chat.base_url.clone().unwrap();
        base.set_path("/v1beta");
        settings.video.gemini.base_url = Some(base);
        settings.video.gemini.api_key = Some("gemini-video-secret".into());
        settings.video.gemini.models = vec![MODEL.to_owned()];
        settings.video.gemini.poll_interval = std::time::Duration::from_millis(100);
    };
    with_local_and_remote_core_and_settings(veo, async |server| {
        let submit = format!("/v1beta/models/{MODEL}:predictLongRunning");
        let operation = |id: &str| format!("models/{MODEL}/operations/{id}");
        let enqueue = |id: &str| {
            let uri = server.upstream.url(&format!("/v1beta/files/{id}"));
            let samples = json!({"generateVideoResponse": {"generatedSamples": [{"video": {"uri": uri}}]}});
            let done = json!({"name": operation(id), "done": true, "response": samples}).to_string();
            server.upstream.enqueue_at(&format!("/v1beta/{}", operation(id)), Reply::new(200, &done));
            uri
        };
        for id in ["a", "b"] {
            let name = json!({"name": operation(id)}).to_string();
            server.upstream.enqueue_at(&submit, Reply::new(200, &name));
            let file = format!("/v1beta/files/{id}?alt=media");
            server.upstream.enqueue_at(&file, Reply::file("video/mp4", &CLIP));
        }
        enqueue("a");
        let id = create(server, &json!({"model": MODEL, "prompt": "a boat", "seconds": 8})).await;
        wait_until_final(server, &id).await;
        submission(server).await;
        // The operation of the source is polled again for the URI.
        let uri = enqueue("a");
        enqueue("b");
        let body = json!({"prompt": "on", "video": {"id": id}, "seconds": 4});
        let extension = derived(server, "/v1/videos/extensions", &body).await;
        let adjusted = json!([{"field": "seconds", "requested": "4", "used": "7"}]);
        assert_eq!(extension["adjustments"], adjusted);
        // The poll of the source.
        server.upstream.received().await;
        let sent = submission(server).await.json();
        let instance = json!({"prompt": "on", "video": {"uri": uri}});
        assert_eq!(sent, json!({"instances": [instance], "parameters": {"resolution": "720p"}}));
        let by_url = json!({"prompt": "on", "video": "https://a.test/v.mp4"});
        let (status, error) = error_body(server.post("/v1/videos/extensions", &by_url).await).await;
        assert_eq!((status.as_u16(), &error["param"]), (400, &json!("video")), "{error}");
        assert!(error["message"].as_str().unwrap().contains("`offline-video`"), "{error}");
    })
    .await;
}
