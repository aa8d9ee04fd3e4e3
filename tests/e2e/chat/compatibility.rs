//! Responses of OpenAI-compatible upstreams, stored in `tests/fixtures/chat/UPSTREAM/`, and their outcomes over REST and gRPC.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use core_service::dialect::Dialect;
use futures_util::StreamExt;
use serde_json::{Value, json};
use tonic::Status;
use tonic_types::StatusExt;
use triptych_proto::v1::{self as pb, chat_message::Content};

use crate::{
    fake_upstream::Reply,
    rest_response::{Events, error_body, event_data},
    test_server::{TestServer, chat_body, with_local_and_remote_core_and_settings, within_timeout},
};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/chat");

/// The result of a call as the client sees it.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    text: String,
    reasoning: String,
    /// Name and arguments of each tool call, by its index.
    calls: BTreeMap<u64, String>,
    finish: String,
    /// The code of the error, empty if there was none.
    error: String,
    /// `usage.total_tokens`.
    total_tokens: Option<u64>,
}

impl Outcome {
    fn with_usage(self, tokens: u64) -> Self {
        Self { total_tokens: Some(tokens), ..self }
    }
}

/// A complete response.
fn completes(text: &str, reasoning: &str, finish: &str) -> Outcome {
    let [text, reasoning, finish] = [text, reasoning, finish].map(str::to_owned);
    Outcome { text, reasoning, finish, ..Outcome::default() }
}

/// A complete response of tool calls only.
fn calls(calls: &[&str]) -> Outcome {
    let calls = (0..).zip(calls.iter().map(|&call| call.to_owned())).collect();
    Outcome { calls, ..completes("", "", "tool_calls") }
}

/// A stream that fails after its first chunk.
fn fails_midway(error: &str) -> Outcome {
    Outcome { text: "Hi".to_owned(), error: error.to_owned(), ..Outcome::default() }
}

/// A call that fails before any content.
fn fails(error: &str) -> Outcome {
    Outcome { error: error.to_owned(), ..Outcome::default() }
}

/// Every fixture and its outcome. The texts of all fixtures are "Hi" and, where there is reasoning, "hm".
fn table() -> Vec<(&'static str, Outcome)> {
    let (call, other) = (r#"look{"at":1}"#, r#"look{"at":2}"#);
    vec![
        ("ark/error-after-done.sse", completes("Hi", "", "stop")),
        ("ark/rate.429.json", fails("rate_limit_exceeded")),
        ("ark/no-done.sse", completes("Hi", "", "stop")),
        ("ark/unknown-finish-reason.sse", completes("Hi", "", "time_limit")),
        ("ark/html-page.502.html", fails("upstream_unavailable")),
        ("ark/stream.sse", completes("Hi", "hm", "stop").with_usage(12)),
        ("ark/completion.json", completes("Hi", "hm", "stop").with_usage(12)),
        ("dashscope/arrears.400.json", fails("provider_credentials")),
        ("dashscope/blocked-midway.sse", fails_midway("content_policy_violation")),
        ("dashscope/quota.429.json", fails("rate_limit_exceeded")),
        ("dashscope/stream.sse", completes("Hi", "hm", "stop").with_usage(12)),
        ("dashscope/stream-required.400.json", fails("upstream_refused")),
        ("dashscope/completion.json", completes("Hi", "", "stop").with_usage(12)),
        ("deepseek/balance.402.json", fails("provider_credentials")),
        ("deepseek/keep-alive-then-error.json", fails("upstream_unavailable")),
        ("deepseek/no-resource.sse", fails_midway("upstream_unavailable")),
        ("deepseek/stream.sse", completes("Hi", "hm", "stop").with_usage(12)),
        ("deepseek/completion.json", completes("Hi", "hm", "stop").with_usage(12)),
        ("gateways/bare-error.sse", fails_midway("upstream_unavailable")),
        ("gateways/detail.422.json", fails("upstream_refused")),
        ("gateways/only-done.sse", fails("upstream_unavailable")),
        ("gateways/text.500.txt", fails("upstream_unavailable")),
        ("gateways/tools-without-index.sse", calls(&[call])),
        ("gemini/calls-apart.sse", calls(&[call, other])),
        ("gemini/calls-in-one-chunk.sse", calls(&[call, other])),
        ("gemini/calls-without-ids.sse", calls(&[call, other])),
        ("llama.cpp/error-field.sse", fails_midway("upstream_unavailable")),
        ("llama.cpp/loading.503.json", fails("upstream_unavailable")),
        ("llama.cpp/no-json-field.sse", fails_midway("upstream_unavailable")),
        ("llama.cpp/stream.sse", completes("Hi", "hm", "stop").with_usage(12)),
        ("llama.cpp/too-long.400.json", fails("upstream_refused")),
        ("llama.cpp/completion.json", completes("Hi", "hm", "stop").with_usage(12)),
        ("ollama/busy.503.json", fails("upstream_unavailable")),
        ("ollama/runner-died.sse", fails_midway("upstream_unavailable")),
        ("ollama/not-pulled.404.json", fails("upstream_unavailable")),
        ("ollama/stream.sse", completes("Hi", "hm", "stop").with_usage(12)),
        ("ollama/tools.sse", calls(&[call])),
        ("ollama/completion.json", completes("Hi", "hm", "stop").with_usage(12)),
        ("openrouter/credits.402.json", fails("provider_credentials")),
        ("openrouter/error-in-success.json", fails("upstream_unavailable")),
        ("openrouter/error-with-choices.sse", fails_midway("upstream_unavailable")),
        ("openrouter/moderated.403.json", fails("content_policy_violation")),
        ("openrouter/stream.sse", completes("Hi", "hm", "stop").with_usage(12)),
        ("openrouter/completion.json", completes("Hi", "hm", "stop").with_usage(12)),
        ("sglang/error-then-done.sse", fails_midway("upstream_unavailable")),
        ("sglang/flat-error-midway.sse", fails_midway("upstream_unavailable")),
        ("sglang/invalid.400.json", fails("upstream_refused")),
        ("sglang/queue-full.503.json", fails("upstream_unavailable")),
        ("sglang/stream.sse", completes("Hi", "hm", "stop").with_usage(12)),
        ("sglang/completion.json", completes("Hi", "", "stop").with_usage(12)),
        ("vllm/abort.sse", fails_midway("upstream_unavailable")),
        ("vllm/error-then-done.sse", fails_midway("upstream_unavailable")),
        ("vllm/one-of-two-choices.sse", Outcome { finish: "stop".to_owned(), ..fails_midway("upstream_unavailable") }),
        ("vllm/stream.sse", completes("Hi", "hm", "stop").with_usage(12)),
        ("vllm/too-long.400.json", fails("upstream_refused")),
        ("vllm/unauthorized.401.json", fails("provider_credentials")),
        ("vllm/completion.json", completes("Hi", "hm", "stop").with_usage(12)),
    ]
}

/// Returns the reply that a fixture describes. A number before the extension is the status; the default is 200.
fn reply(path: &str) -> Reply {
    let text = std::fs::read_to_string(Path::new(FIXTURES).join(path)).unwrap();
    if is_stream(path) {
        return Reply::stream().send(&text);
    }
    let status = path.rsplit('.').nth(1).and_then(|status| status.parse().ok()).unwrap_or(200);
    Reply::new(status, &text)
}

/// Returns whether a fixture has an error with this code.
fn has_code(path: &str, code: &str) -> bool {
    let text = std::fs::read_to_string(Path::new(FIXTURES).join(path)).unwrap().replace(' ', "");
    !code.is_empty() && text.contains(&format!("\"code\":\"{code}\""))
}

fn is_stream(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == "sse")
}

