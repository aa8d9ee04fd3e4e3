//! Tolerated deviations in upstream responses, and request members that are forwarded without validation.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use tonic_types::StatusExt;

use crate::{
    chat::setup::{COMPLETION, grpc_chat_request},
    fake_upstream::{Reply, content_event, finish_event},
    rest_response::{Events, error_body, event_data},
    test_server::{TestServer, chat_body, with_local_and_remote_core, with_local_and_remote_core_and_settings},
};

/// Runs the test with a circuit breaker that the second failure in a row opens.
async fn with_sensitive_breaker(test: impl AsyncFn(&TestServer)) {
    let adjust = |settings: &mut core_service::config::Settings, _: &mut rest_gateway::Settings| {
        settings.chat.routing.failure_threshold = 2;
    };
    with_local_and_remote_core_and_settings(adjust, test).await;
}

/// Sends a request whose response must be a completion, and returns it.
async fn complete(server: &TestServer, reply: Reply) -> Value {
    server.upstream.enqueue(reply);
    let response = server.chat(chat_body(&json!({}))).await;
    server.upstream.received().await;
    let (status, body) = (response.status(), response.text().await.unwrap());
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

/// Sends a streaming request and returns its content, and whether `[DONE]` ended it.
async fn stream(server: &TestServer, reply: Reply) -> (String, bool) {
    server.upstream.enqueue(reply);
    let events = Events::new(server.chat(chat_body(&json!({"stream": true}))).await).read_all().await;
    server.upstream.received().await;
    let done = events.last().is_some_and(|event| event == "data: [DONE]");
    let chunks = events.iter().filter(|event| *event != "data: [DONE]").map(|event| event_data(event));
    let text = chunks.filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned));
    (text.collect(), done)
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn request_members_that_only_the_upstream_can_judge_are_forwarded() {
    let members = json!({
        "max_tokens": -1, "temperature": "hot", "n": 1000, "tool_choice": "any", "logit_bias": [1], "stop": [1],
        "tools": [{"function": {"name": "f"}}], "response_format": {"type": "json_schema", "schema": {"type": "object"}},
        "messages": [
            {"role": "usr", "content": [{"type": "image_url", "image_url": "https://x/a.png"}]},
            {"role": "user"},
        ],
    });
    with_local_and_remote_core(async |server| {
        server.upstream.enqueue(Reply::new(200, COMPLETION));
        let response = server.chat(chat_body(&members)).await;
        assert_eq!(response.status(), 200, "{}", response.text().await.unwrap());
        let sent = server.upstream.received().await.json();
        for (name, value) in members.as_object().unwrap() {
            assert_eq!(&sent[name], value, "{name}");
        }
    })
    .await;
}

#[tokio::test]
async fn unusable_usage_is_forwarded_and_does_not_open_the_circuit_breaker() {
    let usage = json!({"prompt_tokens": 1, "completion_tokens": -35, "total_tokens": 2});
    let mut completion: Value = serde_json::from_str(COMPLETION).unwrap();
    completion["usage"] = usage.clone();
    with_sensitive_breaker(async |server| {
        for _ in 0..3 {
            let response = complete(server, Reply::new(200, &completion.to_string())).await;
            assert_eq!(response["usage"], usage);
        }
    })
    .await;
}

#[tokio::test]
async fn upstream_error_reaches_the_client_with_its_members_whatever_its_status() {
    let error = json!({"error": {"message": "too long", "type": "invalid_request_error", "param": "messages",
        "code": "context_length_exceeded", "n_ctx": 8192}});
    with_sensitive_breaker(async |server| {
        for status in [200, 400] {
            for streamed in [false, true] {
                // A refusal is no failure of the upstream.
                for _ in 0..3 {
                    server.upstream.enqueue(Reply::new(status, &error.to_string()));
                    let response = server.chat(chat_body(&json!({"stream": streamed}))).await;
                    server.upstream.received().await;
                    let (http, body) = error_body(response).await;
                    assert_eq!((http.as_u16(), &body), (400, &error["error"]), "{status}");
                }
            }
        }
        server.upstream.enqueue(Reply::new(400, &error.to_string()));
        let failed = server.chat_client().await.create_chat(grpc_chat_request()).await.unwrap_err();
        server.upstream.received().await;
        let metadata = failed.get_error_details().error_info().unwrap().metadata.clone();
        assert_eq!(metadata["upstream_code"], "context_length_exceeded");
        assert_eq!((&*metadata["upstream_type"], &*metadata["upstream_param"]), ("invalid_request_error", "messages"));
        assert_eq!(metadata["upstream_members"], r#"{"n_ctx":8192}"#);
    })
    .await;
}

#[tokio::test]
async fn compressed_responses_are_read_although_identity_was_requested() {
    let compressed = |reply: Reply| reply.header("content-encoding", "gzip");
    with_local_and_remote_core(async |server| {
        let reply = compressed(Reply::new(200, "")).send_bytes(&gzip(COMPLETION));
        server.upstream.enqueue(reply);
        let response = server.chat(chat_body(&json!({}))).await;
        assert_eq!(server.upstream.received().await.header("accept-encoding"), Some("identity"));
        assert_eq!(response.status(), 200);

        let events = [content_event("Hi"), finish_event("stop")].concat();
        let reply = compressed(Reply::stream()).send_bytes(&gzip(&events));
        assert_eq!(stream(server, reply).await, ("Hi".to_owned(), true));

        server
            .upstream
            .enqueue(compressed(Reply::new(400, "")).send_bytes(&gzip(r#"{"error":{"message":"too long"}}"#)));
        let (_, error) = error_body(server.chat(chat_body(&json!({}))).await).await;
        server.upstream.received().await;
        assert_eq!(error["message"], "too long");
    })
    .await;
}

#[tokio::test]
async fn events_in_place_of_a_completion_are_assembled() {
    let events = [": hi\n\n".to_owned(), content_event("Hel"), content_event("lo"), finish_event("stop")].concat();
    with_local_and_remote_core(async |server| {
        // As an event stream, as JSON, and as JSON without the comment of six bytes at its beginning.
        for reply in [Reply::stream().send(&events), Reply::new(200, &events), Reply::new(200, &events[6..])] {
            assert_eq!(complete(server, reply).await["choices"][0]["message"]["content"], "Hello");
        }
        let error = r#"data: {"error":{"message":"slow down","code":429}}"#;
        server.upstream.enqueue(Reply::stream().send(&format!("{error}\n\n")));
        let (status, _) = error_body(server.chat(chat_body(&json!({}))).await).await;
        server.upstream.received().await;
        assert_eq!(status, 429);
    })
    .await;
}

#[tokio::test]
async fn stray_text_and_split_surrogate_pairs_do_not_fail_a_stream() {
    // Each chunk has one half of the surrogate pair of an emoji, as a JSON escape.
    let half = |half: &str| content_event("HALF").replace("HALF", half);
    with_local_and_remote_core(async |server| {
        let reply = Reply::stream()
            .send("\u{feff}data: warming up\n\nwelcome\n\n")
            .send(&half(r"Hi \ud83d"))
            .send(&half(r"\ude00 there"))
            .send(&finish_event("stop"))
            .send("data: [DONE]\n\n");
        assert_eq!(stream(server, reply).await, ("Hi \u{1f600} there".to_owned(), true));
    })
    .await;
}
