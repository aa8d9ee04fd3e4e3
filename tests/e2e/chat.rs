//! Conversations through both doors and over both hops, as the upstream sees them and as the caller does.

use futures_util::StreamExt;
use serde_json::{Value, json};
use tonic::{Code, Request};
use triptych_proto::v1::{self as pb, chat_message::Content};

use crate::{
    harness::{Events, MODEL, data, hello, over_both_hops, soon},
    upstream::{Gate, Reply, content, finish},
};

/// A reply in the upstream's dialect that uses what few servers send.
const RICH_REPLY: &str = r#"{"id":"up-1","object":"chat.completion","created":17,"model":"someone-elses-name","x_trace":{"z":1,"a":[1E400,12345678901234567890123]},"choices":[{"index":0,"message":{"role":"assistant","content":"Hi","refusal":null,"annotations":[{"type":"url_citation"}]},"logprobs":null,"finish_reason":"stop","x_seconds":0.10}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,"x_cost":"0.001"}}"#;

fn grpc_hello() -> pb::ChatRequest {
    let message = pb::ChatMessage {
        role: "user".to_owned(),
        content: Some(Content::Text("Hello".to_owned())),
        ..pb::ChatMessage::default()
    };
    pb::ChatRequest { messages: vec![message], ..pb::ChatRequest::default() }
}

#[tokio::test]
async fn what_a_caller_sends_reaches_the_upstream_whole() {
    let sent = r#"{"model":"scripted-1","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":[{"type":"text","text":"é世\n"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AA==","detail":"low","x_crop":[1,2]}},{"type":"x_point_cloud","points":[0.10,1e3]}],"x_mood":null}],"tools":[{"type":"function","function":{"name":"look","description":"d","parameters":{"type":"object","properties":{"zebra":{"type":"integer","maximum":12345678901234567890123},"apple":{"type":"string"}},"required":["zebra"]},"strict":true}}],"temperature":0.7,"seed":-5,"stop":["END"],"logit_bias":{"50256":-100.0},"metadata":{"a":"b"},"top_k":40,"x_huge":1E400,"x_nothing":null,"x_order":{"b":1,"a":2}}"#;
    over_both_hops(async |world| {
        world.upstream.will(Reply::new(200, RICH_REPLY));
        let answer = world.chat(sent).await;
        assert_eq!(answer.status(), 200);
        let seen = world.upstream.saw().await;
        assert!(seen.head.starts_with("post /v1/chat/completions http/1.1"), "{}", seen.head);
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
            assert!(seen.text().contains(fragment), "{fragment} is not in {}", seen.text());
        }
        let without_huge = |text: &str| -> Value { serde_json::from_str(&text.replace("1E400", "1")).unwrap() };
        assert_eq!(without_huge(seen.text()), without_huge(sent));
    })
    .await;
}

#[tokio::test]
async fn what_the_upstream_answers_reaches_the_caller_whole_under_the_public_name() {
    over_both_hops(async |world| {
        world.upstream.will(Reply::new(200, RICH_REPLY));
        let answer = world.chat(hello(&json!({}))).await;
        assert_eq!(answer.headers()["content-type"], "application/json");
        let text = answer.text().await.unwrap();
        world.upstream.saw().await;
        for fragment in [
            r#""x_trace":{"z":1,"a":[1E400,12345678901234567890123]}"#,
            r#""annotations":[{"type":"url_citation"}]"#,
            r#""x_seconds":0.10"#,
            r#""x_cost":"0.001""#,
            r#""refusal":null"#,
            r#""logprobs":null"#,
        ] {
            assert!(text.contains(fragment), "{fragment} is not in {text}");
        }
        let reply: Value = serde_json::from_str(&text.replace("1E400", "1")).unwrap();
        assert_eq!((&reply["id"], &reply["created"], &reply["model"]), (&json!("up-1"), &json!(17), &json!(MODEL)));
        assert_eq!(reply["choices"][0]["message"]["content"], "Hi");
        assert_eq!(reply["usage"]["total_tokens"], 5);
    })
    .await;
}

