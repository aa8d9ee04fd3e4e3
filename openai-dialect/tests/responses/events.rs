//! The events of every kind of response, in full.

use serde_json::{Value, json};

use crate::upstream::{
    CREATED_AT, ID, NOW, checked, completion, delta, end, read, request, stream, stream_chunks, writer,
};

fn hello() -> Value {
    json!({"model": "public", "input": "Hi"})
}

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

fn call(index: u32, id: &str, name: &str, arguments: &str) -> Value {
    json!({"tool_calls": [
        {"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
    ]})
}

fn more(index: u32, arguments: &str) -> Value {
    json!({"tool_calls": [{"index": index, "function": {"arguments": arguments}}]})
}

#[test]
fn parallel_calls_follow_each_other() {
    let deltas = [
        json!({"role": "assistant", "content": null}),
        call(0, "a", "f", ""),
        more(0, "{\"x\""),
        more(0, ":1}"),
        call(1, "b", "g", ""),
        more(1, "{}"),
    ];
    let (events, response) = stream(&hello(), &deltas, "tool_calls");
    assert_eq!(
        checked(&events, &response)[2..],
        [
            "output_item.added 0 function_call in_progress",
            "function_call_arguments.delta 0 {\"x\"",
            "function_call_arguments.delta 0 :1}",
            "function_call_arguments.done 0 {\"x\":1}",
            "output_item.done 0 function_call completed",
            "output_item.added 1 function_call in_progress",
            "function_call_arguments.delta 1 {}",
            "function_call_arguments.done 1 {}",
            "output_item.done 1 function_call completed",
            "completed completed",
        ]
    );
    let digits = ID.strip_prefix("resp_").unwrap();
    let expected = json!({
        "id": format!("fc_{digits}10000"), "type": "function_call", "status": "completed", "arguments": "{\"x\":1}",
        "call_id": "a", "name": "f",
    });
    assert_eq!(response["output"][0], expected);
}

#[test]
fn interleaved_calls_stay_open_until_their_arguments_are_complete() {
    let deltas = [
        call(1, "b", "g", "{\"y\""),
        call(0, "a", "f", "{"),
        more(1, ":2}"),
        more(0, "}"),
        more(0, "\n"),
        json!({"content": " "}),
        json!({"content": "Done"}),
        more(0, "ignored"),
    ];
    let (events, response) = stream(&hello(), &deltas, "tool_calls");
    assert_eq!(
        checked(&events, &response)[2..],
        [
            "output_item.added 0 function_call in_progress",
            "function_call_arguments.delta 0 {\"y\"",
            "output_item.added 1 function_call in_progress",
            "function_call_arguments.delta 1 {",
            "function_call_arguments.delta 0 :2}",
            "function_call_arguments.delta 1 }",
            "function_call_arguments.delta 1 \n",
            "function_call_arguments.done 0 {\"y\":2}",
            "output_item.done 0 function_call completed",
            "function_call_arguments.done 1 {}\n",
            "output_item.done 1 function_call completed",
            "output_item.added 2 message in_progress",
            "content_part.added 2 0 output_text",
            "output_text.delta 2 0 Done",
            "output_text.done 2 0 Done",
            "content_part.done 2 0 output_text",
            "output_item.done 2 message completed",
            "completed completed",
        ]
    );
}

#[test]
fn calls_without_id_index_or_arguments_are_completed() {
    let deltas = [
        json!({"content": "Let me see.", "tool_calls": [{"function": {"name": "f"}}]}),
        json!({"tool_calls": [{"id": "", "function": {"name": "g", "arguments": "{\"a\":1}"}}]}),
    ];
    let (events, response) = stream(&hello(), &deltas, "tool_calls");
    assert_eq!(
        checked(&events, &response)[2..],
        [
            "output_item.added 0 message in_progress",
            "content_part.added 0 0 output_text",
            "output_text.delta 0 0 Let me see.",
            "output_text.done 0 0 Let me see.",
            "content_part.done 0 0 output_text",
            "output_item.done 0 message completed",
            "output_item.added 1 function_call in_progress",
            "output_item.added 2 function_call in_progress",
            "function_call_arguments.delta 2 {\"a\":1}",
            "function_call_arguments.delta 1 {}",
            "function_call_arguments.done 1 {}",
            "output_item.done 1 function_call completed",
            "function_call_arguments.done 2 {\"a\":1}",
            "output_item.done 2 function_call completed",
            "completed completed",
        ]
    );
    let output = response["output"].as_array().unwrap();
    assert!(output[1]["call_id"].as_str().unwrap().starts_with("call_"));
    assert_ne!(output[1]["call_id"], output[2]["call_id"]);
}

#[test]
fn call_whose_name_follows_is_added_with_its_name() {
    let deltas = [
        json!({"tool_calls": [{"index": 0, "id": "a", "function": {"arguments": "{\"x\""}}]}),
        json!({"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": ":1}"}}]}),
    ];
    let (events, response) = stream(&hello(), &deltas, "tool_calls");
    assert_eq!(
        checked(&events, &response)[2..5],
        [
            "output_item.added 0 function_call in_progress",
            "function_call_arguments.delta 0 {\"x\"",
            "function_call_arguments.delta 0 :1}",
        ]
    );
    assert_eq!((&response["output"][0]["name"], &response["output"][0]["call_id"]), (&json!("f"), &json!("a")));
}

