//! The disconnect policy of chat calls: cancel, continue, or continue for a grace period.

use std::{cell::Cell, time::Duration};

use core_service::on_disconnect::OnDisconnect;
use reqwest::Method;
use serde_json::{Value, json};
use tonic::{Code, Request};
use tonic_types::StatusExt;
use triptych_proto::v1 as pb;

use crate::{
    chat::setup::{COMPLETION, FLOOD_BYTES, attempted_targets, configure_targets, grpc_chat_request, long_stream},
    fake_upstream::{ByteCounter, FakeUpstream, Reply, content_event},
    rest_response::{Events, error_body},
    test_server::{
        MODEL, TestServer, chat_body, with_local_and_remote_core, with_local_and_remote_core_and_settings,
        within_timeout,
    },
};

const HEADER: &str = "x-triptych-on-disconnect";

/// Sends [`FLOOD_BYTES`] of blank lines, then a completion.
fn long_completion() -> Reply {
    Reply::new(200, "").flood(&"\n".repeat(64 << 10), FLOOD_BYTES, &ByteCounter::default()).send(COMPLETION)
}

fn rest_request(server: &TestServer, policy: &str, members: &Value) -> reqwest::RequestBuilder {
    let request = server.request(Method::POST, "/v1/chat/completions").header(HEADER, policy);
    request.header("content-type", "application/json").body(chat_body(members))
}

fn grpc_request<T>(policy: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert(HEADER, policy.parse().unwrap());
    request
}

fn grpc_stream_request() -> pb::StreamChatRequest {
    pb::StreamChatRequest { chat: grpc_chat_request().chat, ..pb::StreamChatRequest::default() }
}

/// Reads the first chunk of a stream and disconnects, over REST and over gRPC, and runs `then` after each.
async fn disconnect_from_streams(
    server: &TestServer,
    policy: &str,
    reply: &Reply,
    mut then: impl AsyncFnMut(&TestServer),
) {
    server.upstream.enqueue(reply.clone());
    let response =
        within_timeout("a response", rest_request(server, policy, &json!({"stream": true})).send()).await.unwrap();
    let mut events = Events::new(response);
    assert!(events.next().await.unwrap().contains("\"a\""));
    server.upstream.received().await;
    drop(events);
    then(server).await;

    server.upstream.enqueue(reply.clone());
    let response = server.chat_client().await.stream_chat(grpc_request(policy, grpc_stream_request())).await.unwrap();
    let mut chunks = response.into_inner();
    assert!(within_timeout("a chunk", chunks.message()).await.unwrap().is_some());
    server.upstream.received().await;
    drop(chunks);
    then(server).await;
}

/// Disconnects from a non-streaming call once the upstream has its request, over REST and over gRPC.
async fn disconnect_from_unary_calls(
    server: &TestServer,
    policy: &str,
    reply: &Reply,
    mut then: impl AsyncFnMut(&TestServer),
) {
    server.upstream.enqueue(reply.clone());
    tokio::select! {
        biased;
        _ = server.upstream.received() => {}
        response = rest_request(server, policy, &json!({})).send() => panic!("{response:?}"),
    }
    then(server).await;

    server.upstream.enqueue(reply.clone());
    let mut client = server.chat_client().await;
    tokio::select! {
        biased;
        _ = server.upstream.received() => {}
        response = client.create_chat(grpc_request(policy, grpc_chat_request())) => panic!("{response:?}"),
    }
    then(server).await;
}

/// Returns how many calls are in flight at the upstream.
async fn in_flight(server: &TestServer) -> Value {
    let response =
        within_timeout("a response", server.request(Method::GET, &format!("/v1/models/{MODEL}")).send()).await.unwrap();
    let model: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    model["targets"][0]["in_flight"].clone()
}

#[tokio::test]
async fn continue_policy_reads_the_response_to_its_end_and_holds_its_slot_until_then() {
    with_local_and_remote_core_and_settings(
        |settings, _| {
            configure_targets(settings, None);
            settings.chat.upstreams[0].max_in_flight = 1;
        },
        async |server| {
            let response_read = async |server: &TestServer| {
                server.upstream.response_read().await;
                within_timeout("the slot to be released", async { while in_flight(server).await != 0 {} }).await;
            };
            disconnect_from_streams(server, "continue", &long_stream(), response_read).await;
            disconnect_from_unary_calls(server, "continue", &long_completion(), response_read).await;
            server.upstream.enqueue(Reply::new(200, COMPLETION));
            assert_eq!(attempted_targets(server).await, "a=ok");
            server.upstream.received().await;
        },
    )
    .await;
}

