//! What becomes of an response whose caller hangs up, by the rule that somebody chose.

use std::{cell::Cell, time::Duration};

use core_service::chat::on_disconnect::OnDisconnect;
use reqwest::Method;
use serde_json::{Value, json};
use tonic::{Code, Request};
use tonic_types::StatusExt;
use triptych_proto::v1 as pb;

use crate::{
    chat::setup::{COMPLETION, FLOOD_BYTES, attempted_targets, configure_targets, grpc_chat_request, long_stream},
    fake_upstream::{ByteCounter, FakeUpstream, Reply, content_event},
    responses::{Events, error_body},
    test_server::{MODEL, TestServer, chat_body, over_both_hops, over_both_hops_with, within_timeout},
};

const RULE: &str = "x-triptych-on-disconnect";
/// A whole response with as many blank lines before it.
fn long_reply() -> Reply {
    Reply::new(200, "").flood(&"\n".repeat(64 << 10), FLOOD_BYTES, &ByteCounter::default()).send(COMPLETION)
}

fn rest(server: &TestServer, rule: &str, members: &Value) -> reqwest::RequestBuilder {
    let request = server.request(Method::POST, "/v1/chat/completions").header(RULE, rule);
    request.header("content-type", "application/json").body(chat_body(members))
}

fn grpc<T>(rule: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert(RULE, rule.parse().unwrap());
    request
}

fn grpc_stream() -> pb::StreamChatRequest {
    pb::StreamChatRequest { chat: grpc_chat_request().chat, ..pb::StreamChatRequest::default() }
}

/// Reads the first chunk of a stream by REST, and one by gRPC, and leaves.
async fn leave_streams(server: &TestServer, rule: &str, reply: &Reply, mut then: impl AsyncFnMut(&TestServer)) {
    server.upstream.enqueue(reply.clone());
    let response = within_timeout("a response", rest(server, rule, &json!({"stream": true})).send()).await.unwrap();
    let mut events = Events::new(response);
    assert!(events.next().await.unwrap().contains("\"a\""));
    server.upstream.received().await;
    drop(events);
    then(server).await;

    server.upstream.enqueue(reply.clone());
    let response = server.chat_client().await.stream_chat(grpc(rule, grpc_stream())).await.unwrap();
    let mut chunks = response.into_inner();
    assert!(within_timeout("a chunk", chunks.message()).await.unwrap().is_some());
    server.upstream.received().await;
    drop(chunks);
    then(server).await;
}

/// Asks for a whole response by REST, and for one by gRPC, and leaves when the upstream has the request.
async fn leave_replies(server: &TestServer, rule: &str, reply: &Reply, mut then: impl AsyncFnMut(&TestServer)) {
    server.upstream.enqueue(reply.clone());
    tokio::select! {
        biased;
        _ = server.upstream.received() => {}
        response = rest(server, rule, &json!({})).send() => panic!("{response:?}"),
    }
    then(server).await;

    server.upstream.enqueue(reply.clone());
    let mut client = server.chat_client().await;
    tokio::select! {
        biased;
        _ = server.upstream.received() => {}
        response = client.create_chat(grpc(rule, grpc_chat_request())) => panic!("{response:?}"),
    }
    then(server).await;
}

async fn in_flight(server: &TestServer) -> Value {
    let response =
        within_timeout("a response", server.request(Method::GET, &format!("/v1/models/{MODEL}")).send()).await.unwrap();
    let model: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    model["targets"][0]["in_flight"].clone()
}

#[tokio::test]
async fn continue_reads_the_answer_to_its_end_and_keeps_its_place_until_then() {
    over_both_hops_with(
        |settings, _| {
            configure_targets(settings, None);
            settings.chat.upstreams[0].max_in_flight = 1;
        },
        async |server| {
            let read = async |server: &TestServer| {
                server.upstream.response_read().await;
                within_timeout("the place", async { while in_flight(server).await != 0 {} }).await;
            };
            leave_streams(server, "continue", &long_stream(), read).await;
            leave_replies(server, "continue", &long_reply(), read).await;
            server.upstream.enqueue(Reply::new(200, COMPLETION));
            assert_eq!(attempted_targets(server).await, "a=ok");
            server.upstream.received().await;
        },
    )
    .await;
}

