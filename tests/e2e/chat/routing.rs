//! Several upstreams behind one name.

use std::time::Duration;

use serde_json::json;
use tonic_types::StatusExt;

use crate::{
    chat::setup::{COMPLETION, UNAVAILABLE, attempted_targets, configure_targets, grpc_chat_request},
    fake_upstream::{FakeUpstream, Gate, Reply, content_event},
    responses::{Events, error_body},
    test_server::{MODEL, chat_body, over_both_hops_with, within_timeout},
};

#[tokio::test]
async fn what_one_upstream_refuses_another_answers_through_both_doors() {
    let other = FakeUpstream::start().await;
    over_both_hops_with(
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
async fn an_upstream_that_asks_for_a_rest_gets_it() {
    let other = FakeUpstream::start().await;
    over_both_hops_with(
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
async fn an_upstream_that_keeps_failing_rests_and_one_good_probe_brings_it_back() {
    let other = FakeUpstream::start().await;
    over_both_hops_with(
        |settings, _| {
            configure_targets(settings, Some(&other));
            settings.chat.routing.failures = 1;
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
async fn a_failure_that_may_have_been_taken_is_told_with_what_was_tried() {
    let other = FakeUpstream::start().await;
    over_both_hops_with(
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
async fn a_stream_that_broke_after_its_first_piece_is_not_begun_anew() {
    let other = FakeUpstream::start().await;
    over_both_hops_with(
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
async fn a_session_stays_at_one_upstream() {
    let other = FakeUpstream::start().await;
    over_both_hops_with(
        |settings, _| {
            configure_targets(settings, Some(&other));
            settings.chat.upstreams[1].priority = 0;
        },
        async |server| {
            let mut first = None;
            for _ in 0..6 {
                // Whichever is asked; the other one's response is put to the next, which gets the same.
                server.upstream.enqueue(Reply::new(200, COMPLETION));
                other.enqueue(Reply::new(200, COMPLETION));
                let request =
                    server.request(reqwest::Method::POST, "/v1/chat/completions").header("x-session-id", "s-1");
                let response = within_timeout("a response", request.body(chat_body(&json!({}))).send()).await.unwrap();
                let tried = response.headers()["x-triptych-attempts"].to_str().unwrap().to_owned();
                (if tried == "a=ok" { &server.upstream } else { &other }).received().await;
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
            configure_targets(settings, None);
            settings.chat.upstreams[0].max_in_flight = 1;
        },
        async |server| {
            let gate = Gate::new();
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
