//! Conversion between streaming and non-streaming responses, and event streams with a wrong content type.

use core_service::dialect::Dialect;
use serde_json::{Value, json};
use triptych_proto::v1 as pb;

use crate::{
    chat::setup::{COMPLETION, configure_targets, grpc_chat_request},
    fake_upstream::{FakeUpstream, Latch, Reply, content_event, finish_event},
    rest_response::{Events, error_body, event_data},
    test_server::{
        MODEL, TestServer, chat_body, with_local_and_remote_core, with_local_and_remote_core_and_settings,
        within_timeout,
    },
};

const SLOW_DOWN: &str = r#"{"error":{"message":"slow down","code":429}}"#;

/// Sends a streaming request that asks for usage.
async fn streamed(server: &TestServer) -> reqwest::Response {
    server.chat(chat_body(&json!({"stream": true, "stream_options": {"include_usage": true}}))).await
}

#[tokio::test]
async fn stream_only_model_serves_non_streaming_calls() {
    // A model of DashScope that refuses calls without streaming.
    const STREAM_ONLY: &str = "qwq-plus";
    with_local_and_remote_core_and_settings(
        |settings, _| {
            configure_targets(settings, None);
            settings.chat.upstreams[0].rename = [(MODEL.to_owned(), STREAM_ONLY.to_owned())].into();
            settings.chat.dialect = Some(Dialect::Dashscope);
        },
        async |server| {
            let usage = json!({"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3});
            let usage_chunk = json!({"id": "up-1", "created": 17, "model": STREAM_ONLY, "choices": [], "usage": usage});
            let stream = || {
                let reply =
                    Reply::stream().send(&content_event("Hel")).send(&content_event("lo")).send(&content_event("!"));
                reply.send(&finish_event("stop")).send(&format!("data: {usage_chunk}\n\ndata: [DONE]\n\n"))
            };
            server.upstream.enqueue(stream());
            let response = server.chat(chat_body(&json!({}))).await;
            let reply: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
            let choice = &reply["choices"][0];
            assert_eq!((&reply["object"], &reply["model"]), (&json!("chat.completion"), &json!(MODEL)));
            assert_eq!((&choice["message"]["content"], &choice["finish_reason"]), (&json!("Hello!"), &json!("stop")));
            assert_eq!(reply["usage"], usage);
            let received = server.upstream.received().await.json();
            assert_eq!((&received["stream"], &received["model"]), (&json!(true), &json!(STREAM_ONLY)));

            server.upstream.enqueue(stream());
            let reply = server.chat_client().await.create_chat(grpc_chat_request()).await.unwrap().into_inner();
            assert_eq!(reply.choices[0].message.as_ref().unwrap().role, "assistant");
            server.upstream.received().await;

            server.upstream.enqueue(Reply::stream().send(&content_event("Hel")));
            let (status, error) = error_body(server.chat(chat_body(&json!({}))).await).await;
            assert_eq!((status.as_u16(), &error["code"]), (502, &json!("upstream_unavailable")));
            server.upstream.received().await;
        },
    )
    .await;
}

#[tokio::test]
async fn non_streaming_response_is_converted_to_the_requested_stream() {
    let call = json!({"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}});
    let message = json!({"role": "assistant", "content": "Hi", "reasoning": "hm", "tool_calls": [call]});
    let choice = json!({"index": 0, "message": message, "finish_reason": "tool_calls"});
    let usage = json!({"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3});
    let reply = json!({"id": "up-1", "created": 17, "model": "m", "choices": [choice], "usage": usage}).to_string();
    with_local_and_remote_core(async |server| {
        let gate = Latch::new();
        // At once; and with whitespace before it and in two parts, the second of which arrives later.
        let responses = [
            Reply::new(200, &reply),
            Reply::new(200, "\n\n").wait_for(&gate).send(&format!(" {}", &reply[..20])).send(&reply[20..]),
        ];
        for response in responses {
            gate.open();
            server.upstream.enqueue(response);
            let events = Events::new(streamed(server).await).read_all().await;
            server.upstream.received().await;
            assert_eq!((events.len(), events[3].as_str()), (4, "data: [DONE]"), "{events:#?}");
            let [first, last, usage_chunk] = [0, 1, 2].map(|at| event_data(&events[at]));
            for chunk in [&first, &last, &usage_chunk] {
                let named = (&chunk["id"], &chunk["created"], &chunk["model"]);
                assert_eq!(named, (&json!("up-1"), &json!(17), &json!(MODEL)), "{chunk}");
            }
            let delta = &first["choices"][0]["delta"];
            assert_eq!((&delta["role"], &delta["content"]), (&json!("assistant"), &json!("Hi")), "{first}");
            assert_eq!((&delta["reasoning_content"], &delta["reasoning"]), (&json!("hm"), &json!("hm")), "{first}");
            assert_eq!(delta["tool_calls"][0]["index"], 0, "{first}");
            assert_eq!(delta["tool_calls"][0]["function"], call["function"], "{first}");
            assert_eq!((&first["choices"][0]["finish_reason"], &first["usage"]), (&Value::Null, &Value::Null));
            assert_eq!(last["choices"][0]["delta"], json!({}));
            assert_eq!(last["choices"][0]["finish_reason"], "tool_calls");
            assert_eq!((&usage_chunk["choices"], &usage_chunk["usage"]), (&json!([]), &usage));
        }

        server.upstream.enqueue(Reply::new(200, &reply));
        let request = pb::StreamChatRequest { chat: grpc_chat_request().chat, ..pb::StreamChatRequest::default() };
        let mut chunks = server.chat_client().await.stream_chat(request).await.unwrap().into_inner();
        let mut finished = Vec::new();
        while let Some(chunk) = within_timeout("a chunk", chunks.message()).await.unwrap() {
            finished.push(chunk.choices[0].finish_reason.clone());
        }
        assert_eq!(finished, [None, Some("tool_calls".to_owned())]);
        server.upstream.received().await;
    })
    .await;
}

#[tokio::test]
async fn error_document_instead_of_a_stream_fails_over_to_the_next_target() {
    let other = FakeUpstream::start().await;
    with_local_and_remote_core_and_settings(
        |settings, _| configure_targets(settings, Some(&other)),
        async |server| {
            server.upstream.enqueue(Reply::new(200, SLOW_DOWN));
            other.enqueue(Reply::streamed_text(&["a"]));
            let response = streamed(server).await;
            assert_eq!(response.headers()["x-triptych-attempts"], "a=rate_limited,b=ok");
            assert_eq!(Events::new(response).read_all().await.last().unwrap(), "data: [DONE]");
            server.upstream.received().await;
            other.received().await;
        },
    )
    .await;
    with_local_and_remote_core(async |server| {
        server.upstream.enqueue(Reply::new(200, SLOW_DOWN));
        let (status, error) = error_body(streamed(server).await).await;
        assert_eq!((status.as_u16(), &error["code"]), (429, &json!("rate_limit_exceeded")));
        assert_eq!(error["message"], "slow down");
        server.upstream.received().await;

        let parts = COMPLETION.replace(r#""Hi""#, r#"[{"type":"text","text":"Hi"}]"#);
        server.upstream.enqueue(Reply::new(200, &parts));
        // The texts of content parts are joined.
        let events = Events::new(streamed(server).await).read_all().await;
        assert_eq!(event_data(&events[0])["choices"][0]["delta"]["content"], "Hi");
        assert_eq!(events.last().unwrap(), "data: [DONE]");
        server.upstream.received().await;
    })
    .await;
}

#[tokio::test]
async fn event_stream_is_recognized_whatever_its_content_type() {
    with_local_and_remote_core(async |server| {
        for name in ["", "text/plain", "application/json", "Text/Event-Stream; charset=utf-8"] {
            // Text before the first event: nothing, blank lines, a comment, a byte order mark, an event name.
            for before in ["", "\n\n", ": hello\n\n", "\u{feff}", "event: x\n"] {
                let gate = Latch::new();
                let begun = Reply::file(name, b"").send(before).send(&content_event("a")).wait_for(&gate);
                server.upstream.enqueue(begun.send(&finish_event("stop")).send("data: [DONE]\n\n"));
                let mut events = Events::new(streamed(server).await);
                assert_eq!(
                    event_data(&events.next().await.unwrap())["choices"][0]["delta"]["content"],
                    "a",
                    "{name} {before}"
                );
                gate.open();
                assert_eq!(events.read_all().await.last().unwrap(), "data: [DONE]", "{name} {before}");
                server.upstream.received().await;
            }
        }
    })
    .await;
}