#[tokio::test]
async fn the_callers_id_and_idempotency_key_go_along_and_the_callers_key_does_not() {
    over_both_hops(async |world| {
        world.upstream.will(Reply::new(200, RICH_REPLY));
        let request = world.request(reqwest::Method::POST, "/v1/chat/completions");
        let request = request.header("x-request-id", "trace-7").header("idempotency-key", "once").bearer_auth("mine");
        let answer = soon("an answer", request.body(hello(&json!({}))).send()).await.unwrap();
        assert_eq!(answer.headers()["x-request-id"], "trace-7");
        let head = world.upstream.saw().await.head;
        for line in ["x-request-id: trace-7", "idempotency-key: once", "authorization: bearer upstream-secret"] {
            assert!(head.contains(line), "{line} is not in {head}");
        }
        assert!(!head.contains("mine"), "{head}");
    })
    .await;
}

#[tokio::test]
async fn a_tool_call_makes_the_round_trip() {
    let called = r#"{"id":"u","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"look","arguments":"{\"at\": 1.0}"}}]},"finish_reason":"tool_calls"}]}"#;
    let history = json!([
        {"role": "user", "content": "Look"},
        {"role": "assistant", "content": null, "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{\"at\": 1.0}"}}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "seen"},
    ]);
    over_both_hops(async |world| {
        world.upstream.will(Reply::new(200, called));
        let choice = json!({"type": "function", "function": {"name": "look"}});
        let tools = json!({"tools": [{"type": "function", "function": {"name": "look"}}], "tool_choice": choice, "parallel_tool_calls": false});
        let reply: Value = serde_json::from_str(&world.chat(hello(&tools)).await.text().await.unwrap()).unwrap();
        assert_eq!(reply["choices"][0]["message"]["content"], Value::Null);
        assert_eq!(reply["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"], "{\"at\": 1.0}");
        assert_eq!(reply["choices"][0]["finish_reason"], "tool_calls");
        let seen = world.upstream.saw().await.json();
        assert_eq!((&seen["tool_choice"], &seen["parallel_tool_calls"]), (&choice, &json!(false)));

        world.upstream.will(Reply::new(200, RICH_REPLY));
        assert_eq!(world.chat(hello(&json!({"messages": history}))).await.status(), 200);
        assert_eq!(world.upstream.saw().await.json()["messages"], history);
    })
    .await;
}

#[tokio::test]
async fn each_chunk_is_passed_on_when_it_comes_even_torn_within_a_character() {
    over_both_hops(async |world| {
        let (gate, torn) = (Gate::new(), content("é世"));
        // The events are plain ASCII outside the text, so this cuts the text's last character in two.
        let middle = torn.find('世').unwrap() + 3;
        let head = &torn.as_bytes()[..middle];
        let reply = Reply::stream().send(&content("a")).hold(&gate);
        let reply =
            reply.send_bytes(&head[..middle - 1]).hold(&gate).send_bytes(&torn.as_bytes()[middle - 1..]).hold(&gate);
        world.upstream.will(reply.send(&finish("stop")).send("data: [DONE]\n\n"));

        let mut events = Events::of(world.chat(hello(&json!({"stream": true}))).await);
        let said = |event: Option<String>| data(&event.unwrap())["choices"][0]["delta"]["content"].clone();
        assert_eq!(said(events.next().await), "a");
        gate.open();
        gate.open();
        assert_eq!(said(events.next().await), "é世");
        gate.open();
        let last = data(&events.next().await.unwrap());
        assert_eq!(last["choices"][0]["finish_reason"], "stop");
        assert_eq!(events.rest().await, ["data: [DONE]"]);
        assert_eq!(world.upstream.saw().await.json()["stream"], true);
    })
    .await;
}

