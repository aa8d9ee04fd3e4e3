//! What is set of one upstream or of several: names, dialects, bounds in time.

use std::{collections::BTreeMap, time::Duration};

use core_service::{
    chat::dialect::Dialect,
    config::{RouteRule, Routing},
};
use serde_json::json;
use triptych_proto::v1 as pb;

use crate::{
    harness::{Events, MODEL, data, error_of, hello, over_both_hops_with, soon},
    routing::{AWAY, REPLY, grpc_hello, route, tried},
    upstream::{Meter, Reply, Upstream, content},
};

#[tokio::test]
async fn a_lone_upstream_is_tried_again_rests_and_tells_what_was_tried() {
    over_both_hops_with(
        |settings, _| settings.chat.routing = Routing { failures: 2, ..Routing::default() },
        async |world| {
            world.upstream.will(Reply::new(503, AWAY));
            world.upstream.will(Reply::new(200, REPLY));
            assert_eq!(tried(world).await, "upstream=unavailable,upstream=ok");
            world.upstream.saw().await;
            world.upstream.saw().await;

            world.upstream.will(Reply::new(429, AWAY).header("retry-after", "3600"));
            let answer = world.chat(hello(&json!({"stream": true}))).await;
            assert_eq!(answer.headers()["x-triptych-attempts"], "upstream=rate_limited");
            assert_eq!(error_of(answer).await.0.as_u16(), 429);
            world.upstream.saw().await;
            // It asked for a rest and is left alone.
            let answer = world.chat(hello(&json!({}))).await;
            assert!(answer.headers().get("x-triptych-attempts").is_none(), "{answer:?}");
            assert_eq!(error_of(answer).await.1["code"], "rate_limit_exceeded");
        },
    )
    .await;
}

#[tokio::test]
async fn callers_who_would_not_wait_do_not_rest_an_upstream_and_broken_streams_do() {
    over_both_hops_with(
        |settings, _| settings.chat.routing = Routing { failures: 2, retries: 0, ..Routing::default() },
        async |world| {
            for _ in 0..3 {
                world.upstream.will(Reply::silence());
                let body = json!({"model": MODEL, "messages": [{"role": "user", "content": "x"}]}).to_string();
                let request = world.request(reqwest::Method::POST, "/v1/chat/completions").body(body);
                let request = request.header("content-type", "application/json").header("x-request-timeout-ms", "50");
                let answer = soon("an answer", request.send()).await.unwrap();
                assert_eq!(error_of(answer).await.0.as_u16(), 504);
                world.upstream.saw().await;
                world.upstream.was_left().await;
            }
            world.upstream.will(Reply::new(200, REPLY));
            assert_eq!(tried(world).await, "upstream=ok");
            world.upstream.saw().await;
            for _ in 0..2 {
                world.upstream.will(Reply::stream().send(&content("a")).cut());
                let events = Events::of(world.chat(hello(&json!({"stream": true}))).await).rest().await;
                assert!(data(&events[1])["error"].is_object(), "{events:?}");
                world.upstream.saw().await;
            }
            let answer = world.chat(hello(&json!({}))).await;
            assert!(answer.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap() > 10, "{answer:?}");
            let (status, error) = error_of(answer).await;
            assert_eq!((status.as_u16(), &error["code"]), (502, &json!("upstream_unavailable")));
        },
    )
    .await;
}

#[tokio::test]
async fn a_lone_upstream_may_have_aliases() {
    over_both_hops_with(
        |settings, _| {
            let aliases = vec!["gpt-4o-mini".to_owned()];
            settings.chat.routes = vec![RouteRule { model: MODEL.to_owned(), aliases, ..RouteRule::default() }];
        },
        async |world| {
            world.upstream.will(Reply::new(200, REPLY));
            let answer = world.chat(hello(&json!({"model": "gpt-4o-mini"}))).await;
            let reply: serde_json::Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
            assert_eq!(reply["model"], MODEL);
            assert_eq!(world.upstream.saw().await.json()["model"], MODEL);
        },
    )
    .await;
}

