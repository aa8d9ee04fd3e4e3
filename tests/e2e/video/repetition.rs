//! The member `request` of a video, over REST and gRPC. If a client sends this request again, it creates the same video.

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use triptych_proto::v1::{self as pb, media_input, video_request::Request};

use super::{create, json_body, small_video, wait_until_final};
use crate::{
    rest_response::error_body,
    test_server::{TestServer, with_local_and_remote_core},
};

/// Returns a PNG, whose picture decides what the built-in engine renders.
fn picture() -> Vec<u8> {
    let mut png = std::io::Cursor::new(Vec::new());
    let pixels =
        image::RgbImage::from_fn(160, 96, |x, y| image::Rgb([u8::try_from(x).unwrap(), 90, u8::try_from(y).unwrap()]));
    pixels.write_to(&mut png, image::ImageFormat::Png).unwrap();
    png.into_inner()
}

async fn get(server: &TestServer, path: &str) -> Value {
    json_body(server.request(Method::GET, path).send().await.unwrap()).await
}

async fn content(server: &TestServer, id: &str) -> Vec<u8> {
    let content = server.request(Method::GET, &format!("/v1/videos/{id}/content")).send().await.unwrap();
    content.bytes().await.unwrap().to_vec()
}

/// Returns the `request` of a video.
async fn request_of(server: &TestServer, id: &str) -> Value {
    get(server, &format!("/v1/videos/{id}")).await["request"].clone()
}

/// Sends the request of a video again, waits for the end of the new video, and returns its id.
async fn repeat(server: &TestServer, request: &Value) -> String {
    let created = json_body(server.post(request["path"].as_str().unwrap(), &request["body"]).await).await;
    let id = created["id"].as_str().unwrap().to_owned();
    let done = wait_until_final(server, &id).await;
    assert_eq!((&done["status"], done.get("adjustments")), (&json!("completed"), None), "{done}");
    id
}

#[tokio::test]
async fn request_of_a_video_creates_the_same_video_again() {
    with_local_and_remote_core(async |server| {
        let frame = format!("data:image/png;base64,{}", STANDARD.encode(picture()));
        let body = json!({"prompt": "Zoom in", "size": "160x96", "seconds": 1, "seed": 7, "user": "u", "camera": {"zoom": 2},
            "generate_audio": false, "frame_images": [{"image_url": {"url": frame}, "frame_type": "last_frame"}]});
        let id = create(server, &body).await;
        wait_until_final(server, &id).await;
        let request = request_of(server, &id).await;
        let key = format!("{id}-input-0.png");
        let input = json!({"type": "image_url", "frame_type": "last_frame", "file_id": key});
        let expected = json!({"model": "offline-video", "prompt": "Zoom in", "size": "160x96", "seconds": "1", "seed": 7,
            "user": "u", "camera": {"zoom": 2}, "generate_audio": false, "frame_images": [input]});
        assert_eq!(request, json!({"path": "/v1/videos", "body": expected}));
        let again = repeat(server, &request).await;
        assert!(content(server, &id).await == content(server, &again).await, "the same inputs and seed");

        // Over gRPC, `request` has the message of the method. Videos in lists do not have it.
        let mut client = server.video_client().await;
        let video = client.get_video(pb::GetVideoRequest { id: again.clone() }).await.unwrap().into_inner().video;
        let Some(Request::Create(create)) = video.unwrap().request.unwrap().request else { panic!() };
        let copy = media_input::Source::MediaKey(format!("{again}-input-0.png"));
        assert_eq!(create.frame_images[0].image.as_ref().unwrap().source, Some(copy));
        assert_eq!((create.seed, create.extra_json.as_str()), (Some(7), r#"{"camera":{"zoom":2}}"#));
        client.create_video(create).await.unwrap();
        let listed = client.list_videos(pb::ListVideosRequest::default()).await.unwrap().into_inner().videos;
        assert!(listed.iter().all(|video| video.request.is_none()));
        assert!(get(server, "/v1/videos").await["data"][0].get("request").is_none());

        // The stored copies of the inputs are not served, and are deleted with the video.
        let media = server.request(Method::GET, &format!("/media/{key}")).send().await.unwrap();
        assert_eq!(media.status(), StatusCode::NOT_FOUND);
        delete(server, &id).await;
        let (status, error) = error_body(server.post("/v1/videos", &request["body"]).await).await;
        assert_eq!((status.as_u16(), &error["param"]), (400, &json!("frame_images[0]")), "{error}");
    })
    .await;
}

async fn delete(server: &TestServer, id: &str) {
    json_body(server.request(Method::DELETE, &format!("/v1/videos/{id}")).send().await.unwrap()).await;
}

#[tokio::test]
async fn request_of_an_edit_and_an_extension_works_after_their_source_was_deleted() {
    with_local_and_remote_core(async |server| {
        let source = create(server, &small_video("Pan left")).await;
        wait_until_final(server, &source).await;
        let video = json!({"id": source});
        let edit = json!({"path": "/v1/videos/edits", "body": {"prompt": "Zoom out", "video": video}});
        let extend =
            json!({"path": "/v1/videos/extensions", "body": {"prompt": "Pan right", "video": video, "seconds": "2"}});
        let (edit, extension) = (repeat(server, &edit).await, repeat(server, &extend).await);
        delete(server, &source).await;
        for (id, path, prompt, seconds) in [
            (edit, "/v1/videos/edits", "Zoom out", Value::Null),
            (extension, "/v1/videos/extensions", "Pan right", json!("2")),
        ] {
            let request = request_of(server, &id).await;
            assert_eq!((&request["path"], &request["body"]["prompt"]), (&json!(path), &json!(prompt)));
            assert_eq!(request["body"]["seconds"], seconds);
            assert_eq!(request["body"]["video"], json!({"file_id": format!("{id}-input-0.mp4")}));
            repeat(server, &request).await;
        }
    })
    .await;
}
