//! Callers who wait for a place: whoever comes too late hears it at once, whoever leaves was never there.

use reqwest::Method;
use serde_json::json;
use tokio::task::JoinHandle;
use tonic::{Code, Request};
use tonic_types::StatusExt;

use crate::{
    chat::setup::{COMPLETION, attempted_targets, configure_targets, grpc_chat_request},
    fake_upstream::{Gate, Reply, content_event, finish_event},
    responses::{Events, error_body},
    test_server::{TestServer, chat_body, over_both_hops_with, within_timeout},
};

/// How a caller with very little time is answered: `overloaded` at once where the queue is full, else late.
async fn code(server: &TestServer) -> String {
    let request = server.request(Method::POST, "/v1/chat/completions").header("x-request-timeout-ms", "1");
    let response = within_timeout("a response", request.body(chat_body(&json!({}))).send()).await.unwrap();
    error_body(response).await.1["code"].as_str().unwrap().to_owned()
}

/// Asks until the queue is as it shall be, three times in a row: whoever asks is in it as well for a moment.
async fn queue_is(server: &TestServer, full: bool) {
    let wanted = if full { "overloaded" } else { "upstream_timeout" };
    let change = async {
        let mut seen = 0;
        while seen < 3 {
            seen = if code(server).await == wanted { seen + 1 } else { 0 };
        }
    };
    within_timeout("the queue to change", change).await;
}

/// A caller by REST who comes again until there is room in the queue.
fn waiting(server: &TestServer, rule: &str) -> JoinHandle<u16> {
    let request = server.request(Method::POST, "/v1/chat/completions");
    let request = request.header("x-triptych-on-disconnect", rule).body(chat_body(&json!({})));
    tokio::spawn(async move {
        loop {
            let status = request.try_clone().unwrap().send().await.unwrap().status().as_u16();
            if status != 429 {
                return status;
            }
        }
    })
}

/// The same by gRPC.
async fn waiting_by_grpc(server: &TestServer, rule: &'static str) -> JoinHandle<Code> {
    let mut client = server.chat_client().await;
    tokio::spawn(async move {
        loop {
            let mut request = Request::new(grpc_chat_request());
            request.metadata_mut().insert("x-triptych-on-disconnect", rule.parse().unwrap());
            let code = client.create_chat(request).await.map_or_else(|status| status.code(), |_| Code::Ok);
            if code != Code::ResourceExhausted {
                return code;
            }
        }
    })
}

#[tokio::test]
async fn the_queue_overflows_with_a_hint_and_who_hangs_up_in_it_costs_no_upstream_anything() {
    over_both_hops_with(
        |settings, _| {
            configure_targets(settings, None);
            (settings.chat.upstreams[0].max_in_flight, settings.chat.upstreams[0].queue) = (1, 1);
        },
        async |server| {
            let gate = Gate::new();
            server
                .upstream
                .enqueue(Reply::stream().send(&content_event("x")).wait_for(&gate).send(&finish_event("stop")));
            let mut held = Events::new(server.chat(chat_body(&json!({"stream": true}))).await);
            assert!(held.next().await.is_some());
            server.upstream.received().await;

            for rule in ["cancel", "continue"] {
                let queued = waiting(server, rule);
                queue_is(server, true).await;
                let response = server.chat(chat_body(&json!({}))).await;
                assert_eq!(response.headers()["retry-after"], "1");
                assert_eq!(error_body(response).await.0.as_u16(), 429);
                queued.abort();
                queue_is(server, false).await;

                let queued = waiting_by_grpc(server, rule).await;
                queue_is(server, true).await;
                let refused = server.chat_client().await.create_chat(grpc_chat_request()).await.unwrap_err();
                assert_eq!(refused.code(), Code::ResourceExhausted);
                assert!(refused.get_error_details().retry_info().is_some(), "{refused:?}");
                queued.abort();
                queue_is(server, false).await;
            }

            gate.open();
            assert_eq!(held.read_all().await.last().unwrap(), "data: [DONE]");
            server.upstream.assert_no_request().await;
            server.upstream.enqueue(Reply::new(200, COMPLETION));
            assert_eq!(attempted_targets(server).await, "a=ok");
            server.upstream.received().await;
        },
    )
    .await;
}

#[tokio::test]
async fn whoever_waits_is_served_when_the_place_is_free() {
    over_both_hops_with(
        |settings, _| {
            configure_targets(settings, None);
            (settings.chat.upstreams[0].max_in_flight, settings.chat.upstreams[0].queue) = (1, 1);
        },
        async |server| {
            let gate = Gate::new();
            server
                .upstream
                .enqueue(Reply::stream().send(&content_event("x")).wait_for(&gate).send(&finish_event("stop")));
            server.upstream.enqueue(Reply::new(200, COMPLETION));
            let mut held = Events::new(server.chat(chat_body(&json!({"stream": true}))).await);
            assert!(held.next().await.is_some());
            let queued = waiting(server, "cancel");
            queue_is(server, true).await;
            server.upstream.received().await;
            server.upstream.assert_no_request().await;
            gate.open();
            assert_eq!(held.read_all().await.last().unwrap(), "data: [DONE]");
            assert_eq!(within_timeout("a response", queued).await.unwrap(), 200);
            server.upstream.received().await;
        },
    )
    .await;
}
