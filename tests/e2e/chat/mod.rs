//! Chat completions over REST and gRPC: the requests that the upstream receives, and the responses that the client receives.

mod balancing;
mod client_disconnect;
mod compatibility;
mod deviations;
mod errors;
mod leniency;
mod passthrough;
mod queue;
mod routing;
pub(crate) mod setup;
mod streaming;
mod streaming_conversion;
mod targets;
mod upstream_settings;
mod usage;

use futures_util::StreamExt;
use serde_json::{Value, json};
use tonic::{Code, Request};
use triptych_proto::v1::{self as pb, chat_message::Content};

use crate::{
    chat::setup::grpc_chat_request,
    fake_upstream::{Reply, content_event},
    rest_response::error_body,
    test_server::{MODEL, chat_body, with_local_and_remote_core, within_timeout},
};

/// A completion with members that OpenAI's API does not define, and with numbers that an `f64` cannot hold.
const COMPLETION_WITH_EXTRAS: &str = r#"{"id":"up-1","object":"chat.completion","created":17,"model":"someone-elses-name","x_trace":{"z":1,"a":[1E400,12345678901234567890123]},"choices":[{"index":0,"message":{"role":"assistant","content":"Hi","refusal":null,"annotations":[{"type":"url_citation"}]},"logprobs":null,"finish_reason":"stop","x_seconds":0.10}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,"x_cost":"0.001"}}"#;

#[tokio::test]
async fn request_reaches_the_upstream_with_every_member_unchanged() {
    let sent = r#"{"model":"scripted-1","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":[{"type":"text","text":"é世\n"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AA==","detail":"low","x_crop":[1,2]}},{"type":"x_point_cloud","points":[0.10,1e3]}],"x_mood":null}],"tools":[{"type":"function","function":{"name":"look","description":"d","parameters":{"type":"object","properties":{"zebra":{"type":"integer","maximum":12345678901234567890123},"apple":{"type":"string"}},"required":["zebra"]},"strict":true}}],"temperature":0.7,"seed":-5,"stop":["END"],"logit_bias":{"50256":-100.0},"metadata":{"a":"b"},"top_k":40,"x_huge":1E400,"x_nothing":null,"x_order":{"b":1,"a":2}}"#;
    with_local_and_remote_core(async |server| {
        server.upstream.enqueue(Reply::new(200, COMPLETION_WITH_EXTRAS));
        let response = server.chat(sent).await;
        assert_eq!(response.status(), 200);
        let received = server.upstream.received().await;
        assert!(received.head.starts_with("post /v1/chat/completions http/1.1"), "{}", received.head);
        for fragment in [
            r#""properties":{"zebra":{"type":"integer","maximum":12345678901234567890123},"apple":{"type":"string"}}"#,
            r#"{"type":"x_point_cloud","points":[0.10,1e3]}"#,
            r#""x_huge":1E400"#,
            r#""x_nothing":null"#,
            r#""x_order":{"b":1,"a":2}"#,
            r#""x_mood":null"#,
            r#""x_crop":[1,2]"#,
            r#""text":"é世\n""#,
        ] {
            assert!(received.text().contains(fragment), "{fragment} is missing in {}", received.text());
        }
        let without_huge = |text: &str| -> Value { serde_json::from_str(&text.replace("1E400", "1")).unwrap() };
        assert_eq!(without_huge(received.text()), without_huge(sent));
    })
    .await;
}

#[tokio::test]
async fn response_reaches_the_client_with_every_member_unchanged_and_the_public_model_name() {
    with_local_and_remote_core(async |server| {
        server.upstream.enqueue(Reply::new(200, COMPLETION_WITH_EXTRAS));
        let response = server.chat(chat_body(&json!({}))).await;
        assert_eq!(response.headers()["content-type"], "application/json");
        let text = response.text().await.unwrap();
        server.upstream.received().await;
        for fragment in [
            r#""x_trace":{"z":1,"a":[1E400,12345678901234567890123]}"#,
            r#""annotations":[{"type":"url_citation"}]"#,
            r#""x_seconds":0.10"#,
            r#""x_cost":"0.001""#,
            r#""refusal":null"#,
            r#""logprobs":null"#,
        ] {
            assert!(text.contains(fragment), "{fragment} is missing in {text}");
        }
        let reply: Value = serde_json::from_str(&text.replace("1E400", "1")).unwrap();
        assert_eq!((&reply["id"], &reply["created"], &reply["model"]), (&json!("up-1"), &json!(17), &json!(MODEL)));
        assert_eq!(reply["choices"][0]["message"]["content"], "Hi");
        assert_eq!(reply["usage"]["total_tokens"], 5);
    })
    .await;
}

#[tokio::test]
async fn request_id_and_idempotency_key_are_forwarded_and_the_api_key_is_not() {
    with_local_and_remote_core(async |server| {
        server.upstream.enqueue(Reply::new(200, COMPLETION_WITH_EXTRAS));
        let request = server.request(reqwest::Method::POST, "/v1/chat/completions");
        let request = request.header("x-request-id", "trace-7").header("idempotency-key", "once").bearer_auth("mine");
        let response = within_timeout("a response", request.body(chat_body(&json!({}))).send()).await.unwrap();
        assert_eq!(response.headers()["x-request-id"], "trace-7");
        let head = server.upstream.received().await.head;
        for line in ["x-request-id: trace-7", "idempotency-key: once", "authorization: bearer upstream-secret"] {
            assert!(head.contains(line), "{line} is missing in {head}");
        }
        assert!(!head.contains("mine"), "{head}");
    })
    .await;
}