#[test]
fn custom_tool_call_has_its_input() {
    let document = json!({"input": "Hi", "tools": [{"type": "custom", "name": "shell"}]});
    let (events, response) =
        stream(&document, &[call(0, "a", "shell", "{\"input\":\"l"), more(0, "s\"}")], "tool_calls");
    assert_eq!(
        checked(&events, &response)[2..],
        [
            "output_item.added 0 custom_tool_call in_progress",
            "custom_tool_call_input.delta 0 ls",
            "custom_tool_call_input.done 0 ls",
            "output_item.done 0 custom_tool_call completed",
            "completed completed",
        ]
    );
    assert_eq!(response["output"][0]["input"], "ls");
    let (_, response) = stream(&document, &[call(0, "a", "shell", "ls -l")], "tool_calls");
    assert_eq!(response["output"][0]["input"], "ls -l");
}

#[test]
fn cut_response_is_incomplete() {
    let (events, response) = stream(&hello(), &[json!({"content": "Hel"})], "length");
    let events = checked(&events, &response);
    assert_eq!(events[events.len() - 2..], ["output_item.done 0 message incomplete", "incomplete incomplete"]);
    assert_eq!(response["incomplete_details"], json!({"reason": "max_output_tokens"}));
    assert_eq!(response["completed_at"], Value::Null);

    let (events, response) = stream(&hello(), &[call(0, "a", "f", "{\"x"), more(0, "\":")], "length");
    checked(&events, &response);
    assert_eq!(response["output"][0]["status"], "incomplete");

    let (events, response) = stream(&hello(), &[json!({"content": ""})], "content_filter");
    checked(&events, &response);
    assert_eq!(response["incomplete_details"], json!({"reason": "content_filter"}));
    assert_eq!(response["output"][0]["content"][0]["text"], "");
}

fn error(code: &str, kind: &str, message: &str) -> Value {
    json!({"code": code, "message": message, "type": kind, "param": null})
}

#[test]
fn failure_keeps_the_items_so_far() {
    let mut writer = writer(&request(&hello()));
    let mut events = writer.start();
    events.extend(writer.chunk(read(&delta(&json!({"reasoning_content": "hm"})))));
    events.extend(writer.chunk(read(&delta(&json!({"content": "Hel"})))));
    events.extend(writer.fail("rate_limit_exceeded", "Too many requests"));
    assert!(writer.finish(NOW).is_empty() && writer.chunk(read(&delta(&json!({"content": "lo"})))).is_empty());
    let response: Value = serde_json::from_str(&writer.response_json()).unwrap();
    let events = checked(&events, &response);
    assert_eq!(events[events.len() - 2..], ["output_text.delta 1 0 Hel", "failed failed"]);
    assert_eq!(response["error"], error("rate_limit_exceeded", "rate_limit_error", "Too many requests"));
    assert_eq!((&response["output"][1]["status"], &response["usage"]), (&json!("incomplete"), &Value::Null));

    let mut writer = crate::upstream::writer(&request(&hello()));
    let events = writer.fail("outcome_unknown", "The server was restarted");
    let response: Value = serde_json::from_str(&writer.response_json()).unwrap();
    assert_eq!(checked(&events, &response), ["created in_progress", "failed failed"]);
    let expected = error("server_error", "server_error", "outcome_unknown: The server was restarted");
    assert_eq!(response["error"], expected);
}

