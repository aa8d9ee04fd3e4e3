//! Load balancing among targets of one priority.

use core_service::config::{BalancingPolicy, Settings};
use reqwest::Method;
use serde_json::json;

use crate::{
    chat::setup::{COMPLETION, configure_targets, grpc_chat_request},
    fake_upstream::{FakeUpstream, Latch, Reply, content_event, finish_event},
    rest_response::Events,
    test_server::{TestServer, chat_body, with_local_and_remote_core_and_settings, within_timeout},
};

/// Configures two targets of one priority, `a` at the upstream of the server and `b` at `other`, and the policy that chooses.
fn configure_equal_targets(settings: &mut Settings, other: &FakeUpstream, policy: BalancingPolicy) {
    configure_targets(settings, Some(other));
    settings.chat.upstreams[1].priority = 0;
    settings.chat.routing.policy = policy;
}

/// Returns the `x-triptych-attempts` header: the targets in the order of the attempts, each with its outcome.
fn attempts(response: &reqwest::Response) -> String {
    response.headers()["x-triptych-attempts"].to_str().unwrap().to_owned()
}

/// Begins a stream that waits for the gate after its first chunk. Returns it with its attempts, `a=ok` or `b=ok`.
async fn begin_stream(server: &TestServer, other: &FakeUpstream, gate: &Latch) -> (Events, String) {
    for upstream in [&server.upstream, other] {
        upstream.clear_replies();
        upstream.enqueue(Reply::stream().send(&content_event("x")).wait_for(gate).send(&finish_event("stop")));
    }
    let response = server.chat(chat_body(&json!({"stream": true}))).await;
    let target = attempts(&response);
    let mut events = Events::new(response);
    assert!(events.next().await.is_some());
    take_request(server, other, &target).await;
    (events, target)
}

/// Takes the request from the upstream of the target that `target`, an attempts header, names.
async fn take_request(server: &TestServer, other: &FakeUpstream, target: &str) {
    (if target == "a=ok" { &server.upstream } else { other }).received().await;
}

#[tokio::test]
async fn least_in_flight_policy_chooses_the_idle_target_over_rest_and_grpc() {
    let other = FakeUpstream::start().await;
    with_local_and_remote_core_and_settings(
        |settings, _| configure_equal_targets(settings, &other, BalancingPolicy::LeastInFlight),
        async |server| {
            let (first, second) = (Latch::new(), Latch::new());
            let (one, busy) = begin_stream(server, &other, &first).await;
            let idle = if busy == "a=ok" { "b=ok" } else { "a=ok" };
            for _ in 0..8 {
                for upstream in [&server.upstream, &other] {
                    upstream.clear_replies();
                    upstream.enqueue(Reply::new(200, COMPLETION));
                }
                let response = server.chat_client().await.create_chat(grpc_chat_request()).await.unwrap();
                assert_eq!(response.metadata().get("x-triptych-attempts").unwrap(), idle);
                take_request(server, &other, idle).await;
            }
            let (two, target) = begin_stream(server, &other, &second).await;
            assert_eq!(target, idle);
            first.open();
            assert_eq!(one.read_all().await.last().unwrap(), "data: [DONE]");
            // The target that was idle is now the busy one.
            let (three, target) = begin_stream(server, &other, &first).await;
            assert_eq!(target, busy);
            first.open();
            second.open();
            for events in [two, three] {
                assert_eq!(events.read_all().await.last().unwrap(), "data: [DONE]");
            }
        },
    )
    .await;
}

/// Returns the id of a session whose requests the gateway sends to the target `wanted`, `a=ok` or `b=ok`: tries ids until one is,
/// because a hash of the id chooses between equal targets.
async fn session_at(server: &TestServer, other: &FakeUpstream, wanted: &str) -> String {
    for number in 0..100 {
        for upstream in [&server.upstream, other] {
            upstream.clear_replies();
            upstream.enqueue(Reply::new(200, COMPLETION));
        }
        let name = format!("s-{number}");
        let request = server.request(Method::POST, "/v1/chat/completions").header("x-session-id", &name);
        let response = within_timeout("a response", request.body(chat_body(&json!({}))).send()).await.unwrap();
        let target = attempts(&response);
        take_request(server, other, &target).await;
        if target == wanted {
            return name;
        }
    }
    panic!("no session is routed to {wanted}")
}

#[tokio::test]
async fn first_token_policy_prefers_the_faster_target() {
    let other = FakeUpstream::start().await;
    with_local_and_remote_core_and_settings(
        |settings, _| configure_equal_targets(settings, &other, BalancingPolicy::FirstToken),
        async |server| {
            let (at_a, at_b) = (session_at(server, &other, "a=ok").await, session_at(server, &other, "b=ok").await);
            let stream = |session: &str| {
                let request = server.request(Method::POST, "/v1/chat/completions").header("x-session-id", session);
                request.body(chat_body(&json!({"stream": true}))).send()
            };
            server.upstream.clear_replies();
            other.clear_replies();
            // `a` gets its request before `b`, and sends its first token after `b` has completed.
            let gate = Latch::new();
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
                let target = attempts(&response);
                take_request(server, &other, &target).await;
                at_b += u32::from(target == "b=ok");
            }
            // One in forty goes to the slower target, to measure whether it has recovered.
            assert!(at_b >= 30, "{at_b} of 40 calls went to the faster target");
        },
    )
    .await;
}
