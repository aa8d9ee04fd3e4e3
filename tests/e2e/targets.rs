//! What callers and operators are told of the upstreams behind a name.

use reqwest::Method;
use serde_json::{Value, json};
use triptych_proto::v1::{self as pb, model::target::State};

use crate::{
    harness::{Events, MODEL, World, hello, over_both_hops, over_both_hops_with, soon},
    routing::{AWAY, REPLY, route, tried},
    upstream::{Gate, Reply, Upstream, content, finish},
};

async fn text(world: &World, path: &str) -> String {
    let answer = soon("an answer", world.request(Method::GET, path).send()).await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.text().await.unwrap()
}

async fn model(world: &World, name: &str) -> Value {
    serde_json::from_str(&text(world, &format!("/v1/models/{name}")).await).unwrap()
}

#[tokio::test]
async fn the_state_of_each_target_is_told_by_both_doors_and_in_the_metrics() {
    let other = Upstream::start().await;
    over_both_hops_with(
        |settings, _| {
            route(settings, Some(&other));
            settings.chat.upstreams[1].weight = 3;
        },
        async |world| {
            world.upstream.will(Reply::new(429, AWAY).header("retry-after", "3600"));
            other.will(Reply::new(200, REPLY));
            assert_eq!(tried(world).await, "a=rate_limited,b=ok");
            let gate = Gate::new();
            other.will(Reply::stream().send(&content("x")).hold(&gate).send(&finish("stop")));
            let mut held = Events::of(world.chat(hello(&json!({"stream": true}))).await);
            assert!(held.next().await.is_some());

            let told = model(world, MODEL).await;
            let a = json!({"name": "a", "upstream_model": MODEL, "state": "open", "in_flight": 0, "weight": 1, "priority": 0});
            let b = json!({"name": "b", "upstream_model": "theirs", "state": "closed", "in_flight": 1, "weight": 3, "priority": 1});
            assert_eq!((&told["healthy"], &told["targets"]), (&json!(true), &json!([a, b])));
            let asked = pb::GetModelRequest { id: MODEL.to_owned() };
            let told = world.model_client().await.get_model(asked).await.unwrap().into_inner().model.unwrap();
            let states: Vec<_> = told.targets.iter().map(|target| (target.state(), target.in_flight)).collect();
            assert_eq!((told.healthy, states), (true, vec![(State::Open, 0), (State::Closed, 1)]));
            let metrics = text(world, "/metrics").await;
            for line in [
                r#"triptych_target_state{model="scripted-1",target="a",upstream_model="scripted-1",state="open"} 1"#,
                r#"triptych_target_state{model="scripted-1",target="b",upstream_model="theirs",state="open"} 0"#,
                r#"triptych_target_in_flight{model="scripted-1",target="b",upstream_model="theirs"} 1"#,
            ] {
                assert!(metrics.lines().any(|other| other == line), "{line} is not in {metrics}");
            }

            gate.open();
            assert_eq!(held.rest().await.last().unwrap(), "data: [DONE]");
            assert_eq!(model(world, MODEL).await["targets"][1]["in_flight"], 0);
            world.upstream.saw().await;
            other.saw().await;
            other.saw().await;
        },
    )
    .await;
}

#[tokio::test]
async fn a_model_is_healthy_until_all_its_targets_rest() {
    over_both_hops_with(
        |settings, _| route(settings, None),
        async |world| {
            assert_eq!(model(world, MODEL).await["healthy"], true);
            world.upstream.will(Reply::new(429, AWAY).header("retry-after", "3600"));
            assert_eq!(world.chat(hello(&json!({}))).await.status(), 429);
            world.upstream.saw().await;
            assert_eq!(model(world, MODEL).await["healthy"], false);
        },
    )
    .await;
}

#[tokio::test]
async fn built_in_engines_simply_serve() {
    over_both_hops(async |world| {
        for name in ["offline-chat", "offline-image", "offline-video"] {
            let told = model(world, name).await;
            assert_eq!((&told["healthy"], told.get("targets")), (&json!(true), None), "{told}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_a_model_makes_can_do_and_is_called_besides_is_told_by_both_doors() {
    over_both_hops(async |world| {
        for (query, panel, word) in [
            ("", pb::Modality::Unspecified, None),
            ("?modality=chat", pb::Modality::Chat, Some("chat")),
            ("?modality=image", pb::Modality::Image, Some("image")),
            ("?modality=video", pb::Modality::Video, Some("video")),
        ] {
            let request = pb::ListModelsRequest { modality: panel.into(), ..Default::default() };
            let grpc = world.model_client().await.list_models(request).await.unwrap().into_inner().models;
            let rest: Value = serde_json::from_str(&text(world, &format!("/v1/models{query}")).await).unwrap();
            let rest = rest["data"].as_array().unwrap();
            assert!(!rest.is_empty() && rest.len() == grpc.len(), "{query}: {rest:?}");
            for (told, model) in rest.iter().zip(grpc) {
                assert!(word.is_none_or(|word| told["modality"] == word), "{query}: {told}");
                let expected = json!([model.id, model.default, model.aliases, model.capabilities]);
                assert_eq!(json!([told["id"], told["default"], told["aliases"], told["capabilities"]]), expected);
            }
        }
        let image = model(world, "offline-image").await;
        assert_eq!((&image["modality"], &image["default"]), (&json!("image"), &json!(true)));
        assert!(image["aliases"].as_array().unwrap().contains(&json!("dall-e-3")), "{image}");
    })
    .await;
}
