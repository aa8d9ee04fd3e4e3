//! Which of several upstreams gets a call.

use core_service::config::{Policy, Settings};
use reqwest::Method;
use serde_json::json;

use crate::{
    chat::setup::{COMPLETION, configure_targets, grpc_chat_request},
    fake_upstream::{FakeUpstream, Gate, Reply, content_event, finish_event},
    responses::Events,
    test_server::{TestServer, chat_body, over_both_hops_with, within_timeout},
};

/// Two upstreams of one priority, and how one of them is chosen.
fn equals(settings: &mut Settings, other: &FakeUpstream, policy: Policy) {
    configure_targets(settings, Some(other));
    settings.chat.upstreams[1].priority = 0;
    settings.chat.routing.policy = policy;
}

fn attempts(response: &reqwest::Response) -> String {
    response.headers()["x-triptych-attempts"].to_str().unwrap().to_owned()
}

/// A stream that holds after its first chunk, read so far, and the one who responses it: `a=ok`, `b=ok`.
async fn held(server: &TestServer, other: &FakeUpstream, gate: &Gate) -> (Events, String) {
    for upstream in [&server.upstream, other] {
        upstream.clear_replies();
        upstream.enqueue(Reply::stream().send(&content_event("x")).wait_for(gate).send(&finish_event("stop")));
    }
    let response = server.chat(chat_body(&json!({"stream": true}))).await;
    let who = attempts(&response);
    let mut events = Events::new(response);
    assert!(events.next().await.is_some());
    saw(server, other, &who).await;
    (events, who)
}

async fn saw(server: &TestServer, other: &FakeUpstream, who: &str) {
    (if who == "a=ok" { &server.upstream } else { other }).received().await;
}

#[tokio::test]
async fn least_in_flight_avoids_whoever_is_busy_through_both_doors() {
    let other = FakeUpstream::start().await;
    over_both_hops_with(
        |settings, _| equals(settings, &other, Policy::LeastInFlight),
        async |server| {
            let (first, second) = (Gate::new(), Gate::new());
            let (one, busy) = held(server, &other, &first).await;
            let free = if busy == "a=ok" { "b=ok" } else { "a=ok" };
            for _ in 0..8 {
                for upstream in [&server.upstream, &other] {
                    upstream.clear_replies();
                    upstream.enqueue(Reply::new(200, COMPLETION));
                }
                let response = server.chat_client().await.create_chat(grpc_chat_request()).await.unwrap();
                assert_eq!(response.metadata().get("x-triptych-attempts").unwrap(), free);
                saw(server, &other, free).await;
            }
            let (two, who) = held(server, &other, &second).await;
            assert_eq!(who, free);
            first.open();
            assert_eq!(one.read_all().await.last().unwrap(), "data: [DONE]");
            // Now the other one is the busy one.
            let (three, who) = held(server, &other, &first).await;
            assert_eq!(who, busy);
            first.open();
            second.open();
            for events in [two, three] {
                assert_eq!(events.read_all().await.last().unwrap(), "data: [DONE]");
            }
        },
    )
    .await;
}

/// The name of a session that stays at this upstream.
async fn session_at(server: &TestServer, other: &FakeUpstream, wanted: &str) -> String {
    for number in 0.. {
        for upstream in [&server.upstream, other] {
            upstream.clear_replies();
            upstream.enqueue(Reply::new(200, COMPLETION));
        }
        let name = format!("s-{number}");
        let request = server.request(Method::POST, "/v1/chat/completions").header("x-session-id", &name);
        let response = within_timeout("a response", request.body(chat_body(&json!({}))).send()).await.unwrap();
        let who = attempts(&response);
        saw(server, other, &who).await;
        if who == wanted {
            return name;
        }
    }
    unreachable!("no session stays at {wanted}")
}

#[tokio::test]
async fn first_token_prefers_whoever_began_sooner() {
    let other = FakeUpstream::start().await;
    over_both_hops_with(
        |settings, _| equals(settings, &other, Policy::FirstToken),
        async |server| {
            let (at_a, at_b) = (session_at(server, &other, "a=ok").await, session_at(server, &other, "b=ok").await);
            let stream = |session: &str| {
                let request = server.request(Method::POST, "/v1/chat/completions").header("x-session-id", session);
                request.body(chat_body(&json!({"stream": true}))).send()
            };
            server.upstream.clear_replies();
            other.clear_replies();
            // The wait for the first token of `a` begins before the one of `b` and ends after it.
            let gate = Gate::new();
            server
                .upstream
                .enqueue(Reply::stream().wait_for(&gate).send(&content_event("x")).send(&finish_event("stop")));
            other.enqueue(Reply::streamed_text(&["x"]));
            let slow = tokio::spawn(stream(&at_a));
            server.upstream.received().await;
            let fast = within_timeout("a response", stream(&at_b)).await.unwrap();
            assert_eq!(Events::new(fast).read_all().await.last().unwrap(), "data: [DONE]");
            other.received().await;
            gate.open();
            let slow = within_timeout("a response", slow).await.unwrap().unwrap();
            assert_eq!(Events::new(slow).read_all().await.last().unwrap(), "data: [DONE]");

            let mut at_b = 0;
            for _ in 0..40 {
                for upstream in [&server.upstream, &other] {
                    upstream.clear_replies();
                    upstream.enqueue(Reply::new(200, COMPLETION));
                }
                let response = server.chat(chat_body(&json!({}))).await;
                let who = attempts(&response);
                saw(server, &other, &who).await;
                at_b += u32::from(who == "b=ok");
            }
            // One in forty goes to the slower one, to see whether it has recovered.
            assert!(at_b >= 30, "{at_b} of 40 went to the faster one");
        },
    )
    .await;
}
