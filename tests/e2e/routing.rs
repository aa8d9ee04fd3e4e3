//! Several upstreams behind one name.

use std::time::Duration;

use core_service::config::{Routing, Settings, Upstream as Configured};
use serde_json::json;
use tonic_types::StatusExt;
use triptych_proto::v1 as pb;

use crate::{
    harness::{Events, MODEL, World, error_of, hello, over_both_hops_with, soon},
    upstream::{Gate, Reply, Upstream, content},
};

pub(crate) const REPLY: &str = r#"{"id":"c-1","object":"chat.completion","created":7,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}"#;
pub(crate) const AWAY: &str = r#"{"error":{"message":"away"}}"#;

/// The world's own upstream becomes `a`, and `other`, if any, `b` behind it.
pub(crate) fn route(settings: &mut Settings, other: Option<&Upstream>) {
    let chat = &mut settings.chat;
    chat.routing = Routing::default();
    let a = Configured {
        name: "a".to_owned(),
        base_url: chat.base_url.take(),
        models: vec![MODEL.to_owned()],
        ..Configured::default()
    };
    let b = other.map(|other| Configured {
        name: "b".to_owned(),
        base_url: Some(format!("http://{}/v1", other.address).parse().unwrap()),
        rename: [(MODEL.to_owned(), "theirs".to_owned())].into(),
        priority: 1,
        ..a.clone()
    });
    chat.upstreams = std::iter::once(a).chain(b).collect();
}

pub(crate) fn grpc_hello() -> pb::CreateChatRequest {
    let message = pb::ChatMessage {
        role: "user".to_owned(),
        content: Some(pb::chat_message::Content::Text("Hello".to_owned())),
        ..pb::ChatMessage::default()
    };
    let chat = pb::ChatRequest { model: MODEL.to_owned(), messages: vec![message], ..pb::ChatRequest::default() };
    pb::CreateChatRequest { chat: Some(chat), ..pb::CreateChatRequest::default() }
}