#[tokio::test]
async fn chunks_keep_their_members_and_share_the_replys_name() {
    let first = r#"{"id":"up-9","object":"chat.completion.chunk","created":3,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"","x_d":1E400},"finish_reason":null}],"x_c":{"b":1,"a":2}}"#;
    let second = r#"{"id":"other","object":"chat.completion.chunk","created":4,"model":"n","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"t","type":"function","function":{"name":"f","arguments":""}}]},"finish_reason":null}]}"#;
    let last = r#"{"id":"up-9","object":"chat.completion.chunk","created":3,"model":"m","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#;
    over_both_hops(async |world| {
        let reply =
            [first, second].iter().fold(Reply::stream(), |reply, data| reply.send(&format!("data: {data}\n\n")));
        world.upstream.will(reply.send(&finish("tool_calls")).send(&format!("data: {last}\n\ndata: [DONE]\n\n")));
        let body = hello(&json!({"stream": true, "stream_options": {"include_usage": true}}));
        let events = Events::of(world.chat(body).await).rest().await;
        assert_eq!(world.upstream.saw().await.json()["stream_options"], json!({"include_usage": true}));
        assert_eq!(events.len(), 5, "{events:#?}");
        assert!(events[0].contains(r#""x_d":1E400"#) && events[0].contains(r#""x_c":{"b":1,"a":2}"#), "{}", events[0]);
        for event in &events[..4] {
            let chunk: Value = serde_json::from_str(&event.replace("1E400", "1")["data: ".len()..]).unwrap();
            assert_eq!((&chunk["id"], &chunk["created"], &chunk["model"]), (&json!("up-9"), &json!(3), &json!(MODEL)));
            assert!(chunk.get("error").is_none(), "{chunk}");
        }
        assert_eq!(data(&events[1])["choices"][0]["delta"]["tool_calls"][0]["id"], "t");
        assert_eq!((&data(&events[3])["choices"], &data(&events[3])["usage"]["total_tokens"]), (&json!([]), &json!(3)));
        assert_eq!(events[4], "data: [DONE]");
    })
    .await;
}

#[tokio::test]
async fn a_failure_within_a_stream_is_its_last_event_and_no_done_follows() {
    let error = r#"{"message":"the GPU is on fire","type":"server_error","code":500}"#;
    let broken = [
        Reply::stream().send(&content("a")).send(&format!("data: {{\"error\":{error}}}\n\n")).stall(),
        Reply::stream().send(&content("a")).send(&format!("error: {error}\n\n")).stall(),
        Reply::stream().send(&content("a")).send("data: this is no JSON\n\n").stall(),
        Reply::stream().send(&content("a")).send(&finish("abort")).stall(),
        // Ends without a finish reason, politely, with [DONE], and not.
        Reply::stream().send(&content("a")),
        Reply::stream().send(&content("a")).send("data: [DONE]\n\n"),
        Reply::stream().send(&content("a")).cut(),
    ];
    over_both_hops(async |world| {
        for reply in &broken {
            world.upstream.will(reply.clone());
            let events = Events::of(world.chat(hello(&json!({"stream": true}))).await).rest().await;
            world.upstream.saw().await;
            assert_eq!(events.len(), 2, "{reply:?}: {events:#?}");
            assert_eq!(data(&events[0])["choices"][0]["delta"]["content"], "a");
            let error = &data(&events[1])["error"];
            assert!(error["message"].is_string() && error["type"] == "server_error", "{reply:?}: {events:#?}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_upstream_that_breaks_after_the_finish_reason_has_said_enough() {
    over_both_hops(async |world| {
        world.upstream.will(Reply::stream().send(&content("a")).send(&finish("stop")).cut());
        let events = Events::of(world.chat(hello(&json!({"stream": true}))).await).rest().await;
        world.upstream.saw().await;
        assert_eq!(events.last().map(String::as_str), Some("data: [DONE]"), "{events:#?}");
    })
    .await;
}

#[tokio::test]
async fn a_caller_who_leaves_a_stream_frees_the_upstream() {
    over_both_hops(async |world| {
        world.upstream.will(Reply::stream().send(&content("a")).stall());
        let mut events = Events::of(world.chat(hello(&json!({"stream": true}))).await);
        assert!(events.next().await.unwrap().contains("\"a\""));
        world.upstream.saw().await;
        drop(events);
        world.upstream.was_left().await;
    })
    .await;
}

#[tokio::test]
async fn a_caller_who_leaves_before_the_answer_frees_the_upstream() {
    over_both_hops(async |world| {
        for stream in [false, true] {
            world.upstream.will(Reply::silence());
            let body = hello(&json!({"stream": stream}));
            let asking = world.request(reqwest::Method::POST, "/v1/chat/completions").body(body).send();
            tokio::select! {
                answer = asking => panic!("{answer:?}"),
                _ = world.upstream.saw() => {}
            }
            world.upstream.was_left().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_deadline_that_passes_is_a_504_and_frees_the_upstream() {
    over_both_hops(async |world| {
        for stream in [false, true] {
            world.upstream.will(Reply::silence());
            let request = world.request(reqwest::Method::POST, "/v1/chat/completions");
            let request = request.header("x-request-timeout-ms", "50").body(hello(&json!({"stream": stream})));
            let answer = soon("an answer", request.send()).await.unwrap();
            let (status, error) = crate::harness::error_of(answer).await;
            assert_eq!((status.as_u16(), &error["code"]), (504, &json!("upstream_timeout")), "{error}");
            world.upstream.saw().await;
            world.upstream.was_left().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_deadline_that_passes_within_a_stream_is_its_last_event() {
    over_both_hops(async |world| {
        world.upstream.will(Reply::stream().send(&content("a")).stall());
        let request = world.request(reqwest::Method::POST, "/v1/chat/completions");
        // Long enough for the first piece on a busy machine.
        let request = request.header("x-request-timeout-ms", "3000").body(hello(&json!({"stream": true})));
        let events = Events::of(soon("an answer", request.send()).await.unwrap()).rest().await;
        world.upstream.saw().await;
        assert_eq!(data(events.last().unwrap())["error"]["code"], "upstream_timeout", "{events:#?}");
        world.upstream.was_left().await;
    })
    .await;
}

#[tokio::test]
async fn the_grpc_door_says_the_same_whole_and_in_pieces() {
    over_both_hops(async |world| {
        let mut client = world.chat_client().await;
        world.upstream.will(Reply::new(200, RICH_REPLY));
        let ask = pb::CreateChatRequest { chat: Some(grpc_hello()), ..pb::CreateChatRequest::default() };
        let reply = client.create_chat(ask).await.unwrap().into_inner();
        assert_eq!((reply.id.as_str(), reply.model.as_str()), ("up-1", MODEL));
        assert_eq!(reply.extra_json, r#"{"x_trace":{"z":1,"a":[1E400,12345678901234567890123]}}"#);
        let message = reply.choices[0].message.clone().unwrap();
        assert_eq!(message.content, Some(Content::Text("Hi".to_owned())));
        assert_eq!(world.upstream.saw().await.json()["model"], MODEL);

        world.upstream.will(Reply::saying(&["a", "b"]));
        let ask = pb::StreamChatRequest { chat: Some(grpc_hello()), ..pb::StreamChatRequest::default() };
        let pieces: Vec<_> = client.stream_chat(ask).await.unwrap().into_inner().collect().await;
        world.upstream.saw().await;
        let pieces: Vec<_> = pieces.into_iter().map(|piece| piece.unwrap().choices.remove(0)).collect();
        let said: Vec<_> = pieces.iter().filter_map(|choice| choice.delta.clone()?.content).collect();
        assert_eq!(said, ["a", "b"]);
        assert_eq!(pieces.last().unwrap().finish_reason.as_deref(), Some("stop"));
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_or_overdue_grpc_call_frees_the_upstream() {
    over_both_hops(async |world| {
        let mut client = world.chat_client().await;
        let ask = || pb::StreamChatRequest { chat: Some(grpc_hello()), ..pb::StreamChatRequest::default() };
        world.upstream.will(Reply::stream().send(&content("a")).stall());
        let mut pieces = client.stream_chat(ask()).await.unwrap().into_inner();
        assert!(pieces.next().await.unwrap().is_ok());
        world.upstream.saw().await;
        drop(pieces);
        world.upstream.was_left().await;

        world.upstream.will(Reply::silence());
        let mut overdue = Request::new(ask());
        overdue.set_timeout(std::time::Duration::from_millis(50));
        let status = soon("the deadline", client.stream_chat(overdue)).await.unwrap_err();
        // The client's own timer may be the first to notice, and calls it CANCELLED.
        assert!(matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled), "{status:?}");
        world.upstream.saw().await;
        world.upstream.was_left().await;
    })
    .await;
}