#[tokio::test]
async fn every_fixture_gives_the_expected_outcome_over_rest_and_grpc() {
    for (dialect, dashscope) in [(Dialect::Openai, false), (Dialect::Dashscope, true)] {
        let adjust = |settings: &mut core_service::config::Settings, _: &mut _| settings.chat.dialect = Some(dialect);
        with_local_and_remote_core_and_settings(adjust, async |server| {
            let rows = table().into_iter().filter(|(path, _)| path.starts_with("dashscope/") == dashscope);
            for (path, expected) in rows {
                server.upstream.enqueue(reply(path));
                let mut outcome = over_rest(server, is_stream(path)).await;
                if has_code(path, &outcome.error) && expected.error != "provider_credentials" {
                    // The REST error has the code of the upstream in place of Triptych's reason.
                    outcome.error.clone_from(&expected.error);
                }
                assert_eq!(outcome, expected, "{path} over REST");
                server.upstream.received().await;
                server.upstream.enqueue(reply(path));
                assert_eq!(over_grpc(server, is_stream(path)).await, expected, "{path} over gRPC");
                server.upstream.received().await;
            }
        })
        .await;
    }
}

#[test]
fn every_fixture_has_a_row() {
    let mut files = BTreeSet::new();
    for upstream in std::fs::read_dir(FIXTURES).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_dir()) {
        for file in std::fs::read_dir(upstream.path()).unwrap() {
            let name = file.unwrap().file_name();
            files.insert(format!("{}/{}", upstream.file_name().display(), name.display()));
        }
    }
    let in_table: BTreeSet<_> = table().into_iter().map(|(path, _)| path.to_owned()).collect();
    assert_eq!(files, in_table);
}

#[tokio::test]
async fn dialect_changes_the_request_to_the_upstream() {
    let adjust = |settings: &mut core_service::config::Settings, _: &mut _| {
        settings.chat.dialect = Some(Dialect::Dashscope);
        "qwen3-8b".clone_into(&mut settings.chat.model);
    };
    with_local_and_remote_core_and_settings(adjust, async |server| {
        let body =
            |stream: bool| chat_body(&json!({"model": "qwen3-8b", "max_completion_tokens": 5, "stream": stream}));
        server.upstream.enqueue(reply("dashscope/completion.json"));
        assert_eq!(server.chat(body(false)).await.status(), 200);
        let received = server.upstream.received().await.json();
        assert_eq!((&received["enable_thinking"], &received["max_tokens"]), (&json!(false), &json!(5)));
        assert!(received.get("max_completion_tokens").is_none(), "{received}");

        server.upstream.enqueue(reply("dashscope/stream.sse"));
        Events::new(server.chat(body(true)).await).read_all().await;
        assert!(server.upstream.received().await.json().get("enable_thinking").is_none());
    })
    .await;
}

