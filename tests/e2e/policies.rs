//! Which of several upstreams gets a call.

use core_service::config::{Policy, Settings};
use reqwest::Method;
use serde_json::json;

use crate::{
    harness::{Events, World, hello, over_both_hops_with, soon},
    routing::{REPLY, grpc_hello, route},
    upstream::{Gate, Reply, Upstream, content, finish},
};

/// Two upstreams of one priority, and how one of them is chosen.
fn equals(settings: &mut Settings, other: &Upstream, policy: Policy) {
    route(settings, Some(other));
    settings.chat.upstreams[1].priority = 0;
    settings.chat.routing.policy = policy;
}

fn attempts(answer: &reqwest::Response) -> String {
    answer.headers()["x-triptych-attempts"].to_str().unwrap().to_owned()
}

/// A stream that holds after its first piece, read so far, and the one who answers it: `a=ok`, `b=ok`.
async fn held(world: &World, other: &Upstream, gate: &Gate) -> (Events, String) {
    for upstream in [&world.upstream, other] {
        upstream.forget();
        upstream.will(Reply::stream().send(&content("x")).hold(gate).send(&finish("stop")));
    }
    let answer = world.chat(hello(&json!({"stream": true}))).await;
    let who = attempts(&answer);
    let mut events = Events::of(answer);
    assert!(events.next().await.is_some());
    saw(world, other, &who).await;
    (events, who)
}

async fn saw(world: &World, other: &Upstream, who: &str) {
    (if who == "a=ok" { &world.upstream } else { other }).saw().await;
}

#[tokio::test]
async fn least_in_flight_avoids_whoever_is_busy_through_both_doors() {
    let other = Upstream::start().await;
    over_both_hops_with(
        |settings, _| equals(settings, &other, Policy::LeastInFlight),
        async |world| {
            let (first, second) = (Gate::new(), Gate::new());
            let (one, busy) = held(world, &other, &first).await;
            let free = if busy == "a=ok" { "b=ok" } else { "a=ok" };
            for _ in 0..8 {
                for upstream in [&world.upstream, &other] {
                    upstream.forget();
                    upstream.will(Reply::new(200, REPLY));
                }
                let answer = world.chat_client().await.create_chat(grpc_hello()).await.unwrap();
                assert_eq!(answer.metadata().get("x-triptych-attempts").unwrap(), free);
                saw(world, &other, free).await;
            }
            let (two, who) = held(world, &other, &second).await;
            assert_eq!(who, free);
            first.open();
            assert_eq!(one.rest().await.last().unwrap(), "data: [DONE]");
            // Now the other one is the busy one.
            let (three, who) = held(world, &other, &first).await;
            assert_eq!(who, busy);
            first.open();
            second.open();
            for events in [two, three] {
                assert_eq!(events.rest().await.last().unwrap(), "data: [DONE]");
            }
        },
    )
    .await;
}

/// The name of a session that stays at this upstream.
async fn session_at(world: &World, other: &Upstream, wanted: &str) -> String {
    for number in 0.. {
        for upstream in [&world.upstream, other] {
            upstream.forget();
            upstream.will(Reply::new(200, REPLY));
        }
        let name = format!("s-{number}");
        let request = world.request(Method::POST, "/v1/chat/completions").header("x-session-id", &name);
        let answer = soon("an answer", request.body(hello(&json!({}))).send()).await.unwrap();
        let who = attempts(&answer);
        saw(world, other, &who).await;
        if who == wanted {
            return name;
        }
    }
    unreachable!("no session stays at {wanted}")
}

#[tokio::test]
async fn first_token_prefers_whoever_began_sooner() {
    let other = Upstream::start().await;
    over_both_hops_with(
        |settings, _| equals(settings, &other, Policy::FirstToken),
        async |world| {
            let (at_a, at_b) = (session_at(world, &other, "a=ok").await, session_at(world, &other, "b=ok").await);
            let stream = |session: &str| {
                let request = world.request(Method::POST, "/v1/chat/completions").header("x-session-id", session);
                request.body(hello(&json!({"stream": true}))).send()
            };
            world.upstream.forget();
            other.forget();
            // The wait for the first token of `a` begins before the one of `b` and ends after it.
            let gate = Gate::new();
            world.upstream.will(Reply::stream().hold(&gate).send(&content("x")).send(&finish("stop")));
            other.will(Reply::saying(&["x"]));
            let slow = tokio::spawn(stream(&at_a));
            world.upstream.saw().await;
            let fast = soon("an answer", stream(&at_b)).await.unwrap();
            assert_eq!(Events::of(fast).rest().await.last().unwrap(), "data: [DONE]");
            other.saw().await;
            gate.open();
            let slow = soon("an answer", slow).await.unwrap().unwrap();
            assert_eq!(Events::of(slow).rest().await.last().unwrap(), "data: [DONE]");

            let mut at_b = 0;
            for _ in 0..40 {
                for upstream in [&world.upstream, &other] {
                    upstream.forget();
                    upstream.will(Reply::new(200, REPLY));
                }
                let answer = world.chat(hello(&json!({}))).await;
                let who = attempts(&answer);
                saw(world, &other, &who).await;
                at_b += u32::from(who == "b=ok");
            }
            // One in forty goes to the slower one, to see whether it has recovered.
            assert!(at_b >= 30, "{at_b} of 40 went to the faster one");
        },
    )
    .await;
}
