//! Token usage of streamed responses. The client receives it once, in a last chunk without choices as in OpenAI's API, wherever the
//! upstream sends it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    fake_upstream::Reply,
    rest_response::{Events, error_body, event_data},
    test_server::{TestServer, chat_body, with_local_and_remote_core, within_timeout},
};

/// Returns an event with this choice, or without choices if it is null, and with a usage of this many completion tokens.
fn event(choice: &Value, tokens: Option<u64>) -> String {
    let usage =
        tokens.map(|tokens| json!({"prompt_tokens": 1, "completion_tokens": tokens, "total_tokens": tokens + 1}));
    let choices = if choice.is_null() { json!([]) } else { json!([choice]) };
    format!("data: {}\n\n", json!({"id": "c", "created": 7, "model": "m", "choices": choices, "usage": usage}))
}

fn content_choice(text: &str) -> Value {
    json!({"index": 0, "delta": {"content": text}, "finish_reason": null})
}

fn finish_choice() -> Value {
    json!({"index": 0, "delta": {}, "finish_reason": "stop"})
}

/// Streams these events with these `stream_options`, and returns for each chunk whether it has a choice, and its
/// `usage.completion_tokens`: `None` without a usage, null if the usage is null.
async fn usage_of_chunks(server: &TestServer, events: &[String], options: &Value) -> Vec<(bool, Option<Value>)> {
    let reply = events.iter().fold(Reply::stream(), |reply, event| reply.send(event));
    server.upstream.enqueue(reply.send("data: [DONE]\n\n"));
    let response = server.chat(chat_body(&json!({"stream": true, "stream_options": options}))).await;
    let mut events = Events::new(response).read_all().await;
    server.upstream.received().await;
    assert_eq!(events.pop().unwrap(), "data: [DONE]");
    let usage = |event: &String| {
        let chunk = event_data(event);
        let tokens = chunk.get("usage").map(|usage| usage["completion_tokens"].clone());
        (chunk["choices"] != json!([]), tokens)
    };
    events.iter().map(usage).collect()
}

#[tokio::test]
async fn include_usage_sends_usage_once_in_the_last_chunk() {
    let streams = [
        // In a chunk of its own, as OpenAI sends it.
        vec![
            event(&content_choice("a"), None),
            event(&content_choice("b"), None),
            event(&finish_choice(), None),
            event(&json!(null), Some(2)),
        ],
        // With the finish reason; after it, in a chunk with an empty choice; and in the middle.
        vec![event(&content_choice("a"), None), event(&content_choice("b"), None), event(&finish_choice(), Some(2))],
        vec![event(&content_choice("a"), None), event(&finish_choice(), None), event(&content_choice(""), Some(2))],
        vec![
            event(&content_choice("a"), None),
            event(&json!(null), Some(2)),
            event(&content_choice("b"), None),
            event(&finish_choice(), None),
        ],
        // In every chunk, with and without one more at the end.
        vec![
            event(&content_choice("a"), Some(1)),
            event(&content_choice("b"), Some(2)),
            event(&finish_choice(), Some(2)),
            event(&json!(null), Some(2)),
        ],
        vec![
            event(&content_choice("a"), Some(1)),
            event(&content_choice("b"), Some(2)),
            event(&finish_choice(), Some(2)),
        ],
        // The same in every chunk: chunks that repeat the last one take a faster path.
        vec![
            event(&content_choice("a"), Some(2)),
            event(&content_choice("b"), Some(2)),
            event(&content_choice("c"), Some(2)),
            event(&finish_choice(), Some(2)),
        ],
    ];
    with_local_and_remote_core(async |server| {
        for events in &streams {
            let mut chunks = usage_of_chunks(server, events, &json!({"include_usage": true})).await;
            assert_eq!(chunks.pop(), Some((false, Some(json!(2)))), "{events:#?}");
            assert!(chunks.len() >= 2, "{events:#?}");
            assert!(chunks.iter().all(|chunk| *chunk == (true, Some(Value::Null))), "{events:#?}: {chunks:#?}");
        }
    })
    .await;
}

#[tokio::test]
async fn chunk_without_a_choice_is_dropped_unless_usage_is_requested() {
    let with_finish = [event(&content_choice("a"), None), event(&finish_choice(), Some(2))];
    let separate = [event(&content_choice("a"), None), event(&finish_choice(), None), event(&json!(null), Some(2))];
    with_local_and_remote_core(async |server| {
        for options in [json!(null), json!({}), json!({"include_usage": false})] {
            let chunks = usage_of_chunks(server, &with_finish, &options).await;
            assert_eq!(chunks, [(true, None), (true, Some(json!(2)))], "{options}");
            assert_eq!(usage_of_chunks(server, &separate, &options).await, [(true, None), (true, None)], "{options}");
        }
    })
    .await;
}