async fn over_rest(server: &TestServer, stream: bool) -> Outcome {
    let options = stream.then(|| json!({"include_usage": true}));
    let response = server.chat(chat_body(&json!({"stream": stream, "stream_options": options}))).await;
    let mut outcome = Outcome::default();
    if response.status() != 200 {
        let (_, error) = error_body(response).await;
        // An internal address that some fixtures have in their message.
        assert!(!error.to_string().contains("10.0.0.7"), "{error}");
        error["code"].as_str().unwrap().clone_into(&mut outcome.error);
        return outcome;
    }
    let string = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let add = |outcome: &mut Outcome, choice: &Value, message: &Value| {
        outcome.text += &string(&message["content"]);
        outcome.reasoning += &string(&message["reasoning_content"]);
        outcome.finish += &string(&choice["finish_reason"]);
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            let accumulated = outcome.calls.entry(call["index"].as_u64().unwrap()).or_default();
            *accumulated += &(string(&call["function"]["name"]) + &string(&call["function"]["arguments"]));
        }
    };
    if !stream {
        let reply: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        add(&mut outcome, &reply["choices"][0], &reply["choices"][0]["message"]);
        outcome.total_tokens = reply["usage"]["total_tokens"].as_u64();
        return outcome;
    }
    let mut events = Events::new(response).read_all().await;
    let last = events.pop().unwrap();
    if last != "data: [DONE]" {
        outcome.error = string(&event_data(&last)["error"]["code"]);
    }
    let mut chunks: Vec<_> = events.iter().map(|event| event_data(event)).collect();
    if let Some(usage) = chunks.pop_if(|last| last["choices"] == json!([])) {
        outcome.total_tokens = Some(usage["usage"]["total_tokens"].as_u64().unwrap());
    }
    for chunk in chunks {
        assert_eq!(chunk.get("usage"), Some(&Value::Null), "{chunk}");
        add(&mut outcome, &chunk["choices"][0], &chunk["choices"][0]["delta"]);
    }
    outcome
}

async fn over_grpc(server: &TestServer, stream: bool) -> Outcome {
    let mut client = server.chat_client().await;
    let message = pb::ChatMessage {
        role: "user".to_owned(),
        content: Some(Content::Text("Hello".to_owned())),
        ..Default::default()
    };
    let chat = Some(pb::ChatRequest { messages: vec![message], ..Default::default() });
    let mut outcome = Outcome::default();
    let reason = |status: &Status| status.get_error_details().error_info().unwrap().reason.to_ascii_lowercase();
    if stream {
        let options = pb::StreamOptions { include_usage: Some(true), ..Default::default() };
        let request = pb::StreamChatRequest { chat, stream_options: Some(options), ..Default::default() };
        let mut chunks = match within_timeout("a response", client.stream_chat(request)).await {
            Ok(response) => response.into_inner(),
            Err(status) => return fails(&reason(&status)),
        };
        while let Some(chunk) = within_timeout("a chunk", chunks.next()).await {
            let choices = match chunk {
                Ok(chunk) => {
                    assert_eq!(chunk.usage.is_some(), chunk.choices.is_empty(), "{chunk:?}");
                    assert_eq!(outcome.total_tokens, None, "a chunk after the usage: {chunk:?}");
                    outcome.total_tokens = chunk.usage.map(|usage| usage.total_tokens);
                    chunk.choices
                }
                Err(status) => {
                    outcome.error = reason(&status);
                    break;
                }
            };
            for choice in choices {
                let delta = choice.delta.unwrap_or_default();
                outcome.text += &delta.content.unwrap_or_default();
                outcome.reasoning += &delta.reasoning_content.unwrap_or_default();
                outcome.finish += &choice.finish_reason.unwrap_or_default();
                for call in delta.tool_calls {
                    let accumulated = outcome.calls.entry(call.index.into()).or_default();
                    let function = call.function.unwrap_or_default();
                    *accumulated += &(function.name.unwrap_or_default() + &function.arguments.unwrap_or_default());
                }
            }
        }
        return outcome;
    }
    let request = pb::CreateChatRequest { chat, ..Default::default() };
    match within_timeout("a response", client.create_chat(request)).await {
        Ok(response) => {
            let mut reply = response.into_inner();
            outcome.total_tokens = reply.usage.map(|usage| usage.total_tokens);
            let choice = reply.choices.remove(0);
            let message = choice.message.unwrap();
            if let Some(Content::Text(text)) = message.content {
                outcome.text = text;
            }
            outcome.reasoning = message.reasoning_content.unwrap_or_default();
            outcome.finish = choice.finish_reason;
        }
        Err(status) => outcome.error = reason(&status),
    }
    outcome
}