#[tokio::test]
async fn tool_call_and_its_result_make_the_round_trip() {
    let tool_call = r#"{"id":"u","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"look","arguments":"{\"at\": 1.0}"}}]},"finish_reason":"tool_calls"}]}"#;
    let history = json!([
        {"role": "user", "content": "Look"},
        {"role": "assistant", "content": null, "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{\"at\": 1.0}"}}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "received"},
    ]);
    with_local_and_remote_core(async |server| {
        server.upstream.enqueue(Reply::new(200, tool_call));
        let choice = json!({"type": "function", "function": {"name": "look"}});
        let tools = json!({"tools": [{"type": "function", "function": {"name": "look"}}], "tool_choice": choice, "parallel_tool_calls": false});
        let reply: Value = serde_json::from_str(&server.chat(chat_body(&tools)).await.text().await.unwrap()).unwrap();
        assert_eq!(reply["choices"][0]["message"]["content"], Value::Null);
        assert_eq!(reply["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"], "{\"at\": 1.0}");
        assert_eq!(reply["choices"][0]["finish_reason"], "tool_calls");
        let received = server.upstream.received().await.json();
        assert_eq!((&received["tool_choice"], &received["parallel_tool_calls"]), (&choice, &json!(false)));

        server.upstream.enqueue(Reply::new(200, COMPLETION_WITH_EXTRAS));
        assert_eq!(server.chat(chat_body(&json!({"messages": history}))).await.status(), 200);
        assert_eq!(server.upstream.received().await.json()["messages"], history);
    })
    .await;
}

#[tokio::test]
async fn client_disconnect_before_the_response_closes_the_upstream_connection() {
    with_local_and_remote_core(async |server| {
        for stream in [false, true] {
            server.upstream.enqueue(Reply::no_response());
            let body = chat_body(&json!({"stream": stream}));
            let pending = server.request(reqwest::Method::POST, "/v1/chat/completions").body(body).send();
            tokio::select! {
                response = pending => panic!("{response:?}"),
                _ = server.upstream.received() => {}
            }
            server.upstream.disconnected().await;
        }
    })
    .await;
}

#[tokio::test]
async fn deadline_before_the_response_returns_504_and_closes_the_upstream_connection() {
    with_local_and_remote_core(async |server| {
        for stream in [false, true] {
            server.upstream.enqueue(Reply::no_response());
            let request = server.request(reqwest::Method::POST, "/v1/chat/completions");
            let request = request.header("x-request-timeout-ms", "50").body(chat_body(&json!({"stream": stream})));
            let response = within_timeout("a response", request.send()).await.unwrap();
            let (status, error) = error_body(response).await;
            assert_eq!((status.as_u16(), &error["code"]), (504, &json!("upstream_timeout")), "{error}");
            server.upstream.received().await;
            server.upstream.disconnected().await;
        }
    })
    .await;
}

#[tokio::test]
async fn grpc_unary_and_streaming_calls_return_the_same_text() {
    with_local_and_remote_core(async |server| {
        let mut client = server.chat_client().await;
        server.upstream.enqueue(Reply::new(200, COMPLETION_WITH_EXTRAS));
        let request = pb::CreateChatRequest { chat: grpc_chat_request().chat, ..pb::CreateChatRequest::default() };
        let reply = client.create_chat(request).await.unwrap().into_inner();
        assert_eq!((reply.id.as_str(), reply.model.as_str()), ("up-1", MODEL));
        assert_eq!(reply.extra_json, r#"{"x_trace":{"z":1,"a":[1E400,12345678901234567890123]}}"#);
        let message = reply.choices[0].message.clone().unwrap();
        assert_eq!(message.content, Some(Content::Text("Hi".to_owned())));
        assert_eq!(server.upstream.received().await.json()["model"], MODEL);

        server.upstream.enqueue(Reply::streamed_text(&["a", "b"]));
        let request = pb::StreamChatRequest { chat: grpc_chat_request().chat, ..pb::StreamChatRequest::default() };
        let chunks: Vec<_> = client.stream_chat(request).await.unwrap().into_inner().collect().await;
        server.upstream.received().await;
        let chunks: Vec<_> = chunks.into_iter().map(|chunk| chunk.unwrap().choices.remove(0)).collect();
        let texts: Vec<_> = chunks.iter().filter_map(|choice| choice.delta.clone()?.content).collect();
        assert_eq!(texts, ["a", "b"]);
        assert_eq!(chunks.last().unwrap().finish_reason.as_deref(), Some("stop"));
    })
    .await;
}

#[tokio::test]
async fn grpc_cancel_or_deadline_closes_the_upstream_connection() {
    with_local_and_remote_core(async |server| {
        let mut client = server.chat_client().await;
        let request = || pb::StreamChatRequest { chat: grpc_chat_request().chat, ..pb::StreamChatRequest::default() };
        server.upstream.enqueue(Reply::stream().send(&content_event("a")).stall());
        let mut chunks = client.stream_chat(request()).await.unwrap().into_inner();
        assert!(chunks.next().await.unwrap().is_ok());
        server.upstream.received().await;
        drop(chunks);
        server.upstream.disconnected().await;

        server.upstream.enqueue(Reply::no_response());
        let mut with_deadline = Request::new(request());
        with_deadline.set_timeout(std::time::Duration::from_millis(50));
        let status = within_timeout("the end of the call", client.stream_chat(with_deadline)).await.unwrap_err();
        // If the client's own timer expires first, the client reports CANCELLED.
        assert!(matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled), "{status:?}");
        server.upstream.received().await;
        server.upstream.disconnected().await;
    })
    .await;
}