#[test]
fn background_response_is_queued_and_can_be_cancelled() {
    let document = json!({"input": "Hi", "background": true});
    let mut writer = writer(&request(&document));
    let mut events = writer.queued();
    events.extend(writer.start());
    events.extend(writer.chunk(read(&delta(&json!({"content": "Hel"})))));
    events.extend(writer.chunk(read(&delta(&call(0, "a", "f", "{")))));
    writer.cancel();
    assert!(writer.fail("server_error", "late").is_empty());
    let response: Value = serde_json::from_str(&writer.response_json()).unwrap();
    let names: Vec<_> = events.iter().map(|event| event.name).collect();
    assert_eq!(names[..3], ["response.created", "response.queued", "response.in_progress"]);
    assert_eq!((&response["status"], &response["background"]), (&json!("cancelled"), &json!(true)));
    assert_eq!(
        (&response["output"][0]["status"], &response["output"][1]["status"]),
        (&json!("completed"), &json!("incomplete"))
    );
    assert_eq!(writer.output_items().count(), 2);
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

#[test]
fn complete_response_has_the_same_output_as_a_stream() {
    let calls = json!([{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}}]);
    let message = json!({"role": "assistant", "content": "Hello", "reasoning_content": "hm", "tool_calls": calls});
    let usage = end("stop")[1]["usage"].clone();
    let document = json!({
        "id": "c", "created": 7, "model": "m", "usage": usage, "service_tier": "flex",
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
    });
    let mut writer = writer(&request(&hello()));
    let mut events = writer.start();
    events.extend(writer.completion(completion(&document)));
    events.extend(writer.end_turn().events);
    events.extend(writer.finish(NOW));
    let whole: Value = serde_json::from_str(&writer.response_json()).unwrap();
    checked(&events, &whole);
    let deltas = [json!({"reasoning_content": "hm"}), json!({"content": "Hello"}), call(0, "a", "f", "{\"x\":1}")];
    let (_, streamed) = stream(&hello(), &deltas, "tool_calls");
    assert_eq!((&whole["output"], &whole["usage"]), (&streamed["output"], &streamed["usage"]));
    assert_eq!(whole["service_tier"], "flex");
}

#[test]
fn events_of_a_request_over_several_lines_are_one_line() {
    let schema = json!({"type": "object", "properties": {"a b": {"const": "x \\\" {\n y"}}});
    let document = json!({
        "instructions": "one\ntwo", "input": "Hi", "metadata": {"a b": "c d"}, "reasoning": {"effort": "low"},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": schema}},
        "tools": [{"type": "function", "name": "f", "parameters": schema}],
        "tool_choice": {"type": "function", "name": "f"},
    });
    let pretty = serde_json::to_string_pretty(&document).unwrap();
    let request = openai_dialect::responses::ResponseRequest::parse(&pretty).unwrap();
    let mut writer = writer(&request);
    let mut events = writer.start();
    events.extend(writer.chunk(read(&delta(&json!({"content": "a\nb"})))));
    events.extend(writer.finish(NOW));
    assert!(events.iter().all(|event| !event.data.contains('\n')));
    let response: Value = serde_json::from_str(&writer.response_json()).unwrap();
    checked(&events, &response);
    assert_eq!(response["tools"][0]["parameters"], schema);
    assert_eq!(response["text"], document["text"]);
    assert_eq!((&response["instructions"], &response["metadata"]), (&document["instructions"], &document["metadata"]));
}
