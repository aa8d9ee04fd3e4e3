//! Unusual responses of upstreams that are forwarded unchanged, and logged where an operator should know.

use serde_json::json;
use triptych_proto::v1 as pb;

use crate::{
    chat::setup::grpc_chat_request,
    fake_upstream::{Reply, content_event, finish_event},
    log_capture::LogCapture,
    rest_response::{Events, event_data},
    test_server::{
        TestServer, chat_body, with_local_and_remote_core, with_local_and_remote_core_on_this_thread, within_timeout,
    },
};

/// The API key for the fake upstream.
const KEY: &str = "upstream-secret";

/// Streams a chat over gRPC and returns its chunks.
async fn streamed(server: &TestServer) -> Vec<pb::StreamChatResponse> {
    let request = pb::StreamChatRequest { chat: grpc_chat_request().chat, ..pb::StreamChatRequest::default() };
    let mut chunks = server.chat_client().await.stream_chat(request).await.unwrap().into_inner();
    let mut all = Vec::new();
    while let Some(chunk) = within_timeout("a chunk", chunks.message()).await.unwrap() {
        all.push(chunk);
    }
    server.upstream.received().await;
    all
}

#[tokio::test]
async fn empty_response_without_completion_tokens_is_forwarded_with_a_warning() {
    let log = LogCapture::start();
    with_local_and_remote_core_on_this_thread(
        |_, _| (),
        async |server| {
            let warnings = |log: &LogCapture| log.take().lines().filter(|line| line.contains("WARN")).count();
            // The content, its completion tokens, and the number of warnings.
            for (text, tokens, expected) in [("", 0, 1), ("", 3, 0), ("a", 0, 0)] {
                let usage = json!({"prompt_tokens": 3, "completion_tokens": tokens, "total_tokens": 3 + tokens});
                let last = json!({"id": "c", "created": 7, "model": "m", "choices": [], "usage": usage});
                let stream = Reply::stream().send(&content_event(text)).send(&finish_event("stop"));
                server.upstream.enqueue(stream.send(&format!("data: {last}\n\ndata: [DONE]\n\n")));
                streamed(server).await;
                assert_eq!(warnings(&log), expected, "a stream of {text:?}, {tokens}");

                let message = json!({"role": "assistant", "content": text});
                let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
                let reply = json!({"id": "c", "created": 7, "model": "m", "choices": [choice], "usage": usage});
                server.upstream.enqueue(Reply::new(200, &reply.to_string()));
                server.chat_client().await.create_chat(grpc_chat_request()).await.unwrap();
                server.upstream.received().await;
                assert_eq!(warnings(&log), expected, "a completion of {text:?}, {tokens}");
            }
        },
    )
    .await;
}

#[tokio::test]
async fn upstream_failure_is_logged_without_the_api_key() {
    let log = LogCapture::start();
    with_local_and_remote_core_on_this_thread(
        |_, _| (),
        async |server| {
            let words = format!("no such key: {KEY}");
            let refusal = json!({"error": {"message": words, "type": "t", "code": "invalid_api_key"}}).to_string();
            server.upstream.enqueue(Reply::new(401, &refusal));
            server.chat_client().await.create_chat(grpc_chat_request()).await.unwrap_err();
            server.upstream.received().await;
            let logged = log.take();
            let line = logged.lines().find(|line| line.contains("ERROR")).unwrap();
            assert!(line.contains("no such key: ***"), "{line}");
            assert!(!logged.contains(KEY), "{logged}");
        },
    )
    .await;
}

#[tokio::test]
async fn unknown_finish_reason_is_logged_and_forwarded() {
    let log = LogCapture::start();
    with_local_and_remote_core_on_this_thread(
        |_, _| (),
        async |server| {
            let warnings = |log: &LogCapture| log.take().lines().filter(|line| line.contains("finish_reason=")).count();
            for (reason, expected) in [("stop", 0), ("eos_token", 1)] {
                server.upstream.enqueue(Reply::stream().send(&content_event("a")).send(&finish_event(reason)));
                let last = streamed(server).await.pop().unwrap();
                assert_eq!(last.choices[0].finish_reason.as_deref(), Some(reason));
                assert_eq!(warnings(&log), expected, "{reason}");

                let reply = super::setup::COMPLETION
                    .replace(r#""finish_reason":"stop""#, &format!(r#""finish_reason":"{reason}""#));
                server.upstream.enqueue(Reply::new(200, &reply));
                let response = server.chat_client().await.create_chat(grpc_chat_request()).await.unwrap().into_inner();
                server.upstream.received().await;
                assert_eq!(response.choices[0].finish_reason, reason);
                let logged = log.take();
                let line = logged.lines().find(|line| line.contains("finish_reason="));
                assert_eq!(line.is_some(), expected > 0, "{logged}");
                if let Some(line) = line {
                    assert!(line.contains("WARN") && line.contains(r#"finish_reason="eos_token""#), "{line}");
                }
            }
        },
    )
    .await;
}

#[tokio::test]
async fn tool_call_without_an_index_gets_one_and_others_keep_theirs() {
    let deltas = [
        json!([{"id": "one", "type": "function", "function": {"name": "f", "arguments": ""}}]),
        json!([{"function": {"arguments": "{"}}, {"id": "two", "function": {"name": "g", "arguments": ""}}]),
        json!([{"function": {"arguments": "}"}}]),
        json!([{"index": 5, "id": "six", "function": {"name": "h", "arguments": "{}"}}, {"index": 3, "id": "four"}]),
    ];
    let reply = deltas.iter().fold(Reply::stream(), |reply, calls| {
        let choice = json!({"index": 0, "delta": {"tool_calls": calls}, "finish_reason": null});
        reply.send(&format!("data: {}\n\n", json!({"id": "c", "created": 7, "model": "m", "choices": [choice]})))
    });
    // Without an index, a new id starts the next call, and a chunk without an id continues the last call.
    // Pairs of index and id.
    let expected =
        [(0, "one"), (0, ""), (1, "two"), (1, ""), (5, "six"), (3, "four")].map(|(at, id)| (at, id.to_owned()));
    with_local_and_remote_core(async |server| {
        server.upstream.enqueue(reply.clone().send(&finish_event("tool_calls")).send("data: [DONE]\n\n"));
        let chunks = streamed(server).await;
        let calls = chunks.into_iter().flat_map(|chunk| chunk.choices).filter_map(|choice| choice.delta);
        let calls = calls.flat_map(|delta| delta.tool_calls).map(|call| (call.index, call.id.unwrap_or_default()));
        assert_eq!(calls.collect::<Vec<_>>(), expected);

        server.upstream.enqueue(reply.clone().send(&finish_event("tool_calls")).send("data: [DONE]\n\n"));
        let mut events = Events::new(server.chat(chat_body(&json!({"stream": true}))).await).read_all().await;
        server.upstream.received().await;
        assert_eq!(events.pop().unwrap(), "data: [DONE]");
        let deltas: Vec<_> =
            events.iter().map(|event| event_data(event)["choices"][0]["delta"]["tool_calls"].clone()).collect();
        let calls = deltas.iter().filter_map(|calls| calls.as_array()).flatten();
        let calls =
            calls.map(|call| (call["index"].as_u64().unwrap(), call["id"].as_str().unwrap_or_default().to_owned()));
        assert_eq!(calls.collect::<Vec<_>>(), expected.clone().map(|(at, id)| (u64::from(at), id)));
    })
    .await;
}
