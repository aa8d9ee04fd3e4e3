//! How responses end: cut, failed, cancelled, and not streamed.

use serde_json::{Value, json};

use crate::upstream::{NOW, call, checked, completion, delta, end, hello, more, read, request, stream, writer};

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
