//! Several video providers at once: the model name chooses, the setting chooses the default.

use core_service::config::{Settings, VideoServiceType};
use reqwest::Method;
use serde_json::{Value, json};

use super::{create, json_body, small_video, wait_until_final};
use crate::{
    fake_upstream::Reply,
    test_server::{TestServer, with_local_and_remote_core_and_settings},
};

const SEEDANCE: &str = "doubao-seedance-2-0-260128";

fn configure(settings: &mut Settings, _: &mut rest_gateway::Settings) {
    settings.video.service_type = VideoServiceType::Openai;
    settings.video.openai.base_url = settings.chat.base_url.clone();
    settings.video.openai.models = vec!["mine".to_owned(), "sora-2-pro".to_owned()];
    settings.video.seedance.base_url = settings.chat.base_url.clone();
    settings.video.seedance.api_key = Some("ark-secret".into());
}

/// Creates a video that must fail with this code. An empty model stands for none.
async fn fails_with(server: &TestServer, model: &str, code: &str) {
    let mut body = small_video("a boat");
    if !model.is_empty() {
        body["model"] = json!(model);
    }
    let id = create(server, &body).await;
    assert_eq!(wait_until_final(server, &id).await["error"]["code"], code, "{model}");
}

#[tokio::test]
async fn the_model_chooses_the_provider_and_the_setting_the_default() {
    with_local_and_remote_core_and_settings(configure, async |server| {
        let refusal = r#"{"error":{"message":"no","type":"invalid_request_error","code":"invalid_value"}}"#;
        // The requested model, the path of the submission, and the model in it. `sora-2` is an alias of OpenAI's default model.
        for (model, path, upstream_model) in [
            ("", "/v1/videos", "mine"),
            ("sora-2", "/v1/videos", "mine"),
            ("sora-2-pro", "/v1/videos", "sora-2-pro"),
            (SEEDANCE, "/v1/contents/generations/tasks", SEEDANCE),
        ] {
            server.upstream.enqueue_at(path, Reply::new(400, refusal));
            fails_with(server, model, "upstream_refused").await;
            let request = server.upstream.received().await;
            assert_eq!(request.path, path);
            assert!(String::from_utf8_lossy(&request.body).contains(upstream_model), "{model}");
        }
        let mut body = small_video("a boat");
        body["model"] = json!("offline-video");
        let id = create(server, &body).await;
        assert_eq!(wait_until_final(server, &id).await["status"], "completed");
    })
    .await;
}

#[tokio::test]
async fn models_of_all_providers_are_listed_with_their_health() {
    with_local_and_remote_core_and_settings(
        |settings, gateway| {
            configure(settings, gateway);
            settings.video.routing.failure_threshold = 1;
        },
        async |server| {
            let models = || async {
                let response = server.request(Method::GET, "/v1/models?modality=video").send().await.unwrap();
                json_body(response).await["data"].as_array().unwrap().clone()
            };
            let named = |models: &[Value], id: &str| models.iter().find(|model| model["id"] == id).unwrap().clone();
            let listed = models().await;
            assert_eq!(listed[0]["id"], "mine");
            assert_eq!((&listed[0]["default"], &listed[0]["aliases"]), (&json!(true), &json!(["sora-2"])));
            for (id, owner) in [("sora-2-pro", "openai"), (SEEDANCE, "seedance"), ("offline-video", "offline")] {
                let model = named(&listed, id);
                assert_eq!((&model["owned_by"], &model["healthy"]), (&json!(owner), &json!(true)), "{model}");
            }
            // One failure opens the circuit breaker, which all models of a provider share.
            server.upstream.enqueue_at("/v1/videos", Reply::new(500, "{}"));
            server.upstream.enqueue_at("/v1/videos?order=desc&limit=100", Reply::new(404, "{}"));
            fails_with(server, "mine", "outcome_unknown").await;
            server.upstream.skip_requests(2).await;
            let listed = models().await;
            let healthy = ["mine", "sora-2-pro", SEEDANCE].map(|id| named(&listed, id)["healthy"].clone());
            assert_eq!(healthy, [json!(false), json!(false), json!(true)]);
        },
    )
    .await;
}
