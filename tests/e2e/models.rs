//! Calls that name a model of another modality, for example an image model in a chat request.

use serde_json::json;
use tonic::Code;
use triptych_proto::v1 as pb;

use crate::{rest_response::error_body, test_server::with_local_and_remote_core};

#[tokio::test]
async fn model_of_another_modality_is_not_found_and_the_message_has_its_endpoint() {
    let [chat, image, video] = ["/v1/chat/completions", "/v1/images/generations", "/v1/videos"];
    with_local_and_remote_core(async |server| {
        for (path, model, endpoint) in [
            (chat, "offline-image", image),
            (chat, "dall-e-3", image),
            (chat, "offline-video", video),
            (image, "offline-chat", chat),
            (image, "offline-video", video),
            (video, "offline-chat", chat),
            (video, "offline-image", image),
        ] {
            let messages = json!([{"role": "user", "content": "x"}]);
            let body = if path == chat {
                json!({"model": model, "messages": messages})
            } else {
                json!({"model": model, "prompt": "x"})
            };
            let (status, error) = error_body(server.post(path, &body).await).await;
            assert_eq!((status.as_u16(), error["code"].as_str()), (404, Some("model_not_found")), "{error}");
            assert_eq!((&error["type"], &error["param"]), (&json!("invalid_request_error"), &json!("model")));
            assert!(error["message"].as_str().unwrap().contains(&format!("served at POST {endpoint}")), "{error}");
        }
        let (model, prompt) = ("offline-chat".to_owned(), "x".to_owned());
        let image = Some(pb::ImageRequest { model, prompt, ..pb::ImageRequest::default() });
        let request = pb::GenerateImagesRequest { image, ..pb::GenerateImagesRequest::default() };
        let status = server.image_client().await.generate_images(request).await.unwrap_err();
        assert_eq!(status.code(), Code::NotFound);
        assert!(status.message().contains("ChatService over gRPC"), "{status}");
    })
    .await;
}
