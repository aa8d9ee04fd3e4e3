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

#[tokio::test]
async fn a_finish_reason_that_nobody_knows_is_logged_and_passed_on() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    // Holds for this thread, which is where the core's own server runs; so this one asks over gRPC alone.
    let _guard = tracing::subscriber::set_default(subscriber);
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
