//! What an upstream says in words of its own, passed on and not put right.

use std::{
    io,
    sync::{Arc, Mutex},
};

use serde_json::json;
use triptych_proto::v1 as pb;

use crate::{
    harness::{Events, World, data, hello, over_both_hops, soon},
    routing::grpc_hello,
    upstream::{Reply, content, finish},
};

/// Ours at the scripted upstream.
const KEY: &str = "upstream-secret";

/// What was logged.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut self.0.lock().unwrap())).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn streamed(world: &World) -> Vec<pb::StreamChatResponse> {
    let ask = pb::StreamChatRequest { chat: grpc_hello().chat, ..pb::StreamChatRequest::default() };
    let mut pieces = world.chat_client().await.stream_chat(ask).await.unwrap().into_inner();
    let mut all = Vec::new();
    while let Some(piece) = soon("a piece", pieces.message()).await.unwrap() {
        all.push(piece);
    }
    world.upstream.saw().await;
    all
}

/// What this thread logs, which is where the core's own server runs; so those who look at it ask over gRPC alone.
fn log() -> (Log, tracing::subscriber::DefaultGuard) {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    (log, tracing::subscriber::set_default(subscriber))
}

#[tokio::test]
async fn an_answer_of_nothing_that_counts_no_tokens_is_passed_on_and_warned_of() {
    let (log, _guard) = log();
    over_both_hops(async |world| {
        let warned = |log: &Log| log.take().lines().filter(|line| line.contains("answered with nothing")).count();
        for (said, tokens, expected) in [("", 0, 1), ("", 3, 0), ("a", 0, 0)] {
            let usage = json!({"prompt_tokens": 3, "completion_tokens": tokens, "total_tokens": 3 + tokens});
            let last = json!({"id": "c", "created": 7, "model": "m", "choices": [], "usage": usage});
            let stream = Reply::stream().send(&content(said)).send(&finish("stop"));
            world.upstream.will(stream.send(&format!("data: {last}\n\ndata: [DONE]\n\n")));
            streamed(world).await;
            assert_eq!(warned(&log), expected, "a stream of {said:?}, {tokens}");

            let message = json!({"role": "assistant", "content": said});
            let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
            let reply = json!({"id": "c", "created": 7, "model": "m", "choices": [choice], "usage": usage});
            world.upstream.will(Reply::new(200, &reply.to_string()));
            world.chat_client().await.create_chat(grpc_hello()).await.unwrap();
            world.upstream.saw().await;
            assert_eq!(warned(&log), expected, "a whole of {said:?}, {tokens}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_log_has_the_words_of_a_failure_and_not_our_key() {
    let (log, _guard) = log();
    over_both_hops(async |world| {
        let words = format!("no such key: {KEY}");
        let refusal = json!({"error": {"message": words, "type": "t", "code": "invalid_api_key"}}).to_string();
        world.upstream.will(Reply::new(401, &refusal));
        world.chat_client().await.create_chat(grpc_hello()).await.unwrap_err();
        world.upstream.saw().await;
        let logged = log.take();
        let line = logged.lines().find(|line| line.contains("a provider does not accept us")).unwrap();
        assert!(line.contains("ERROR") && line.contains("no such key: ***"), "{line}");
        assert!(!logged.contains(KEY), "{logged}");
    })
    .await;
}

#[tokio::test]
async fn a_finish_reason_that_nobody_knows_is_logged_and_passed_on() {
    let (log, _guard) = log();
    over_both_hops(async |world| {
        let told =
            |log: &Log| log.take().lines().filter(|line| line.contains("for a reason that is not known")).count();
        for (reason, warned) in [("stop", 0), ("eos_token", 1)] {
            world.upstream.will(Reply::stream().send(&content("a")).send(&finish(reason)));
            let last = streamed(world).await.pop().unwrap();
            assert_eq!(last.choices[0].finish_reason.as_deref(), Some(reason));
            assert_eq!(told(&log), warned, "{reason}");

            let reply =
                crate::routing::REPLY.replace(r#""finish_reason":"stop""#, &format!(r#""finish_reason":"{reason}""#));
            world.upstream.will(Reply::new(200, &reply));
            let answer = world.chat_client().await.create_chat(grpc_hello()).await.unwrap().into_inner();
            world.upstream.saw().await;
            assert_eq!(answer.choices[0].finish_reason, reason);
            let logged = log.take();
            let line = logged.lines().find(|line| line.contains("for a reason that is not known"));
            assert_eq!(line.is_some(), warned > 0, "{logged}");
            if let Some(line) = line {
                assert!(line.contains("WARN") && line.contains(r#"finish_reason="eos_token""#), "{line}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn tool_calls_keep_their_index_and_get_one_where_they_have_none() {
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
    // Without an index a new id begins the next call, and no id goes on with the last one.
    let expected =
        [(0, "one"), (0, ""), (1, "two"), (1, ""), (5, "six"), (3, "four")].map(|(at, id)| (at, id.to_owned()));
    over_both_hops(async |world| {
        world.upstream.will(reply.clone().send(&finish("tool_calls")).send("data: [DONE]\n\n"));
        let pieces = streamed(world).await;
        let calls = pieces.into_iter().flat_map(|piece| piece.choices).filter_map(|choice| choice.delta);
        let calls = calls.flat_map(|delta| delta.tool_calls).map(|call| (call.index, call.id.unwrap_or_default()));
        assert_eq!(calls.collect::<Vec<_>>(), expected);

        world.upstream.will(reply.clone().send(&finish("tool_calls")).send("data: [DONE]\n\n"));
        let mut events = Events::of(world.chat(hello(&json!({"stream": true}))).await).rest().await;
        world.upstream.saw().await;
        assert_eq!(events.pop().unwrap(), "data: [DONE]");
        let deltas: Vec<_> =
            events.iter().map(|event| data(event)["choices"][0]["delta"]["tool_calls"].clone()).collect();
        let calls = deltas.iter().filter_map(|calls| calls.as_array()).flatten();
        let calls =
            calls.map(|call| (call["index"].as_u64().unwrap(), call["id"].as_str().unwrap_or_default().to_owned()));
        assert_eq!(calls.collect::<Vec<_>>(), expected.clone().map(|(at, id)| (u64::from(at), id)));
    })
    .await;
}
