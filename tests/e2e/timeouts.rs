//! Bounds in time: each of them ends a call whose upstream does not, at both doors, and frees the upstream.

use std::time::Duration;

use core_service::config::Settings;
use serde_json::json;
use tonic::Status;
use tonic_types::StatusExt;
use triptych_proto::v1 as pb;

use crate::{
    chat::setup::grpc_chat_request,
    fake_upstream::{ByteCounter, Reply, content_event},
    responses::{Events, error_body, event_data},
    test_server::{TestServer, chat_body, over_both_hops_with, within_timeout},
};

/// Long enough for a first chunk on a busy machine, where one must come before; short enough to be waited for.
const SHORT: Duration = Duration::from_millis(100);
/// More than can be sent before any test is over.
const ENDLESS: usize = usize::MAX / 2;

/// The codes of the failures that a call ends in, by REST and by gRPC. `replied`: whether its upstream hears of it.
async fn failures(server: &TestServer, stream: bool, reply: &Reply, replied: bool) -> [String; 2] {
    let heard = async || {
        if replied {
            server.upstream.received().await;
            server.upstream.disconnected().await;
        }
    };
    server.upstream.enqueue(reply.clone());
    let response = server.chat(chat_body(&json!({"stream": stream}))).await;
    let error = if response.status() == 200 {
        event_data(Events::new(response).read_all().await.last().unwrap())["error"].clone()
    } else {
        error_body(response).await.1
    };
    heard().await;

    server.upstream.enqueue(reply.clone());
    let status = within_timeout("the failure", failure_by_grpc(server, stream)).await;
    heard().await;
    server.upstream.clear_replies();
    let reason = status.get_error_details().error_info().unwrap().reason.to_ascii_lowercase();
    [error["code"].as_str().unwrap().to_owned(), reason]
}

async fn failure_by_grpc(server: &TestServer, stream: bool) -> Status {
    let mut client = server.chat_client().await;
    if !stream {
        return client.create_chat(grpc_chat_request()).await.unwrap_err();
    }
    let request = pb::StreamChatRequest { chat: grpc_chat_request().chat, ..pb::StreamChatRequest::default() };
    let mut chunks = match client.stream_chat(request).await {
        Ok(response) => response.into_inner(),
        Err(status) => return status,
    };
    loop {
        match chunks.message().await {
            Ok(chunk) => assert!(chunk.is_some(), "the stream ended as if it were complete"),
            Err(status) => return status,
        }
    }
}

#[tokio::test]
async fn an_upstream_that_holds_is_given_up_when_its_limit_has_passed() {
    type Limit = fn(&mut Settings);
    let begun = || Reply::stream().send(&content_event("a"));
    let pour = |reply: Reply| reply.flood(&": still here\n\n".repeat(100), ENDLESS, &ByteCounter::default());
    // the limit; and of each call what its upstream does, whether its response is streamed, and that response
    let first_byte: (Limit, Vec<_>) = (
        |settings| settings.chat.first_byte_timeout = SHORT,
        vec![
            ("no head", false, Reply::no_response()),
            ("no head of a stream", true, Reply::no_response()),
            ("no body", false, Reply::new(200, "").stall()),
            ("half a body", false, Reply::new(200, "{").stall()),
            ("no event", true, Reply::stream().stall()),
            ("only comments", true, pour(Reply::stream())),
            ("half a body instead of a stream", true, Reply::new(200, "{").stall()),
        ],
    );
    let idle: (Limit, Vec<_>) = (
        |settings| settings.chat.idle_timeout = SHORT,
        vec![("no second event", true, begun().stall()), ("half an event", true, begun().send("data: {").stall())],
    );
    let total: (Limit, Vec<_>) =
        (|settings| settings.chat.total_timeout = SHORT * 3, vec![("comments behind an event", true, pour(begun()))]);
    for (limit, rows) in [first_byte, idle, total] {
        let hops = over_both_hops_with(
            |settings, _| limit(settings),
            async |server| {
                for (what, stream, reply) in &rows {
                    assert_eq!(failures(server, *stream, reply, true).await, ["upstream_timeout"; 2], "{what}");
                }
            },
        );
        hops.await;
    }
}

#[tokio::test]
async fn a_connection_that_does_not_come_about_is_given_up_and_the_upstream_told_apart_from_a_slow_one() {
    // Takes connections, as any listening socket does, and never says a word of TLS.
    let deaf = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("https://{}/v1", deaf.local_addr().unwrap());
    over_both_hops_with(
        |settings, _| {
            settings.chat.base_url = Some(base.parse().unwrap());
            settings.chat.connect_timeout = SHORT;
        },
        async |server| {
            for stream in [false, true] {
                let failures = failures(server, stream, &Reply::no_response(), false).await;
                assert_eq!(failures, ["upstream_unavailable"; 2], "{stream}");
            }
        },
    )
    .await;
}

/// Blank lines are read more slowly than they are sent, so the reader never has to wait for more.
#[tokio::test]
async fn an_upstream_that_never_pauses_and_says_nothing_is_held_to_the_limits() {
    let flood =
        || Reply::stream().send(&content_event("a")).flood(&"\n".repeat(64 << 10), ENDLESS, &ByteCounter::default());
    let total = |settings: &mut Settings| settings.chat.total_timeout = SHORT * 3;
    over_both_hops_with(
        |settings, _| total(settings),
        async |server| assert_eq!(failures(server, true, &flood(), true).await, ["upstream_timeout"; 2]),
    )
    .await;
    over_both_hops_with(
        |_, _| (),
        async |server| {
            server.upstream.enqueue(flood());
            let request = server.request(reqwest::Method::POST, "/v1/chat/completions");
            let request = request.header("x-request-timeout-ms", "500").body(chat_body(&json!({"stream": true})));
            let events = Events::new(within_timeout("a response", request.send()).await.unwrap()).read_all().await;
            assert_eq!(event_data(events.last().unwrap())["error"]["code"], "upstream_timeout", "{events:#?}");
            server.upstream.received().await;
            server.upstream.disconnected().await;
        },
    )
    .await;
}
