//! Calls for a stream that the upstream answers in one piece, and streams that do not say that they are.

use core_service::chat::dialect::Dialect;
use serde_json::{Value, json};
use triptych_proto::v1 as pb;

use crate::{
    harness::{Events, MODEL, World, data, error_of, hello, over_both_hops, over_both_hops_with, soon},
    routing::{REPLY, grpc_hello, route},
    upstream::{Gate, Reply, Upstream, content, finish},
};

const SLOW_DOWN: &str = r#"{"error":{"message":"slow down","code":429}}"#;

async fn streamed(world: &World) -> reqwest::Response {
    world.chat(hello(&json!({"stream": true, "stream_options": {"include_usage": true}}))).await
}

#[tokio::test]
async fn a_model_that_only_streams_answers_whole_all_the_same() {
    const ONLY: &str = "qwq-plus";
    over_both_hops_with(
        |settings, _| {
            route(settings, None);
            settings.chat.upstreams[0].rename = [(MODEL.to_owned(), ONLY.to_owned())].into();
            settings.chat.dialect = Some(Dialect::Dashscope);
        },
        async |world| {
            let usage = json!({"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3});
            let cost = json!({"id": "up-1", "created": 17, "model": ONLY, "choices": [], "usage": usage});
            let stream = || {
                let said = Reply::stream().send(&content("Hel")).send(&content("lo")).send(&content("!"));
                said.send(&finish("stop")).send(&format!("data: {cost}\n\ndata: [DONE]\n\n"))
            };
            world.upstream.will(stream());
            let answer = world.chat(hello(&json!({}))).await;
            let reply: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
            let choice = &reply["choices"][0];
            assert_eq!((&reply["object"], &reply["model"]), (&json!("chat.completion"), &json!(MODEL)));
            assert_eq!((&choice["message"]["content"], &choice["finish_reason"]), (&json!("Hello!"), &json!("stop")));
            assert_eq!(reply["usage"], usage);
            let asked = world.upstream.saw().await.json();
            assert_eq!((&asked["stream"], &asked["model"]), (&json!(true), &json!(ONLY)));

            world.upstream.will(stream());
            let reply = world.chat_client().await.create_chat(grpc_hello()).await.unwrap().into_inner();
            assert_eq!(reply.choices[0].message.as_ref().unwrap().role, "assistant");
            world.upstream.saw().await;

            world.upstream.will(Reply::stream().send(&content("Hel")));
            let (status, error) = error_of(world.chat(hello(&json!({}))).await).await;
            assert_eq!((status.as_u16(), &error["code"]), (502, &json!("upstream_unavailable")));
            world.upstream.saw().await;
        },
    )
    .await;
}

#[tokio::test]
async fn a_whole_answer_becomes_the_stream_that_was_asked_for() {
    let call = json!({"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}});
    let message = json!({"role": "assistant", "content": "Hi", "reasoning": "hm", "tool_calls": [call]});
    let choice = json!({"index": 0, "message": message, "finish_reason": "tool_calls"});
    let usage = json!({"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3});
    let reply = json!({"id": "up-1", "created": 17, "model": "m", "choices": [choice], "usage": usage}).to_string();
    over_both_hops(async |world| {
        let gate = Gate::new();
        let answers = [
            Reply::new(200, &reply),
            Reply::new(200, "\n\n").hold(&gate).send(&format!(" {}", &reply[..20])).send(&reply[20..]),
        ];
        for answer in answers {
            gate.open();
            world.upstream.will(answer);
            let events = Events::of(streamed(world).await).rest().await;
            world.upstream.saw().await;
            assert_eq!((events.len(), events[3].as_str()), (4, "data: [DONE]"), "{events:#?}");
            let [first, last, cost] = [0, 1, 2].map(|at| data(&events[at]));
            for chunk in [&first, &last, &cost] {
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
            assert_eq!((&cost["choices"], &cost["usage"]), (&json!([]), &usage));
        }

        world.upstream.will(Reply::new(200, &reply));
        let ask = pb::StreamChatRequest { chat: grpc_hello().chat, ..pb::StreamChatRequest::default() };
        let mut pieces = world.chat_client().await.stream_chat(ask).await.unwrap().into_inner();
        let mut finished = Vec::new();
        while let Some(piece) = soon("a piece", pieces.message()).await.unwrap() {
            finished.push(piece.choices[0].finish_reason.clone());
        }
        assert_eq!(finished, [None, Some("tool_calls".to_owned())]);
        world.upstream.saw().await;
    })
    .await;
}

#[tokio::test]
async fn a_failure_in_one_piece_is_one_before_the_first_byte_and_another_upstream_answers() {
    let other = Upstream::start().await;
    over_both_hops_with(
        |settings, _| route(settings, Some(&other)),
        async |world| {
            world.upstream.will(Reply::new(200, SLOW_DOWN));
            other.will(Reply::saying(&["a"]));
            let answer = streamed(world).await;
            assert_eq!(answer.headers()["x-triptych-attempts"], "a=rate_limited,b=ok");
            assert_eq!(Events::of(answer).rest().await.last().unwrap(), "data: [DONE]");
            world.upstream.saw().await;
            other.saw().await;
        },
    )
    .await;
    over_both_hops(async |world| {
        world.upstream.will(Reply::new(200, SLOW_DOWN));
        let (status, error) = error_of(streamed(world).await).await;
        assert_eq!((status.as_u16(), &error["code"]), (429, &json!("rate_limit_exceeded")));
        assert_eq!(error["message"], "slow down");
        world.upstream.saw().await;

        let parts = REPLY.replace(r#""Hi""#, r#"[{"type":"text","text":"Hi"}]"#);
        world.upstream.will(Reply::new(200, &parts));
        let (status, error) = error_of(streamed(world).await).await;
        assert_eq!((status.as_u16(), &error["code"]), (500, &json!("upstream_unreadable")), "{error}");
        world.upstream.saw().await;
    })
    .await;
}

#[tokio::test]
async fn a_stream_is_one_whatever_it_calls_itself() {
    over_both_hops(async |world| {
        for name in ["", "text/plain", "application/json", "Text/Event-Stream; charset=utf-8"] {
            for before in ["", "\n\n", ": hello\n\n", "\u{feff}", "event: x\n"] {
                let gate = Gate::new();
                let begun = Reply::file(name, b"").send(before).send(&content("a")).hold(&gate);
                world.upstream.will(begun.send(&finish("stop")).send("data: [DONE]\n\n"));
                let mut events = Events::of(streamed(world).await);
                assert_eq!(
                    data(&events.next().await.unwrap())["choices"][0]["delta"]["content"],
                    "a",
                    "{name} {before}"
                );
                gate.open();
                assert_eq!(events.rest().await.last().unwrap(), "data: [DONE]", "{name} {before}");
                world.upstream.saw().await;
            }
        }
    })
    .await;
}