#[tokio::test]
async fn a_caller_who_stays_gets_the_same_answer_under_every_rule() {
    over_both_hops(async |server| {
        for rule in ["cancel", "continue", "5", "5s"] {
            server.upstream.enqueue(Reply::streamed_text(&["a", "b"]));
            let response =
                within_timeout("a response", rest(server, rule, &json!({"stream": true})).send()).await.unwrap();
            assert_eq!(response.headers()["x-triptych-attempts"], "upstream=ok", "{rule}");
            let events = Events::new(response).read_all().await;
            assert_eq!((events.len(), events[3].as_str()), (4, "data: [DONE]"), "{rule}: {events:?}");
            server.upstream.enqueue(Reply::new(200, COMPLETION));
            let response = within_timeout("a response", rest(server, rule, &json!({})).send()).await.unwrap();
            assert_eq!(response.headers()["x-triptych-attempts"], "upstream=ok", "{rule}");
            assert!(response.text().await.unwrap().contains("\"Hi\""), "{rule}");
            server.upstream.received().await;
            server.upstream.received().await;

            server.upstream.enqueue(Reply::new(400, r#"{"error":{"message":"no"}}"#));
            let response =
                within_timeout("a response", rest(server, rule, &json!({"stream": true})).send()).await.unwrap();
            assert_eq!(error_body(response).await.1["code"], "upstream_refused", "{rule}");
            server.upstream.received().await;
        }
    })
    .await;
}

#[tokio::test]
async fn cancel_closes_the_upstreams_connection_though_the_operator_says_continue() {
    over_both_hops_with(
        |settings, _| settings.chat.on_disconnect = OnDisconnect::Continue,
        async |server| {
            let left = async |server: &TestServer| server.upstream.disconnected().await;
            leave_streams(server, "cancel", &Reply::stream().send(&content_event("a")).stall(), left).await;
            leave_replies(server, "cancel", &Reply::no_response(), left).await;
        },
    )
    .await;
}

#[tokio::test]
async fn grace_cuts_an_answer_that_takes_too_long_and_the_operators_rule_holds_where_the_call_has_none() {
    over_both_hops_with(
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
    over_both_hops(async |server| {
        leave_streams(server, "60", &long_stream(), async |server| server.upstream.response_read().await).await;
    })
    .await;
}

#[tokio::test]
async fn a_server_that_goes_down_waits_for_an_answer_that_nobody_reads_any_more() {
    let other = FakeUpstream::start().await;
    let hops = Cell::new(0);
    over_both_hops_with(
        |settings, _| settings.chat.base_url = Some(format!("http://{}/v1", other.address).parse().unwrap()),
        async |server| {
            if hops.replace(hops.get() + 1) > 0 {
                other.response_read().await;
            }
            // The server goes down after this, with the response still under way.
            other.enqueue(long_stream());
            let response =
                within_timeout("a response", rest(server, "continue", &json!({"stream": true})).send()).await.unwrap();
            assert!(Events::new(response).next().await.is_some());
            other.received().await;
        },
    )
    .await;
    other.response_read().await;
}

#[tokio::test]
async fn a_rule_that_is_none_is_refused_by_both_doors() {
    over_both_hops(async |server| {
        for stream in [false, true] {
            let response =
                within_timeout("a response", rest(server, "later", &json!({"stream": stream})).send()).await.unwrap();
            let (status, error) = error_body(response).await;
            assert_eq!((status.as_u16(), &error["param"]), (400, &json!(RULE)), "{error}");
        }
        let refused = server.chat_client().await.create_chat(grpc("later", grpc_chat_request())).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert_eq!(refused.get_details_bad_request().unwrap().field_violations[0].field, RULE);
    })
    .await;
}
