//! Models that are passed through to an upstream, because their names match a pattern.

use core_service::config::Settings;
use reqwest::Method;
use serde_json::{Value, json};
use triptych_proto::v1 as pb;

use crate::{
    chat::setup::COMPLETION,
    fake_upstream::{FakeUpstream, Latch, Reply},
    rest_response::error_body,
    test_server::{MODEL, TestServer, chat_body, with_local_and_remote_core_and_settings, within_timeout},
};

const LIST: &str = "/v1/models";

/// Configures an upstream that serves [`MODEL`] and all models whose names match `gpt-*`.
fn pass_through(settings: &mut Settings, upstream: &FakeUpstream) {
    settings.chat.base_url = Some(upstream.url("/v1").parse().unwrap());
    settings.chat.models = vec!["gpt-*".to_owned()];
}

/// Sends a chat request, and returns the model that the upstream received and the one of the response.
async fn models_of_a_call(server: &TestServer, upstream: &FakeUpstream, model: &str) -> (Value, Value) {
    upstream.enqueue_at("/v1/chat/completions", Reply::new(200, COMPLETION));
    let response = server.chat(chat_body(&json!({"model": model}))).await;
    assert_eq!(response.status(), 200);
    let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    (upstream.received().await.json()["model"].clone(), body["model"].clone())
}

#[tokio::test]
async fn model_with_a_matching_name_is_passed_through_without_waiting_for_the_list_of_models() {
    let upstream = FakeUpstream::start().await;
    let never = Latch::new();
    with_local_and_remote_core_and_settings(
        |settings, _| {
            pass_through(settings, &upstream);
            upstream.enqueue_at(LIST, Reply::new(200, "{}").wait_for(&never));
        },
        async |server| {
            assert!(upstream.received().await.head.starts_with("get /v1/models http/1.1"));
            assert_eq!(models_of_a_call(server, &upstream, "gpt-new").await, (json!("gpt-new"), json!("gpt-new")));
            assert_eq!(models_of_a_call(server, &upstream, MODEL).await, (json!(MODEL), json!(MODEL)));
            // No match, a pattern, and a model of another modality.
            for refused in ["claude", "gpt-*", "gpt-image-1"] {
                let (status, error) = error_body(server.chat(chat_body(&json!({"model": refused}))).await).await;
                assert_eq!((status.as_u16(), &error["code"]), (404, &json!("model_not_found")), "{refused}");
            }
            upstream.assert_no_request().await;
            let model = server.request(Method::GET, "/v1/models/gpt-new").send().await.unwrap();
            let model: Value = serde_json::from_str(&model.text().await.unwrap()).unwrap();
            assert_eq!((&model["id"], &model["owned_by"]), (&json!("gpt-new"), &json!("upstream")));
        },
    )
    .await;
}

/// Returns the ids that `GET /v1/models` lists for chat.
async fn listed(server: &TestServer) -> Vec<String> {
    let response = server.request(Method::GET, "/v1/models?modality=chat").send().await.unwrap();
    let list: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn matching_models_of_the_upstream_are_listed_and_metrics_have_the_pattern_only() {
    let upstream = FakeUpstream::start().await;
    let ids = ["gpt-a", MODEL, "claude", "gpt-image-1", "gpt-b", "gpt-a"];
    let list = json!({"data": ids.map(|id| json!({"id": id}))}).to_string();
    with_local_and_remote_core_and_settings(
        |settings, _| {
            pass_through(settings, &upstream);
            upstream.enqueue_at(LIST, Reply::new(200, &list));
        },
        async |server| {
            let ids = within_timeout("the models of the upstream", async {
                loop {
                    let ids = listed(server).await;
                    if ids.iter().any(|id| id == "gpt-a") {
                        break ids;
                    }
                }
            });
            assert_eq!(ids.await, [MODEL, "offline-chat", "gpt-a", "gpt-b"]);
            let request = pb::ListModelsRequest { modality: pb::Modality::Chat.into(), ..Default::default() };
            let models = server.model_client().await.list_models(request).await.unwrap().into_inner().models;
            let with_targets = models.iter().filter(|model| !model.targets.is_empty()).map(|model| &model.id);
            assert_eq!(with_targets.collect::<Vec<_>>(), [MODEL, "gpt-*"]);
            assert!(models.iter().all(|model| model.healthy));
            let metrics = server.request(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
            assert!(metrics.contains(r#"upstream_model="gpt-*""#) && !metrics.contains("gpt-a"), "{metrics}");
        },
    )
    .await;
}