#[tokio::test]
async fn client_that_stays_gets_the_same_response_under_every_policy() {
    with_local_and_remote_core(async |server| {
        // A duration is a grace period, in seconds if it has no unit.
        for policy in ["cancel", "continue", "5", "5s"] {
            server.upstream.enqueue(Reply::streamed_text(&["a", "b"]));
            let response = within_timeout("a response", rest_request(server, policy, &json!({"stream": true})).send())
                .await
                .unwrap();
            assert_eq!(response.headers()["x-triptych-attempts"], "upstream=ok", "{policy}");
            let events = Events::new(response).read_all().await;
            assert_eq!((events.len(), events[3].as_str()), (4, "data: [DONE]"), "{policy}: {events:?}");
            server.upstream.enqueue(Reply::new(200, COMPLETION));
            let response = within_timeout("a response", rest_request(server, policy, &json!({})).send()).await.unwrap();
            assert_eq!(response.headers()["x-triptych-attempts"], "upstream=ok", "{policy}");
            assert!(response.text().await.unwrap().contains("\"Hi\""), "{policy}");
            server.upstream.received().await;
            server.upstream.received().await;

            server.upstream.enqueue(Reply::new(400, r#"{"error":{"message":"no"}}"#));
            let response = within_timeout("a response", rest_request(server, policy, &json!({"stream": true})).send())
                .await
                .unwrap();
            assert_eq!(error_body(response).await.1["code"], "upstream_refused", "{policy}");
            server.upstream.received().await;
        }
    })
    .await;
}

#[tokio::test]
async fn cancel_header_overrides_the_configured_continue_policy() {
    with_local_and_remote_core_and_settings(
        |settings, _| settings.chat.on_disconnect = OnDisconnect::Continue,
        async |server| {
            let disconnected = async |server: &TestServer| server.upstream.disconnected().await;
            disconnect_from_streams(server, "cancel", &Reply::stream().send(&content_event("a")).stall(), disconnected)
                .await;
            disconnect_from_unary_calls(server, "cancel", &Reply::no_response(), disconnected).await;
        },
    )
    .await;
}

#[tokio::test]
async fn configured_grace_period_applies_to_calls_without_the_header_and_ends_slow_responses() {
    with_local_and_remote_core_and_settings(
        |settings, _| settings.chat.on_disconnect = OnDisconnect::Grace(Duration::from_millis(20)),
        async |server| {
            server.upstream.enqueue(Reply::stream().send(&content_event("a")).stall());
            let mut events = Events::new(server.chat(chat_body(&json!({"stream": true}))).await);
            assert!(events.next().await.is_some());
            server.upstream.received().await;
            drop(events);
            server.upstream.disconnected().await;
        },
    )
    .await;
    with_local_and_remote_core(async |server| {
        disconnect_from_streams(server, "60", &long_stream(), async |server| server.upstream.response_read().await)
            .await;
    })
    .await;
}

#[tokio::test]
async fn shutdown_waits_for_a_response_whose_client_has_disconnected() {
    let other = FakeUpstream::start().await;
    // The gateway with the core in its process is tested first, then the one with a remote core.
    let tested_servers = Cell::new(0);
    with_local_and_remote_core_and_settings(
        |settings, _| settings.chat.base_url = Some(format!("http://{}/v1", other.address).parse().unwrap()),
        async |server| {
            if tested_servers.replace(tested_servers.get() + 1) > 0 {
                // The shutdown of the first server waited for its response.
                other.response_read().await;
            }
            // The test server shuts down after this, with the response still in flight.
            other.enqueue(long_stream());
            let response =
                within_timeout("a response", rest_request(server, "continue", &json!({"stream": true})).send())
                    .await
                    .unwrap();
            assert!(Events::new(response).next().await.is_some());
            other.received().await;
        },
    )
    .await;
    other.response_read().await;
}

#[tokio::test]
async fn unknown_policy_returns_an_invalid_field_error_over_rest_and_grpc() {
    with_local_and_remote_core(async |server| {
        for stream in [false, true] {
            let response =
                within_timeout("a response", rest_request(server, "later", &json!({"stream": stream})).send())
                    .await
                    .unwrap();
            let (status, error) = error_body(response).await;
            assert_eq!((status.as_u16(), &error["param"]), (400, &json!(HEADER)), "{error}");
        }
        let refused =
            server.chat_client().await.create_chat(grpc_request("later", grpc_chat_request())).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert_eq!(refused.get_details_bad_request().unwrap().field_violations[0].field, HEADER);
    })
    .await;
}
