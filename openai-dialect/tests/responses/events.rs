//! The events of texts, reasoning and refusals, in full. An expected line is an event in short form: its name, its positions (of the item
//! in the output, of the part in the item), and what it adds.

use serde_json::{Value, json};

use crate::upstream::{CREATED_AT, ID, NOW, checked, hello, stream, stream_chunks};

#[test]
fn text_has_the_events_of_one_message() {
    let deltas = [json!({"role": "assistant", "content": ""}), json!({"content": "Hel"}), json!({"content": "lo"})];
    let (events, response) = stream(&hello(), &deltas, "stop");
    assert_eq!(
        checked(&events, &response),
        [
            "created in_progress",
            "in_progress in_progress",
            "output_item.added 0 message in_progress",
            "content_part.added 0 0 output_text",
            "output_text.delta 0 0 Hel",
            "output_text.delta 0 0 lo",
            "output_text.done 0 0 Hello",
            "content_part.done 0 0 output_text",
            "output_item.done 0 message completed",
            "completed completed",
        ]
    );
    let digits = ID.strip_prefix("resp_").unwrap();
    let message = format!("msg_{digits}10000");
    let delta: Value = serde_json::from_str(&events[4].data).unwrap();
    let expected = json!({
        "type": "response.output_text.delta", "sequence_number": 4, "item_id": message, "output_index": 0,
        "content_index": 0, "delta": "Hel", "logprobs": [],
    });
    assert_eq!(delta, expected);
    let part = json!({"type": "output_text", "annotations": [], "logprobs": [], "text": "Hello"});
    let item = json!({"id": message, "type": "message", "status": "completed", "content": [part], "role": "assistant"});
    let expected = json!({
        "id": ID, "object": "response", "created_at": CREATED_AT, "status": "completed", "background": false,
        "completed_at": NOW, "error": null, "incomplete_details": null, "instructions": null,
        "max_output_tokens": null, "max_tool_calls": null, "model": "public", "output": [item],
        "parallel_tool_calls": true, "previous_response_id": null, "prompt_cache_key": null,
        "reasoning": {"effort": null, "summary": null}, "safety_identifier": null, "service_tier": null, "store": true,
        "temperature": null, "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [],
        "top_logprobs": 0, "top_p": null, "truncation": "disabled",
        "usage": {
            "input_tokens": 10, "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
            "output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 15,
        },
        "metadata": {},
    });
    assert_eq!(response, expected);
    let last: Value = serde_json::from_str(&events[9].data).unwrap();
    assert_eq!(last["response"], response);
}

#[test]
fn reasoning_precedes_the_text() {
    let deltas = [json!({"reasoning_content": "h"}), json!({"reasoning_content": "m"}), json!({"content": "Yes"})];
    let (events, response) = stream(&hello(), &deltas, "stop");
    let expected = [
        "created in_progress",
        "in_progress in_progress",
        "output_item.added 0 reasoning in_progress",
        "content_part.added 0 0 reasoning_text",
        "reasoning_text.delta 0 0 h",
        "reasoning_text.delta 0 0 m",
        "reasoning_text.done 0 0 hm",
        "content_part.done 0 0 reasoning_text",
        "output_item.done 0 reasoning completed",
        "output_item.added 1 message in_progress",
        "content_part.added 1 0 output_text",
        "output_text.delta 1 0 Yes",
        "output_text.done 1 0 Yes",
        "content_part.done 1 0 output_text",
        "output_item.done 1 message completed",
        "completed completed",
    ];
    assert_eq!(checked(&events, &response), expected);
    assert_eq!(response["output"][0]["content"], json!([{"type": "reasoning_text", "text": "hm"}]));

    let document = json!({"input": "Hi", "reasoning": {"summary": "auto"}});
    let (events, response) = stream(&document, &deltas, "stop");
    let events = checked(&events, &response);
    assert_eq!(
        events[2..9],
        [
            "output_item.added 0 reasoning in_progress",
            "reasoning_summary_part.added 0 0 summary_text",
            "reasoning_summary_text.delta 0 0 h",
            "reasoning_summary_text.delta 0 0 m",
            "reasoning_summary_text.done 0 0 hm",
            "reasoning_summary_part.done 0 0 summary_text",
            "output_item.done 0 reasoning completed",
        ]
    );
    assert_eq!(response["output"][0]["summary"], json!([{"type": "summary_text", "text": "hm"}]));
    assert_eq!(response["output"][0].get("content"), None);
}

