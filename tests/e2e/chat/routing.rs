//! Routing of one model to several upstreams: fail-over, cooldown, circuit breaker, session affinity.
//!
//! The upstreams are the targets `a` and `b` of [`configure_targets`]. The header `x-triptych-attempts` has the targets that were
//! tried, each with its outcome.

use std::time::Duration;

use serde_json::json;
use tonic_types::StatusExt;

use crate::{
    chat::setup::{COMPLETION, UNAVAILABLE, attempted_targets, configure_targets, grpc_chat_request},
    fake_upstream::{FakeUpstream, Latch, Reply, content_event},
    rest_response::{Events, error_body},
    test_server::{MODEL, chat_body, with_local_and_remote_core_and_settings, within_timeout},
};

#[tokio::test]
async fn unavailable_target_fails_over_to_the_next_over_rest_and_grpc() {
    let other = FakeUpstream::start().await;
    with_local_and_remote_core_and_settings(
        |settings, _| configure_targets(settings, Some(&other)),
        async |server| {
            server.upstream.enqueue(Reply::new(503, UNAVAILABLE));
            other.enqueue(Reply::new(200, COMPLETION));
            assert_eq!(attempted_targets(server).await, "a=unavailable,b=ok");
            assert_eq!(server.upstream.received().await.json()["model"], MODEL);
            assert_eq!(other.received().await.json()["model"], "theirs");

            server.upstream.enqueue(Reply::new(503, UNAVAILABLE));
            other.enqueue(Reply::streamed_text(&["a", "b"]));
            let response = server.chat(chat_body(&json!({"stream": true}))).await;
            assert_eq!(response.headers()["x-triptych-attempts"], "a=unavailable,b=ok");
            assert_eq!(Events::new(response).read_all().await.last().unwrap(), "data: [DONE]");
            server.upstream.received().await;
            other.received().await;

            server.upstream.enqueue(Reply::new(503, UNAVAILABLE));
            other.enqueue(Reply::new(200, COMPLETION));
            let response = server.chat_client().await.create_chat(grpc_chat_request()).await.unwrap();
            assert_eq!(response.metadata().get("x-triptych-attempts").unwrap(), "a=unavailable,b=ok");
            assert_eq!(response.get_ref().model, MODEL);
            server.upstream.received().await;
            other.received().await;
        },
    )
    .await;
}

#[tokio::test]
async fn retry_after_header_sets_the_cooldown() {
    let other = FakeUpstream::start().await;
    with_local_and_remote_core_and_settings(
        |settings, _| configure_targets(settings, Some(&other)),
        async |server| {
            server.upstream.enqueue(Reply::new(429, UNAVAILABLE).header("retry-after", "3600"));
            other.enqueue(Reply::new(200, COMPLETION));
            other.enqueue(Reply::new(200, COMPLETION));
            assert_eq!(attempted_targets(server).await, "a=rate_limited,b=ok");
            assert_eq!(attempted_targets(server).await, "b=ok");
            server.upstream.received().await;
            other.received().await;
            other.received().await;
        },
    )
    .await;
}

#[tokio::test]
async fn circuit_breaker_closes_after_one_successful_probe() {
    let other = FakeUpstream::start().await;
    with_local_and_remote_core_and_settings(
        |settings, _| {
            configure_targets(settings, Some(&other));
            settings.chat.routing.failure_threshold = 1;
            // So short that the next call is already the probe.
            settings.chat.routing.cooldown = Duration::from_nanos(1);
        },
        async |server| {
            for (reply, expected) in
                [(503, "a=unavailable,b=ok"), (503, "a=unavailable,b=ok"), (200, "a=ok"), (200, "a=ok")]
            {
                server.upstream.enqueue(Reply::new(reply, if reply == 200 { COMPLETION } else { UNAVAILABLE }));
                if reply != 200 {
                    other.enqueue(Reply::new(200, COMPLETION));
                }
                assert_eq!(attempted_targets(server).await, expected);
                server.upstream.received().await;
                if reply != 200 {
                    other.received().await;
                }
            }
        },
    )
    .await;
}

