//! What callers and operators are told of the upstreams behind a name.

use reqwest::Method;
use serde_json::{Value, json};
use triptych_proto::v1::{self as pb, model::target::State};

use crate::{
    chat::setup::{COMPLETION, UNAVAILABLE, attempted_targets, configure_targets},
    fake_upstream::{FakeUpstream, Gate, Reply, content_event, finish_event},
    responses::Events,
    test_server::{MODEL, TestServer, chat_body, over_both_hops, over_both_hops_with, within_timeout},
};

async fn text(server: &TestServer, path: &str) -> String {
    let response = within_timeout("a response", server.request(Method::GET, path).send()).await.unwrap();
    assert_eq!(response.status(), 200);
    response.text().await.unwrap()
}

async fn model(server: &TestServer, name: &str) -> Value {
    serde_json::from_str(&text(server, &format!("/v1/models/{name}")).await).unwrap()
}

#[tokio::test]
async fn the_state_of_each_target_is_told_by_both_doors_and_in_the_metrics() {
    let other = FakeUpstream::start().await;
    over_both_hops_with(
        |settings, _| {
            configure_targets(settings, Some(&other));
            settings.chat.upstreams[1].weight = 3;
        },
        async |server| {
            server.upstream.enqueue(Reply::new(429, UNAVAILABLE).header("retry-after", "3600"));
            other.enqueue(Reply::new(200, COMPLETION));
            assert_eq!(attempted_targets(server).await, "a=rate_limited,b=ok");
            let gate = Gate::new();
            other.enqueue(Reply::stream().send(&content_event("x")).wait_for(&gate).send(&finish_event("stop")));
            let mut held = Events::new(server.chat(chat_body(&json!({"stream": true}))).await);
            assert!(held.next().await.is_some());

            let told = model(server, MODEL).await;
            let a = json!({"name": "a", "upstream_model": MODEL, "state": "open", "in_flight": 0, "weight": 1, "priority": 0});
            let b = json!({"name": "b", "upstream_model": "theirs", "state": "closed", "in_flight": 1, "weight": 3, "priority": 1});
            assert_eq!((&told["healthy"], &told["targets"]), (&json!(true), &json!([a, b])));
            let asked = pb::GetModelRequest { id: MODEL.to_owned() };
            let told = server.model_client().await.get_model(asked).await.unwrap().into_inner().model.unwrap();
            let states: Vec<_> = told.targets.iter().map(|target| (target.state(), target.in_flight)).collect();
            assert_eq!((told.healthy, states), (true, vec![(State::Open, 0), (State::Closed, 1)]));
            let metrics = text(server, "/metrics").await;
            for line in [
                r#"triptych_target_state{model="scripted-1",target="a",upstream_model="scripted-1",state="open"} 1"#,
                r#"triptych_target_state{model="scripted-1",target="b",upstream_model="theirs",state="open"} 0"#,
                r#"triptych_target_in_flight{model="scripted-1",target="b",upstream_model="theirs"} 1"#,
            ] {
                assert!(metrics.lines().any(|other| other == line), "{line} is not in {metrics}");
            }

            gate.open();
            assert_eq!(held.read_all().await.last().unwrap(), "data: [DONE]");
            assert_eq!(model(server, MODEL).await["targets"][1]["in_flight"], 0);
            server.upstream.received().await;
            other.received().await;
            other.received().await;
        },
    )
    .await;
}

#[tokio::test]
async fn a_model_is_healthy_until_all_its_targets_rest() {
    over_both_hops_with(
        |settings, _| configure_targets(settings, None),
        async |server| {
            assert_eq!(model(server, MODEL).await["healthy"], true);
            server.upstream.enqueue(Reply::new(429, UNAVAILABLE).header("retry-after", "3600"));
            assert_eq!(server.chat(chat_body(&json!({}))).await.status(), 429);
            server.upstream.received().await;
            assert_eq!(model(server, MODEL).await["healthy"], false);
        },
    )
    .await;
}

#[tokio::test]
async fn built_in_engines_simply_serve() {
    over_both_hops(async |server| {
        for name in ["offline-chat", "offline-image", "offline-video"] {
            let told = model(server, name).await;
            assert_eq!((&told["healthy"], told.get("targets")), (&json!(true), None), "{told}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_a_model_makes_can_do_and_is_called_besides_is_told_by_both_doors() {
    over_both_hops(async |server| {
        for (query, panel, word) in [
            ("", pb::Panel::Unspecified, None),
            ("?panel=chat", pb::Panel::Chat, Some("chat")),
            ("?panel=image", pb::Panel::Image, Some("image")),
            ("?panel=video", pb::Panel::Video, Some("video")),
        ] {
            let request = pb::ListModelsRequest { panel: panel.into() };
            let grpc = server.model_client().await.list_models(request).await.unwrap().into_inner().models;
            let rest: Value = serde_json::from_str(&text(server, &format!("/v1/models{query}")).await).unwrap();
            let rest = rest["data"].as_array().unwrap();
            assert!(!rest.is_empty() && rest.len() == grpc.len(), "{query}: {rest:?}");
            for (told, model) in rest.iter().zip(grpc) {
                assert!(word.is_none_or(|word| told["panel"] == word), "{query}: {told}");
                let expected = json!([model.id, model.default, model.aliases, model.capabilities]);
                assert_eq!(json!([told["id"], told["default"], told["aliases"], told["capabilities"]]), expected);
            }
        }
        let image = model(server, "offline-image").await;
        assert_eq!((&image["panel"], &image["default"]), (&json!("image"), &json!(true)));
        assert!(image["aliases"].as_array().unwrap().contains(&json!("dall-e-3")), "{image}");
    })
    .await;
}
