//! Timeouts: each ends a call to an upstream that stalls, over REST and gRPC, and closes the upstream connection.

use std::time::Duration;

use core_service::config::Settings;
use serde_json::json;
use tonic::Status;
use tonic_types::StatusExt;
use triptych_proto::v1 as pb;

use crate::{
    chat::setup::grpc_chat_request,
    fake_upstream::{ByteCounter, Reply, content_event},
    rest_response::{Events, error_body, event_data},
    test_server::{TestServer, chat_body, with_local_and_remote_core_and_settings, within_timeout},
};

/// Long enough for a first chunk on a busy machine, where one is needed before the timeout.
const TIMEOUT: Duration = Duration::from_millis(100);
/// More bytes than can be sent before a test ends.
const ENDLESS: usize = usize::MAX / 2;

/// Returns the error codes of a failing call over REST and over gRPC. Asserts that each connection to the fake upstream is closed.
async fn error_codes(server: &TestServer, stream: bool, reply: &Reply) -> [String; 2] {
    let assert_closed = async || {
        server.upstream.received().await;
        server.upstream.disconnected().await;
    };
    server.upstream.enqueue(reply.clone());
    let rest = rest_error_code(server, stream).await;
    assert_closed().await;
    server.upstream.enqueue(reply.clone());
    let grpc = grpc_error_code(server, stream).await;
    assert_closed().await;
    server.upstream.clear_replies();
    [rest, grpc]
}

/// Returns the error code of a failing call over REST.
async fn rest_error_code(server: &TestServer, stream: bool) -> String {
    let response = server.chat(chat_body(&json!({"stream": stream}))).await;
    let error = if response.status() == 200 {
        event_data(Events::new(response).read_all().await.last().unwrap())["error"].clone()
    } else {
        error_body(response).await.1
    };
    error["code"].as_str().unwrap().to_owned()
}

/// Returns the error code of a failing call over gRPC: the reason, in lower case.
async fn grpc_error_code(server: &TestServer, stream: bool) -> String {
    let status = within_timeout("the failure", grpc_failure(server, stream)).await;
    status.get_error_details().error_info().unwrap().reason.to_ascii_lowercase()
}

/// Sends a gRPC call that must fail, before its response or within its stream.
async fn grpc_failure(server: &TestServer, stream: bool) -> Status {
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
async fn stalled_upstream_times_out() {
    type SetTimeout = fn(&mut Settings);
    let first_chunk = || Reply::stream().send(&content_event("a"));
    let flood = |reply: Reply| reply.flood(&": still here\n\n".repeat(100), ENDLESS, &ByteCounter::default());
    // The timeout, and for each call: the name of the case, whether the call streams, and the upstream's reply.
    let first_byte: (SetTimeout, Vec<_>) = (
        |settings| settings.chat.first_byte_timeout = TIMEOUT,
        vec![
            ("no response head", false, Reply::no_response()),
            ("no response head of a stream", true, Reply::no_response()),
            ("no body", false, Reply::new(200, "").stall()),
            ("half a body", false, Reply::new(200, "{").stall()),
            ("no event", true, Reply::stream().stall()),
            ("only comments", true, flood(Reply::stream())),
            ("half a body instead of a stream", true, Reply::new(200, "{").stall()),
        ],
    );
    let idle: (SetTimeout, Vec<_>) = (
        |settings| settings.chat.idle_timeout = TIMEOUT,
        vec![
            ("no second event", true, first_chunk().stall()),
            ("half an event", true, first_chunk().send("data: {").stall()),
        ],
    );
    let total: (SetTimeout, Vec<_>) = (
        |settings| settings.chat.total_timeout = TIMEOUT * 3,
        vec![("comments after an event", true, flood(first_chunk()))],
    );
    for (set_timeout, rows) in [first_byte, idle, total] {
        let runs = with_local_and_remote_core_and_settings(
            |settings, _| set_timeout(settings),
            async |server| {
                for (case, stream, reply) in &rows {
                    assert_eq!(error_codes(server, *stream, reply).await, ["upstream_timeout"; 2], "{case}");
                }
            },
        );
        runs.await;
    }
}

#[tokio::test]
async fn connect_timeout_returns_upstream_unavailable() {
    // Accepts TCP connections and never begins a TLS handshake.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("https://{}/v1", silent.local_addr().unwrap());
    with_local_and_remote_core_and_settings(
        |settings, _| {
            settings.chat.base_url = Some(base.parse().unwrap());
            settings.chat.connect_timeout = TIMEOUT;
        },
        async |server| {
            for stream in [false, true] {
                let error_codes = [rest_error_code(server, stream).await, grpc_error_code(server, stream).await];
                assert_eq!(error_codes, ["upstream_unavailable"; 2], "{stream}");
            }
        },
    )
    .await;
}

/// Blank lines arrive faster than they are parsed, so the reader never waits and must check the timeouts between reads.
#[tokio::test]
async fn endless_blank_lines_do_not_evade_the_timeouts() {
    let flood =
        || Reply::stream().send(&content_event("a")).flood(&"\n".repeat(64 << 10), ENDLESS, &ByteCounter::default());
    let total = |settings: &mut Settings| settings.chat.total_timeout = TIMEOUT * 3;
    with_local_and_remote_core_and_settings(
        |settings, _| total(settings),
        async |server| {
            let stream = true;
            assert_eq!(error_codes(server, stream, &flood()).await, ["upstream_timeout"; 2]);
        },
    )
    .await;
    with_local_and_remote_core_and_settings(
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