#[tokio::test]
async fn aliases_and_fallbacks_serve_through_both_doors() {
    let other = Upstream::start().await;
    over_both_hops_with(
        |settings, _| {
            route(settings, Some(&other));
            // The second one serves another model, and this one when its own upstream cannot.
            (settings.chat.upstreams[1].models, settings.chat.upstreams[1].rename) =
                (vec!["deep".to_owned()], BTreeMap::new());
            settings.chat.upstreams[1].priority = 0;
            let (aliases, fallbacks) = (vec!["quick".to_owned()], vec!["deep".to_owned()]);
            settings.chat.routes =
                vec![RouteRule { model: MODEL.to_owned(), aliases, fallbacks, ..RouteRule::default() }];
        },
        async |world| {
            world.upstream.will(Reply::new(503, AWAY));
            other.will(Reply::new(200, REPLY));
            let answer = world.chat(hello(&json!({"model": "quick"}))).await;
            assert_eq!(answer.headers()["x-triptych-attempts"], "a=unavailable,b=ok");
            let reply: serde_json::Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
            assert_eq!(reply["model"], MODEL);
            assert_eq!(world.upstream.saw().await.json()["model"], MODEL);
            assert_eq!(other.saw().await.json()["model"], "deep");

            world.upstream.will(Reply::new(503, AWAY));
            other.will(Reply::saying(&["x"]));
            let mut chat = grpc_hello().chat.unwrap();
            chat.model = "quick".to_owned();
            let asked = pb::StreamChatRequest { chat: Some(chat), ..pb::StreamChatRequest::default() };
            let answer = world.chat_client().await.stream_chat(asked).await.unwrap();
            assert_eq!(answer.metadata().get("x-triptych-attempts").unwrap(), "a=unavailable,b=ok");
            let mut pieces = answer.into_inner();
            while let Some(piece) = soon("a piece", pieces.message()).await.unwrap() {
                assert_eq!(piece.model, MODEL);
            }
            world.upstream.saw().await;
            assert_eq!(other.saw().await.json()["model"], "deep");

            // Asked for itself it has no other upstream.
            other.will(Reply::new(200, REPLY));
            let answer = world.chat(hello(&json!({"model": "deep"}))).await;
            assert_eq!(answer.headers()["x-triptych-attempts"], "b=ok");
            other.saw().await;
        },
    )
    .await;
}

#[tokio::test]
async fn each_upstream_is_spoken_to_in_its_own_dialect_and_with_its_own_headers() {
    let other = Upstream::start().await;
    over_both_hops_with(
        |settings, _| {
            route(settings, Some(&other));
            settings.chat.upstreams[0].dialect = Some(Dialect::Openai);
            // What is said of all holds for the one of which nothing is said.
            settings.chat.dialect = Some(Dialect::Deepseek);
            settings.chat.upstreams[1].headers = [("x-title", "t"), ("user-agent", "own")]
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .into_iter()
                .collect();
        },
        async |world| {
            world.upstream.will(Reply::new(503, AWAY));
            other.will(Reply::new(200, REPLY));
            assert_eq!(world.chat(hello(&json!({"max_completion_tokens": 5}))).await.status(), 200);
            let (a, b) = (world.upstream.saw().await, other.saw().await);
            assert_eq!(
                (a.header("x-title"), b.header("x-title"), b.header("user-agent")),
                (None, Some("t"), Some("own"))
            );
            let (a, b) = (a.json(), b.json());
            assert_eq!((&a["max_completion_tokens"], a.get("max_tokens")), (&json!(5), None));
            assert_eq!((&b["max_tokens"], b.get("max_completion_tokens")), (&json!(5), None));
        },
    )
    .await;
}

#[tokio::test]
async fn a_call_that_takes_too_long_in_all_ends_though_neither_silence_nor_the_caller_bounds_it() {
    over_both_hops_with(
        |settings, _| settings.chat.total_timeout = Duration::from_millis(50),
        async |world| {
            world.upstream.will(Reply::silence());
            let (status, error) = error_of(world.chat(hello(&json!({}))).await).await;
            assert_eq!((status.as_u16(), &error["code"]), (504, &json!("upstream_timeout")));
            world.upstream.saw().await;
            world.upstream.was_left().await;
        },
    )
    .await;
    over_both_hops_with(
        |settings, _| {
            // Long enough for the first piece on a busy machine; the one of the upstream goes before that of all.
            route(settings, None);
            settings.chat.upstreams[0].total_timeout = Some(Duration::from_secs(2));
            settings.chat.total_timeout = Duration::from_millis(1);
        },
        async |world| {
            world.upstream.will(Reply::stream().send(&content("a")).stall());
            let events = Events::of(world.chat(hello(&json!({"stream": true}))).await).rest().await;
            assert_eq!(data(&events[0])["choices"][0]["delta"]["content"], "a");
            assert_eq!(data(events.last().unwrap())["error"]["code"], "upstream_timeout", "{events:#?}");
            world.upstream.saw().await;
            world.upstream.was_left().await;

            // One that never falls silent is no exception.
            world.upstream.will(Reply::stream().pour(&content("a"), usize::MAX, &Meter::default()));
            let events = Events::of(world.chat(hello(&json!({"stream": true}))).await).rest().await;
            assert_eq!(data(events.last().unwrap())["error"]["code"], "upstream_timeout");
            world.upstream.saw().await;
            world.upstream.was_left().await;
        },
    )
    .await;
}