#[tokio::test]
async fn usage_is_requested_from_the_upstream_without_keys_and_prices_and_listed_but_not_sent() {
    let requests = [
        (json!({"stream": true}), json!({"include_usage": true})),
        (json!({"stream": true, "stream_options": {"include_usage": false}}), json!({"include_usage": true})),
        (
            json!({"stream": true, "stream_options": {"include_obfuscation": false}}),
            json!({"include_usage": true, "include_obfuscation": false}),
        ),
    ];
    with_local_and_remote_core(async |server| {
        for (members, options) in &requests {
            let reply = Reply::stream().send(&event(&content_choice("a"), None)).send(&event(&finish_choice(), None));
            server.upstream.enqueue(reply.send(&event(&json!(null), Some(70))).send("data: [DONE]\n\n"));
            let events = Events::new(server.chat(chat_body(members)).await).read_all().await;
            assert_eq!(&server.upstream.received().await.json()["stream_options"], options, "{members}");
            assert!(events.len() == 3 && events.iter().all(|event| !event.contains("usage")), "{events:#?}");
        }
        // Written with a delay.
        within_timeout("the usage", async {
            loop {
                let response = server.request(Method::GET, "/v1/usage?group_by=key").send().await.unwrap();
                let usage: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
                let row = &usage["data"][0];
                if row["calls"] == 3 {
                    let tokens = (&row["input_tokens"], &row["output_tokens"]);
                    assert_eq!(tokens, (&json!(3), &json!(210)), "not estimated by the text: {usage}");
                    break;
                }
            }
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn upstream_that_refuses_stream_options_is_asked_again_without_and_remembered_for_the_model() {
    // As Mistral refuses it.
    let detail = json!([{"type": "extra_forbidden", "loc": ["body", "stream_options", "include_usage"], "msg": "Extra inputs are not permitted"}]);
    let refusal =
        json!({"object": "error", "message": {"detail": detail}, "type": "invalid_request_error", "param": null});
    with_local_and_remote_core(async |server| {
        let stream = || {
            let reply = Reply::stream().send(&event(&content_choice("a"), None)).send(&event(&finish_choice(), None));
            reply.send("data: [DONE]\n\n")
        };
        server.upstream.enqueue(Reply::new(422, &refusal.to_string()));
        server.upstream.enqueue(stream());
        server.upstream.enqueue(stream());
        for expected in [&[true, false][..], &[false]] {
            let events = Events::new(server.chat(chat_body(&json!({"stream": true}))).await).read_all().await;
            assert_eq!(events.len(), 3, "{events:#?}");
            for has_options in expected {
                let request = server.upstream.received().await.json();
                assert_eq!(request.get("stream_options").is_some(), *has_options, "{request}");
            }
        }
        // Options of the client are sent, and their refusal is an error, as any other.
        let options = json!({"stream": true, "stream_options": {"include_usage": null, "unknown": 1}});
        server.upstream.enqueue(Reply::new(422, &refusal.to_string()));
        let (status, error) = error_body(server.chat(chat_body(&options)).await).await;
        assert_eq!((status.as_u16(), &error["param"]), (400, &json!("stream_options.include_usage")));
        let sent = server.upstream.received().await.json();
        assert_eq!(sent["stream_options"], json!({"include_usage": true, "unknown": 1}));
    })
    .await;
}

#[tokio::test]
async fn continuous_usage_stats_sends_usage_in_every_chunk_and_at_the_end() {
    let events = [event(&content_choice("a"), Some(1)), event(&finish_choice(), Some(2))];
    let options = json!({"include_usage": true, "continuous_usage_stats": true});
    with_local_and_remote_core(async |server| {
        let chunks = usage_of_chunks(server, &events, &options).await;
        assert_eq!(chunks, [(true, Some(json!(1))), (true, Some(json!(2))), (false, Some(json!(2)))]);
    })
    .await;
}

#[tokio::test]
async fn unknown_members_of_the_usage_chunk_are_kept() {
    let last = r#"data: {"id":"c","created":7,"model":"m","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"cost":0.10},"timings":{"z":1,"a":2}}"#;
    with_local_and_remote_core(async |server| {
        let reply = Reply::stream().send(&event(&content_choice("a"), None)).send(&event(&finish_choice(), None));
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