pub(crate) async fn tried(world: &World) -> String {
    let answer = world.chat(hello(&json!({}))).await;
    assert_eq!(answer.status(), 200);
    answer.headers()["x-triptych-attempts"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_one_upstream_refuses_another_answers_through_both_doors() {
    let other = Upstream::start().await;
    over_both_hops_with(
        |settings, _| route(settings, Some(&other)),
        async |world| {
            world.upstream.will(Reply::new(503, AWAY));
            other.will(Reply::new(200, REPLY));
            assert_eq!(tried(world).await, "a=unavailable,b=ok");
            assert_eq!(world.upstream.saw().await.json()["model"], MODEL);
            assert_eq!(other.saw().await.json()["model"], "theirs");

            world.upstream.will(Reply::new(503, AWAY));
            other.will(Reply::saying(&["a", "b"]));
            let answer = world.chat(hello(&json!({"stream": true}))).await;
            assert_eq!(answer.headers()["x-triptych-attempts"], "a=unavailable,b=ok");
            assert_eq!(Events::of(answer).rest().await.last().unwrap(), "data: [DONE]");
            world.upstream.saw().await;
            other.saw().await;

            world.upstream.will(Reply::new(503, AWAY));
            other.will(Reply::new(200, REPLY));
            let answer = world.chat_client().await.create_chat(grpc_hello()).await.unwrap();
            assert_eq!(answer.metadata().get("x-triptych-attempts").unwrap(), "a=unavailable,b=ok");
            assert_eq!(answer.get_ref().model, MODEL);
            world.upstream.saw().await;
            other.saw().await;
        },
    )
    .await;
}

#[tokio::test]
async fn an_upstream_that_asks_for_a_rest_gets_it() {
    let other = Upstream::start().await;
    over_both_hops_with(
        |settings, _| route(settings, Some(&other)),
        async |world| {
            world.upstream.will(Reply::new(429, AWAY).header("retry-after", "3600"));
            other.will(Reply::new(200, REPLY));
            other.will(Reply::new(200, REPLY));
            assert_eq!(tried(world).await, "a=rate_limited,b=ok");
            assert_eq!(tried(world).await, "b=ok");
            world.upstream.saw().await;
            other.saw().await;
            other.saw().await;
        },
    )
    .await;
}

#[tokio::test]
async fn an_upstream_that_keeps_failing_rests_and_one_good_probe_brings_it_back() {
    let other = Upstream::start().await;
    over_both_hops_with(
        |settings, _| {
            route(settings, Some(&other));
            settings.chat.routing.failures = 1;
            // So short that the next call is already the probe.
            settings.chat.routing.cooldown = Duration::from_nanos(1);
        },
        async |world| {
            for (reply, expected) in
                [(503, "a=unavailable,b=ok"), (503, "a=unavailable,b=ok"), (200, "a=ok"), (200, "a=ok")]
            {
                world.upstream.will(Reply::new(reply, if reply == 200 { REPLY } else { AWAY }));
                if reply != 200 {
                    other.will(Reply::new(200, REPLY));
                }
                assert_eq!(tried(world).await, expected);
                world.upstream.saw().await;
                if reply != 200 {
                    other.saw().await;
                }
            }
        },
    )
    .await;
}

#[tokio::test]
async fn a_failure_that_may_have_been_taken_is_told_with_what_was_tried() {
    let other = Upstream::start().await;
    over_both_hops_with(
        |settings, _| route(settings, Some(&other)),
        async |world| {
            world.upstream.will(Reply::new(500, AWAY));
            let answer = world.chat(hello(&json!({}))).await;
            assert_eq!(answer.headers()["x-triptych-attempts"], "a=broken");
            let (status, error) = error_of(answer).await;
            assert_eq!((status.as_u16(), &error["code"]), (502, &json!("upstream_unavailable")));
            world.upstream.saw().await;
            other.saw_nothing().await;
        },
    )
    .await;
}

#[tokio::test]
async fn a_stream_that_broke_after_its_first_piece_is_not_begun_anew() {
    let other = Upstream::start().await;
    over_both_hops_with(
        |settings, _| {
            route(settings, Some(&other));
            settings.chat.routing.retry_unsafe = true;
        },
        async |world| {
            world.upstream.will(Reply::stream().send(&content("a")).cut());
            let events = Events::of(world.chat(hello(&json!({"stream": true}))).await).rest().await;
            assert!(events.last().unwrap().contains("upstream_unavailable"), "{events:?}");
            world.upstream.saw().await;
            other.saw_nothing().await;
        },
    )
    .await;
}

#[tokio::test]
async fn a_session_stays_at_one_upstream() {
    let other = Upstream::start().await;
    over_both_hops_with(
        |settings, _| {
            route(settings, Some(&other));
            settings.chat.upstreams[1].priority = 0;
        },
        async |world| {
            let mut first = None;
            for _ in 0..6 {
                // Whichever is asked; the other one's answer is put to the next, which gets the same.
                world.upstream.will(Reply::new(200, REPLY));
                other.will(Reply::new(200, REPLY));
                let request =
                    world.request(reqwest::Method::POST, "/v1/chat/completions").header("x-session-id", "s-1");
                let answer = soon("an answer", request.body(hello(&json!({}))).send()).await.unwrap();
                let tried = answer.headers()["x-triptych-attempts"].to_str().unwrap().to_owned();
                (if tried == "a=ok" { &world.upstream } else { &other }).saw().await;
                assert_eq!(first.get_or_insert(tried.clone()), &tried);
            }
        },
    )
    .await;
}

#[tokio::test]
async fn beyond_the_bound_the_answer_is_429_at_once_and_hanging_up_frees_the_place() {
    over_both_hops_with(
        |settings, _| {
            route(settings, None);
            settings.chat.upstreams[0].max_in_flight = 1;
        },
        async |world| {
            let gate = Gate::new();
            world.upstream.will(Reply::stream().send(&content("a")).hold(&gate).stall());
            let mut held = Events::of(world.chat(hello(&json!({"stream": true}))).await);
            assert!(held.next().await.is_some());
            let answer = world.chat(hello(&json!({}))).await;
            assert_eq!(answer.headers()["retry-after"], "1");
            let (status, error) = error_of(answer).await;
            assert_eq!((status.as_u16(), &error["code"]), (429, &json!("overloaded")));
            let refused = world.chat_client().await.create_chat(grpc_hello()).await.unwrap_err();
            assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
            assert!(refused.get_error_details().retry_info().is_some());

            gate.open();
            drop(held);
            world.upstream.was_left().await;
            world.upstream.will(Reply::new(200, REPLY));
            assert_eq!(tried(world).await, "a=ok");
            world.upstream.saw().await;
            world.upstream.saw().await;
        },
    )
    .await;
}