#[test]
fn refusal_is_a_part_of_the_message() {
    let (events, response) = stream(&hello(), &[json!({"refusal": "I "}), json!({"refusal": "won't"})], "stop");
    assert_eq!(
        checked(&events, &response)[2..],
        [
            "output_item.added 0 message in_progress",
            "content_part.added 0 0 refusal",
            "refusal.delta 0 0 I ",
            "refusal.delta 0 0 won't",
            "refusal.done 0 0 I won't",
            "content_part.done 0 0 refusal",
            "output_item.done 0 message completed",
            "completed completed",
        ]
    );
    let (events, response) = stream(&hello(), &[json!({"content": "Well"}), json!({"refusal": "no"})], "stop");
    checked(&events, &response);
    let kinds: Vec<_> = response["output"][0]["content"].as_array().unwrap().iter().map(|part| &part["type"]).collect();
    assert_eq!(kinds, ["output_text", "refusal"]);
}

#[test]
fn log_probabilities_are_in_events_and_parts() {
    let document = json!({"input": "Hi", "include": ["message.output_text.logprobs"], "top_logprobs": 1});
    let token =
        json!({"token": "Hé", "logprob": -0.5, "top_logprobs": [{"token": "Hé", "logprob": -0.5, "bytes": [1]}]});
    let chunk = json!({"choices": [{"index": 0, "delta": {"content": "Hé"}, "logprobs": {"content": [token]}}]});
    let (events, response) = stream_chunks(&document, &[chunk.clone(), chunk.clone()]);
    checked(&events, &response);
    let delta: Value = serde_json::from_str(&events[4].data).unwrap();
    let top = json!([{"token": "Hé", "logprob": -0.5}]);
    assert_eq!(delta["logprobs"], json!([{"token": "Hé", "logprob": -0.5, "top_logprobs": top}]));
    let logprobs = response["output"][0]["content"][0]["logprobs"].as_array().unwrap();
    let top = json!([{"token": "Hé", "logprob": -0.5, "bytes": [1]}]);
    let expected = json!({"token": "Hé", "logprob": -0.5, "bytes": [72, 195, 169], "top_logprobs": top});
    assert_eq!(logprobs, &[expected.clone(), expected]);
    assert_eq!(response["usage"], Value::Null);
    let (_, response) = stream_chunks(&hello(), &[chunk]);
    assert_eq!(response["output"][0]["content"][0]["logprobs"], json!([]));
}

#[test]
fn encrypted_reasoning_is_returned_and_sent_back() {
    let document = json!({"input": "Hi", "include": ["reasoning.encrypted_content"]});
    let details = |more: &str| json!({"reasoning_details": [{"type": "reasoning.encrypted", "data": more, "x": 1.50}]});
    let deltas = [json!({"reasoning": "hm"}), details("a"), details("b"), json!({"content": "Yes"})];
    let (events, response) = stream(&document, &deltas, "stop");
    checked(&events, &response);
    let reasoning = &response["output"][0];
    let details = [details("a")["reasoning_details"][0].clone(), details("b")["reasoning_details"][0].clone()];
    let encrypted: Value = serde_json::from_str(reasoning["encrypted_content"].as_str().unwrap()).unwrap();
    assert_eq!(encrypted, json!(details));
    let next = json!({"input": [reasoning, response["output"][1]]});
    let chat = crate::upstream::chat(&next);
    let message =
        json!({"role": "assistant", "content": "Yes", "reasoning_content": "hm", "reasoning_details": details});
    assert_eq!(chat["messages"], json!([message]));
    let foreign =
        json!({"input": [{"type": "reasoning", "summary": [], "encrypted_content": "gAAAA"}, response["output"][1]]});
    assert_eq!(crate::upstream::chat(&foreign)["messages"], json!([{"role": "assistant", "content": "Yes"}]));
}
