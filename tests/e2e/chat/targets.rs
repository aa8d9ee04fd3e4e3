//! Models and the state of their targets, the upstreams that serve a model, in `/v1/models`, in the model service and in the
//! metrics. State `open` is that of the circuit breaker: the target gets no calls.

use reqwest::Method;
use serde_json::{Value, json};
use triptych_proto::v1::{self as pb, model::target::State};

use crate::{
    chat::setup::{COMPLETION, UNAVAILABLE, attempted_targets, configure_targets},
    fake_upstream::{FakeUpstream, Latch, Reply, content_event, finish_event},
    rest_response::Events,
    test_server::{
        MODEL, TestServer, chat_body, with_local_and_remote_core, with_local_and_remote_core_and_settings,
        within_timeout,
    },
};

async fn get_text(server: &TestServer, path: &str) -> String {
    let response = within_timeout("a response", server.request(Method::GET, path).send()).await.unwrap();
    assert_eq!(response.status(), 200);
    response.text().await.unwrap()
}

async fn get_model(server: &TestServer, name: &str) -> Value {
    serde_json::from_str(&get_text(server, &format!("/v1/models/{name}")).await).unwrap()
}

#[tokio::test]
async fn target_state_is_reported_over_rest_and_grpc_and_in_the_metrics() {
    let other = FakeUpstream::start().await;
    with_local_and_remote_core_and_settings(
        |settings, _| {
            configure_targets(settings, Some(&other));
            settings.chat.upstreams[1].weight = 3;
        },
        async |server| {
            server.upstream.enqueue(Reply::new(429, UNAVAILABLE).header("retry-after", "3600"));
            other.enqueue(Reply::new(200, COMPLETION));
            assert_eq!(attempted_targets(server).await, "a=rate_limited,b=ok");
            let gate = Latch::new();
            other.enqueue(Reply::stream().send(&content_event("x")).wait_for(&gate).send(&finish_event("stop")));
            let mut stream = Events::new(server.chat(chat_body(&json!({"stream": true}))).await);
            assert!(stream.next().await.is_some());

            let model = get_model(server, MODEL).await;
            let a = json!({"name": "a", "upstream_model": MODEL, "state": "open", "in_flight": 0, "weight": 1, "priority": 0});
            let b = json!({"name": "b", "upstream_model": "theirs", "state": "closed", "in_flight": 1, "weight": 3, "priority": 1});
            assert_eq!((&model["healthy"], &model["targets"]), (&json!(true), &json!([a, b])));
            let request = pb::GetModelRequest { id: MODEL.to_owned() };
            let model = server.model_client().await.get_model(request).await.unwrap().into_inner().model.unwrap();
            let states: Vec<_> = model.targets.iter().map(|target| (target.state(), target.in_flight)).collect();
            assert_eq!((model.healthy, states), (true, vec![(State::Open, 0), (State::Closed, 1)]));
            let metrics = get_text(server, "/metrics").await;
            for line in [
                r#"triptych_target_state{model="scripted-1",target="a",upstream_model="scripted-1",state="open"} 1"#,
                r#"triptych_target_state{model="scripted-1",target="b",upstream_model="theirs",state="open"} 0"#,
                r#"triptych_target_in_flight{model="scripted-1",target="b",upstream_model="theirs"} 1"#,
            ] {
                assert!(metrics.lines().any(|other| other == line), "{line} is missing in {metrics}");
            }

            gate.open();
            assert_eq!(stream.read_all().await.last().unwrap(), "data: [DONE]");
            assert_eq!(get_model(server, MODEL).await["targets"][1]["in_flight"], 0);
            server.upstream.received().await;
            other.received().await;
            other.received().await;
        },
    )
    .await;
}

#[tokio::test]
async fn model_is_unhealthy_when_all_its_targets_are_cooled_down() {
    with_local_and_remote_core_and_settings(
        |settings, _| configure_targets(settings, None),
        async |server| {
            assert_eq!(get_model(server, MODEL).await["healthy"], true);
            server.upstream.enqueue(Reply::new(429, UNAVAILABLE).header("retry-after", "3600"));
            assert_eq!(server.chat(chat_body(&json!({}))).await.status(), 429);
            server.upstream.received().await;
            assert_eq!(get_model(server, MODEL).await["healthy"], false);
        },
    )
    .await;
}

#[tokio::test]
async fn built_in_model_is_healthy_and_has_no_targets() {
    with_local_and_remote_core(async |server| {
        for name in ["offline-chat", "offline-image", "offline-video"] {
            let model = get_model(server, name).await;
            assert_eq!((&model["healthy"], model.get("targets")), (&json!(true), None), "{model}");
        }
    })
    .await;
}

#[tokio::test]
async fn model_properties_are_the_same_over_rest_and_grpc() {
    with_local_and_remote_core(async |server| {
        for (query, modality, word) in [
            ("", pb::Modality::Unspecified, None),
            ("?modality=chat", pb::Modality::Chat, Some("chat")),
            ("?modality=image", pb::Modality::Image, Some("image")),
            ("?modality=video", pb::Modality::Video, Some("video")),
        ] {
            let request = pb::ListModelsRequest { modality: modality.into(), ..Default::default() };
            let grpc = server.model_client().await.list_models(request).await.unwrap().into_inner().models;
            let rest: Value = serde_json::from_str(&get_text(server, &format!("/v1/models{query}")).await).unwrap();
            let rest = rest["data"].as_array().unwrap();
            assert!(!rest.is_empty() && rest.len() == grpc.len(), "{query}: {rest:?}");
            for (listed, model) in rest.iter().zip(grpc) {
                assert!(word.is_none_or(|word| listed["modality"] == word), "{query}: {listed}");
                let expected = json!([model.id, model.default, model.aliases, model.capabilities]);
                assert_eq!(
                    json!([listed["id"], listed["default"], listed["aliases"], listed["capabilities"]]),
                    expected
                );
            }
        }
        let image = get_model(server, "offline-image").await;
        assert_eq!((&image["modality"], &image["default"]), (&json!("image"), &json!(true)));
        assert!(image["aliases"].as_array().unwrap().contains(&json!("dall-e-3")), "{image}");
    })
    .await;
}
