//! Requests, replies and settings that several chat tests share.

use core_service::config::{Routing, Settings, Upstream};
use serde_json::json;
use triptych_proto::v1 as pb;

use crate::{
    fake_upstream::{ByteCounter, FakeUpstream, Reply, content_event, finish_event},
    test_server::{MODEL, TestServer, chat_body},
};

/// A non-streaming response of an OpenAI-compatible upstream.
pub(crate) const COMPLETION: &str = r#"{"id":"c-1","object":"chat.completion","created":7,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}"#;
/// Returns a completion whose usage has one token of input and this many of output.
pub(crate) fn completion_of_tokens(output_tokens: u32) -> Reply {
    let choice = json!({"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"});
    let usage = json!({"prompt_tokens": 1, "completion_tokens": output_tokens, "total_tokens": output_tokens + 1});
    Reply::new(200, &json!({"id": "c", "created": 7, "model": MODEL, "choices": [choice], "usage": usage}).to_string())
}

/// The body of a failure of an upstream.
pub(crate) const UNAVAILABLE: &str = r#"{"error":{"message":"away"}}"#;

/// Configures the test server's upstream as the target `a`, and `other` as `b` with a lower priority.
pub(crate) fn configure_targets(settings: &mut Settings, other: Option<&FakeUpstream>) {
    let chat = &mut settings.chat;
    chat.routing = Routing::default();
    // `a` uses the name of the clients for the model, `b` calls it `theirs`.
    let a = Upstream {
        name: "a".to_owned(),
        base_url: chat.base_url.take(),
        models: vec![MODEL.to_owned()],
        ..Upstream::default()
    };
    let b = other.map(|other| Upstream {
        name: "b".to_owned(),
        base_url: Some(format!("http://{}/v1", other.address).parse().unwrap()),
        rename: [(MODEL.to_owned(), "theirs".to_owned())].into(),
        priority: 1,
        ..a.clone()
    });
    chat.upstreams = std::iter::once(a).chain(b).collect();
}

/// Returns a request with one user message.
pub(crate) fn grpc_chat_request() -> pb::CreateChatRequest {
    let message = pb::ChatMessage {
        role: "user".to_owned(),
        content: Some(pb::chat_message::Content::Text("Hello".to_owned())),
        ..pb::ChatMessage::default()
    };
    let chat = pb::ChatRequest { model: MODEL.to_owned(), messages: vec![message], ..pb::ChatRequest::default() };
    pb::CreateChatRequest { chat: Some(chat), ..pb::CreateChatRequest::default() }
}

/// Sends a chat request that must succeed, and returns its `x-triptych-attempts` header: the targets that were tried, each with
/// its outcome.
pub(crate) async fn attempted_targets(server: &TestServer) -> String {
    let response = server.chat(chat_body(&json!({}))).await;
    assert_eq!(response.status(), 200);
    response.headers()["x-triptych-attempts"].to_str().unwrap().to_owned()
}

/// More bytes than all socket buffers on the way hold: an upstream that has sent them was read to the end.
pub(crate) const FLOOD_BYTES: usize = 48 << 20;

/// Streams one small chunk, then [`FLOOD_BYTES`].
pub(crate) fn long_stream() -> Reply {
    let chunk = content_event(&"x".repeat(64 << 10));
    Reply::stream()
        .send(&content_event("a"))
        .flood(&chunk, FLOOD_BYTES, &ByteCounter::default())
        .send(&finish_event("stop"))
}
