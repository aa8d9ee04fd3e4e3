//! What a streamed response cost: told once, where clients look for it, wherever the upstream tells it.

use serde_json::{Value, json};

use crate::{
    fake_upstream::Reply,
    responses::{Events, event_data},
    test_server::{TestServer, chat_body, over_both_hops},
};

/// An event with a choice, or with none where that is null, and what it says of the usage so far.
fn event(choice: &Value, tokens: Option<u64>) -> String {
    let usage =
        tokens.map(|tokens| json!({"prompt_tokens": 1, "completion_tokens": tokens, "total_tokens": tokens + 1}));
    let choices = if choice.is_null() { json!([]) } else { json!([choice]) };
    format!("data: {}\n\n", json!({"id": "c", "created": 7, "model": "m", "choices": choices, "usage": usage}))
}

fn says(text: &str) -> Value {
    json!({"index": 0, "delta": {"content": text}, "finish_reason": null})
}

fn stops() -> Value {
    json!({"index": 0, "delta": {}, "finish_reason": "stop"})
}

/// Of each chunk: whether it has a choice, and what it says of the usage, if it has the member.
async fn told(server: &TestServer, events: &[String], options: &Value) -> Vec<(bool, Option<Value>)> {
    let reply = events.iter().fold(Reply::stream(), |reply, event| reply.send(event));
    server.upstream.enqueue(reply.send("data: [DONE]\n\n"));
    let response = server.chat(chat_body(&json!({"stream": true, "stream_options": options}))).await;
    let mut events = Events::new(response).read_all().await;
    server.upstream.received().await;
    assert_eq!(events.pop().unwrap(), "data: [DONE]");
    let seen = |event: &String| {
        let chunk = event_data(event);
        let tokens = chunk.get("usage").map(|usage| usage["completion_tokens"].clone());
        (chunk["choices"] != json!([]), tokens)
    };
    events.iter().map(seen).collect()
}

#[tokio::test]
async fn whoever_asks_is_told_once_and_behind_everything_else() {
    let streams = [
        // In a chunk of its own, as OpenAI tells it.
        vec![event(&says("a"), None), event(&says("b"), None), event(&stops(), None), event(&json!(null), Some(2))],
        // With the last words; behind the end, beside an empty choice; and in the middle.
        vec![event(&says("a"), None), event(&says("b"), None), event(&stops(), Some(2))],
        vec![event(&says("a"), None), event(&stops(), None), event(&says(""), Some(2))],
        vec![event(&says("a"), None), event(&json!(null), Some(2)), event(&says("b"), None), event(&stops(), None)],
        // In every chunk, with and without one more.
        vec![
            event(&says("a"), Some(1)),
            event(&says("b"), Some(2)),
            event(&stops(), Some(2)),
            event(&json!(null), Some(2)),
        ],
        vec![event(&says("a"), Some(1)), event(&says("b"), Some(2)), event(&stops(), Some(2))],
        // The same in every chunk: those that repeat are passed on by a shorter way.
        vec![
            event(&says("a"), Some(2)),
            event(&says("b"), Some(2)),
            event(&says("c"), Some(2)),
            event(&stops(), Some(2)),
        ],
    ];
    over_both_hops(async |server| {
        for events in &streams {
            let mut seen = told(server, events, &json!({"include_usage": true})).await;
            assert_eq!(seen.pop(), Some((false, Some(json!(2)))), "{events:#?}");
            assert!(seen.len() >= 2, "{events:#?}");
            assert!(seen.iter().all(|chunk| *chunk == (true, Some(Value::Null))), "{events:#?}: {seen:#?}");
        }
    })
    .await;
}

#[tokio::test]
async fn whoever_does_not_ask_gets_no_piece_without_a_choice() {
    let beside = [event(&says("a"), None), event(&stops(), Some(2))];
    let apart = [event(&says("a"), None), event(&stops(), None), event(&json!(null), Some(2))];
    over_both_hops(async |server| {
        for options in [json!(null), json!({}), json!({"include_usage": false})] {
            let seen = told(server, &beside, &options).await;
            assert_eq!(seen, [(true, None), (true, Some(json!(2)))], "{options}");
            assert_eq!(told(server, &apart, &options).await, [(true, None), (true, None)], "{options}");
        }
    })
    .await;
}

#[tokio::test]
async fn whoever_asks_for_it_in_every_piece_has_it_there_and_at_the_end() {
    let events = [event(&says("a"), Some(1)), event(&stops(), Some(2))];
    let options = json!({"include_usage": true, "continuous_usage_stats": true});
    over_both_hops(async |server| {
        let seen = told(server, &events, &options).await;
        assert_eq!(seen, [(true, Some(json!(1))), (true, Some(json!(2))), (false, Some(json!(2)))]);
    })
    .await;
}

#[tokio::test]
async fn what_an_upstream_says_beside_the_usage_is_kept() {
    let last = r#"data: {"id":"c","created":7,"model":"m","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"cost":0.10},"timings":{"z":1,"a":2}}"#;
    over_both_hops(async |server| {
        let reply = Reply::stream().send(&event(&says("a"), None)).send(&event(&stops(), None));
        server.upstream.enqueue(reply.send(&format!("{last}\n\ndata: [DONE]\n\n")));
        let options = json!({"stream": true, "stream_options": {"include_usage": true}});
        let events = Events::new(server.chat(chat_body(&options)).await).read_all().await;
        server.upstream.received().await;
        assert!(
            events[2].contains(r#""cost":0.10"#) && events[2].contains(r#""timings":{"z":1,"a":2}"#),
            "{events:#?}"
        );
    })
    .await;
}
