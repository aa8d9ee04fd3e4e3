//! The queue of calls that wait while an upstream has its `max_in_flight` calls: overflow, disconnects, release.

use reqwest::Method;
use serde_json::json;
use tokio::task::JoinHandle;
use tonic::{Code, Request};
use tonic_types::StatusExt;

use crate::{
    chat::setup::{COMPLETION, attempted_targets, configure_targets, grpc_chat_request},
    fake_upstream::{Latch, Reply, content_event, finish_event},
    rest_response::{Events, error_body},
    test_server::{TestServer, chat_body, with_local_and_remote_core_and_settings, within_timeout},
};

/// Returns the error code of a call with a timeout of 1 ms: `overloaded` if the queue is full, else `upstream_timeout`.
async fn error_code_with_short_timeout(server: &TestServer) -> String {
    let request = server.request(Method::POST, "/v1/chat/completions").header("x-request-timeout-ms", "1");
    let response = within_timeout("a response", request.body(chat_body(&json!({}))).send()).await.unwrap();
    error_body(response).await.1["code"].as_str().unwrap().to_owned()
}

async fn wait_until_queue_is_full(server: &TestServer) {
    wait_for_error_code(server, "overloaded").await;
}

async fn wait_until_queue_has_room(server: &TestServer) {
    wait_for_error_code(server, "upstream_timeout").await;
}

/// Waits for this result of [`error_code_with_short_timeout`]. Each probe is queued for a moment itself, so three in a row must
/// agree.
async fn wait_for_error_code(server: &TestServer, expected: &str) {
    let change = async {
        let mut matches = 0;
        while matches < 3 {
            matches = if error_code_with_short_timeout(server).await == expected { matches + 1 } else { 0 };
        }
    };
    within_timeout("the queue to change", change).await;
}

/// Sends a REST call, repeated until the queue has room, and returns its status.
fn spawn_queued_call(server: &TestServer, policy: &str) -> JoinHandle<u16> {
    let request = server.request(Method::POST, "/v1/chat/completions");
    let request = request.header("x-triptych-on-disconnect", policy).body(chat_body(&json!({})));
    tokio::spawn(async move {
        loop {
            let status = request.try_clone().unwrap().send().await.unwrap().status().as_u16();
            if status != 429 {
                return status;
            }
        }
    })
}

/// Sends a gRPC call, repeated until the queue has room, and returns its code.
async fn spawn_queued_grpc_call(server: &TestServer, policy: &'static str) -> JoinHandle<Code> {
    let mut client = server.chat_client().await;
    tokio::spawn(async move {
        loop {
            let mut request = Request::new(grpc_chat_request());
            request.metadata_mut().insert("x-triptych-on-disconnect", policy.parse().unwrap());
            let code = client.create_chat(request).await.map_or_else(|status| status.code(), |_| Code::Ok);
            if code != Code::ResourceExhausted {
                return code;
            }
        }
    })
}

#[tokio::test]
async fn full_queue_returns_429_with_retry_after_and_a_disconnect_leaves_the_queue() {
    with_local_and_remote_core_and_settings(
        |settings, _| {
            configure_targets(settings, None);
            (settings.chat.upstreams[0].max_in_flight, settings.chat.upstreams[0].queue_limit) = (1, 1);
        },
        async |server| {
            let gate = Latch::new();
            server
                .upstream
                .enqueue(Reply::stream().send(&content_event("x")).wait_for(&gate).send(&finish_event("stop")));
            let mut holder = Events::new(server.chat(chat_body(&json!({"stream": true}))).await);
            assert!(holder.next().await.is_some());
            server.upstream.received().await;

            for policy in ["cancel", "continue"] {
                let queued = spawn_queued_call(server, policy);
                wait_until_queue_is_full(server).await;
                let response = server.chat(chat_body(&json!({}))).await;
                assert_eq!(response.headers()["retry-after"], "1");
                assert_eq!(error_body(response).await.0.as_u16(), 429);
                queued.abort();
                wait_until_queue_has_room(server).await;

                let queued = spawn_queued_grpc_call(server, policy).await;
                wait_until_queue_is_full(server).await;
                let refused = server.chat_client().await.create_chat(grpc_chat_request()).await.unwrap_err();
                assert_eq!(refused.code(), Code::ResourceExhausted);
                assert!(refused.get_error_details().retry_info().is_some(), "{refused:?}");
                queued.abort();
                wait_until_queue_has_room(server).await;
            }

            gate.open();
            assert_eq!(holder.read_all().await.last().unwrap(), "data: [DONE]");
            server.upstream.assert_no_request().await;
            server.upstream.enqueue(Reply::new(200, COMPLETION));
            assert_eq!(attempted_targets(server).await, "a=ok");
            server.upstream.received().await;
        },
    )
    .await;
}

#[tokio::test]
async fn queued_call_is_served_when_a_slot_is_released() {
    with_local_and_remote_core_and_settings(
        |settings, _| {
            configure_targets(settings, None);
            (settings.chat.upstreams[0].max_in_flight, settings.chat.upstreams[0].queue_limit) = (1, 1);
        },
        async |server| {
            let gate = Latch::new();
            server
                .upstream
                .enqueue(Reply::stream().send(&content_event("x")).wait_for(&gate).send(&finish_event("stop")));
            server.upstream.enqueue(Reply::new(200, COMPLETION));
            let mut holder = Events::new(server.chat(chat_body(&json!({"stream": true}))).await);
            assert!(holder.next().await.is_some());
            let queued = spawn_queued_call(server, "cancel");
            wait_until_queue_is_full(server).await;
            server.upstream.received().await;
            server.upstream.assert_no_request().await;
            gate.open();
            assert_eq!(holder.read_all().await.last().unwrap(), "data: [DONE]");
            assert_eq!(within_timeout("a response", queued).await.unwrap(), 200);
            server.upstream.received().await;
        },
    )
    .await;
}
