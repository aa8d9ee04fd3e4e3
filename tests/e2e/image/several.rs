//! Several image providers at once: the model chooses, and one of them is the default.

use serde_json::json;
use triptych_proto::v1 as pb;

use super::{
    nano_banana, openai,
    outcome::{GENERATIONS, json_of},
};
use crate::harness::over_both_hops_with;

const GEMINI: &str = "/v1beta/models/gemini-3.1-flash-image:generateContent";

#[tokio::test]
async fn the_model_chooses_among_providers_and_the_setting_chooses_the_default() {
    over_both_hops_with(
        |settings, rest| {
            openai::connected(settings, rest);
            // The last one to be connected is the default.
            nano_banana::connected(settings, rest);
        },
        async |world| {
            // Which model is asked for, where that leads, and what it is told in.
            for (model, path, key) in [
                (Some("gpt-image-1"), GENERATIONS, ("authorization", "bearer upstream-secret")),
                (Some("gemini-3.1-flash-image"), GEMINI, ("x-goog-api-key", "gemini-secret")),
                (None, GEMINI, ("x-goog-api-key", "gemini-secret")),
                (Some("offline-image"), "", ("", "")),
            ] {
                let answer = || match path {
                    GENERATIONS => openai::reply(world, "gpt-image.json"),
                    _ => nano_banana::fixtures().reply(world, "picture.json"),
                };
                let mut body = json!({"prompt": "a boat", "size": "64x64"});
                if let Some(model) = model {
                    body["model"] = json!(model);
                }
                if !path.is_empty() {
                    world.upstream.will_at(path, answer());
                }
                let made = json_of(world.post(GENERATIONS, &body).await).await;
                assert!(made["data"][0]["url"].is_string(), "{model:?}: {made}");

                if !path.is_empty() {
                    world.upstream.will_at(path, answer());
                }
                let image = pb::ImageRequest {
                    model: model.unwrap_or_default().to_owned(),
                    prompt: "a boat".to_owned(),
                    size: "64x64".to_owned(),
                    ..pb::ImageRequest::default()
                };
                let request = pb::GenerateImagesRequest { image: Some(image), ..pb::GenerateImagesRequest::default() };
                let made = world.image_client().await.generate_images(request).await.unwrap().into_inner();
                assert_eq!(made.pictures.len(), 1, "{model:?}");

                for _ in 0..if path.is_empty() { 0 } else { 2 } {
                    let seen = world.upstream.saw().await;
                    assert_eq!((seen.path.as_str(), seen.header(key.0)), (path, Some(key.1)), "{model:?}");
                }
                // And nobody else.
                world.upstream.saw_nothing().await;
            }
        },
    )
    .await;
}
