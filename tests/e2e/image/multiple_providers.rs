//! Several image providers at once: the model selects one of them, and a setting the default.

use serde_json::json;
use triptych_proto::v1 as pb;

use super::{
    nano_banana, openai,
    provider_case::{GENERATIONS, json_body},
};
use crate::test_server::with_local_and_remote_core_and_settings;

const GEMINI: &str = "/v1beta/models/gemini-3.1-flash-image:generateContent";

#[tokio::test]
async fn model_selects_the_provider_and_the_service_type_the_default() {
    with_local_and_remote_core_and_settings(
        |settings, rest| {
            openai::configure(settings, rest);
            // The last service type that is set is the default.
            nano_banana::configure(settings, rest);
        },
        async |server| {
            // The requested model, the upstream's path, and the header with the upstream's key.
            for (model, path, key) in [
                (Some("gpt-image-1"), GENERATIONS, ("authorization", "bearer upstream-secret")),
                (Some("gemini-3.1-flash-image"), GEMINI, ("x-goog-api-key", "gemini-secret")),
                (None, GEMINI, ("x-goog-api-key", "gemini-secret")),
                (Some("offline-image"), "", ("", "")),
            ] {
                let reply = || match path {
                    GENERATIONS => openai::reply(server, "gpt-image.json"),
                    _ => nano_banana::fixtures().reply(server, "image.json"),
                };
                let mut body = json!({"prompt": "a boat", "size": "64x64", "response_format": "url"});
                if let Some(model) = model {
                    body["model"] = json!(model);
                }
                if !path.is_empty() {
                    server.upstream.enqueue_at(path, reply());
                }
                let response = json_body(server.post(GENERATIONS, &body).await).await;
                assert!(response["data"][0]["url"].is_string(), "{model:?}: {response}");

                if !path.is_empty() {
                    server.upstream.enqueue_at(path, reply());
                }
                let image = pb::ImageRequest {
                    model: model.unwrap_or_default().to_owned(),
                    prompt: "a boat".to_owned(),
                    size: "64x64".to_owned(),
                    ..pb::ImageRequest::default()
                };
                let request = pb::GenerateImagesRequest { image: Some(image), ..pb::GenerateImagesRequest::default() };
                let response = server.image_client().await.generate_images(request).await.unwrap().into_inner();
                assert_eq!(response.pictures.len(), 1, "{model:?}");

                for _ in 0..if path.is_empty() { 0 } else { 2 } {
                    let received = server.upstream.received().await;
                    assert_eq!((received.path.as_str(), received.header(key.0)), (path, Some(key.1)), "{model:?}");
                }
                // No other upstream path was called.
                server.upstream.assert_no_request().await;
            }
        },
    )
    .await;
}