#[tokio::test]
async fn failure_that_may_have_executed_is_returned_without_a_retry() {
    let other = FakeUpstream::start().await;
    with_local_and_remote_core_and_settings(
        |settings, _| configure_targets(settings, Some(&other)),
        async |server| {
            server.upstream.enqueue(Reply::new(500, UNAVAILABLE));
            let response = server.chat(chat_body(&json!({}))).await;
            assert_eq!(response.headers()["x-triptych-attempts"], "a=broken");
            let (status, error) = error_body(response).await;
            assert_eq!((status.as_u16(), &error["code"]), (502, &json!("upstream_unavailable")));
            server.upstream.received().await;
            other.assert_no_request().await;
        },
    )
    .await;
}

#[tokio::test]
async fn stream_that_fails_after_its_first_chunk_is_not_retried() {
    let other = FakeUpstream::start().await;
    with_local_and_remote_core_and_settings(
        |settings, _| {
            configure_targets(settings, Some(&other));
            settings.chat.routing.retry_unsafe = true;
        },
        async |server| {
            server.upstream.enqueue(Reply::stream().send(&content_event("a")).abort());
            let events = Events::new(server.chat(chat_body(&json!({"stream": true}))).await).read_all().await;
            assert!(events.last().unwrap().contains("upstream_unavailable"), "{events:?}");
            server.upstream.received().await;
            other.assert_no_request().await;
        },
    )
    .await;
}

#[tokio::test]
async fn session_id_keeps_a_session_at_one_target() {
    let other = FakeUpstream::start().await;
    with_local_and_remote_core_and_settings(
        |settings, _| {
            configure_targets(settings, Some(&other));
            settings.chat.upstreams[1].priority = 0;
        },
        async |server| {
            let mut first = None;
            for _ in 0..6 {
                // The target that is not chosen keeps its reply, which is the same as the next one.
                server.upstream.enqueue(Reply::new(200, COMPLETION));
                other.enqueue(Reply::new(200, COMPLETION));
                let request =
                    server.request(reqwest::Method::POST, "/v1/chat/completions").header("x-session-id", "s-1");
                let response = within_timeout("a response", request.body(chat_body(&json!({}))).send()).await.unwrap();
                let attempts = response.headers()["x-triptych-attempts"].to_str().unwrap().to_owned();
                (if attempts == "a=ok" { &server.upstream } else { &other }).received().await;
                assert_eq!(first.get_or_insert(attempts.clone()), &attempts);
            }
        },
    )
    .await;
}

#[tokio::test]
async fn call_above_max_in_flight_returns_429_and_a_disconnect_releases_the_slot() {
    with_local_and_remote_core_and_settings(
        |settings, _| {
            configure_targets(settings, None);
            settings.chat.upstreams[0].max_in_flight = 1;
        },
        async |server| {
            let gate = Latch::new();
            server.upstream.enqueue(Reply::stream().send(&content_event("a")).wait_for(&gate).stall());
            let mut held = Events::new(server.chat(chat_body(&json!({"stream": true}))).await);
            assert!(held.next().await.is_some());
            let response = server.chat(chat_body(&json!({}))).await;
            assert_eq!(response.headers()["retry-after"], "1");
            let (status, error) = error_body(response).await;
            assert_eq!((status.as_u16(), &error["code"]), (429, &json!("overloaded")));
            let refused = server.chat_client().await.create_chat(grpc_chat_request()).await.unwrap_err();
            assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
            assert!(refused.get_error_details().retry_info().is_some());

            gate.open();
            drop(held);
            server.upstream.disconnected().await;
            server.upstream.enqueue(Reply::new(200, COMPLETION));
            assert_eq!(attempted_targets(server).await, "a=ok");
            server.upstream.received().await;
            server.upstream.received().await;
        },
    )
    .await;
}
