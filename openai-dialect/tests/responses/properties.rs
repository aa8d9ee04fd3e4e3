//! Property tests: any division of a chat response into chunks gives the same result as the complete response, and a request with
//! any of its values replaced is served or rejected with the path of the value.

use openai_dialect::responses::ResponseRequest;
use proptest::{prelude::*, sample::Index, test_runner::Config};
use serde_json::{Value, json};

use crate::upstream::{NOW, checked, completion, delta, end, request, stream_chunks, writer};

/// A response of an upstream.
#[derive(Debug, Clone)]
struct ChatResponse {
    reasoning: String,
    content: String,
    /// Names and arguments of calls.
    calls: Vec<(String, String)>,
}

fn chat_response() -> impl Strategy<Value = ChatResponse> {
    // Arguments are objects, whose end is recognised, or empty.
    let arguments = prop_oneof![
        Just(String::new()),
        "[a-z\"\\\\{}\\[\\]é]{0,12}".prop_map(|text| json!({"x": [text, {"y": {}}]}).to_string()),
    ];
    let call = ("[a-z]{1,4}", arguments);
    let calls = proptest::collection::vec(call, 0..4);
    ("[a-zé\n\"]{0,12}", "[ a-zé\n\"😀]{0,24}", calls).prop_map(|(reasoning, content, calls)| ChatResponse {
        reasoning,
        content,
        calls,
    })
}

/// Divides a text at these positions.
fn pieces(text: &str, splits: &[Index]) -> Vec<String> {
    let mut ends: Vec<_> =
        splits.iter().map(|split| split.index(text.len() + 1)).filter(|end| text.is_char_boundary(*end)).collect();
    ends.push(text.len());
    ends.sort_unstable();
    let mut start = 0;
    let mut pieces = Vec::new();
    for end in ends {
        pieces.push(text[start..end].to_owned());
        start = end;
    }
    pieces
}

/// Returns the response as chunks. `interleave`: pieces of parallel calls alternate.
fn chunks(response: &ChatResponse, splits: &[Index], interleave: bool) -> Vec<Value> {
    let mut deltas = Vec::new();
    deltas.extend(pieces(&response.reasoning, splits).iter().map(|text| json!({"reasoning_content": text})));
    deltas.extend(pieces(&response.content, splits).iter().map(|text| json!({"content": text})));
    let mut calls = Vec::new();
    for (index, (name, arguments)) in response.calls.iter().enumerate() {
        let begin = json!({"index": index, "id": format!("c{index}"), "type": "function", "function": {"name": name, "arguments": ""}});
        calls.push((0, begin));
        for (position, piece) in pieces(arguments, splits).iter().enumerate() {
            calls.push((position + 1, json!({"index": index, "function": {"arguments": piece}})));
        }
    }
    if interleave {
        calls.sort_by_key(|(position, _)| *position);
    }
    deltas.extend(calls.iter().map(|(_, call)| json!({"content": "", "tool_calls": [call]})));
    deltas.iter().map(delta).chain(end("stop")).collect()
}

/// Returns the undivided response.
fn completion_json(response: &ChatResponse) -> Value {
    let calls = response.calls.iter().enumerate().map(|(index, (name, arguments))| {
        json!({"id": format!("c{index}"), "type": "function", "function": {"name": name, "arguments": arguments}})
    });
    let calls: Vec<_> = calls.collect();
    let message = json!({"role": "assistant", "content": response.content, "reasoning_content": response.reasoning, "tool_calls": calls});
    let usage = end("stop")[1]["usage"].clone();
    json!({"id": "c", "created": 7, "model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage})
}

/// A request that has most members.
fn full_request() -> Value {
    json!({
        "model": "public", "instructions": "Be brief", "temperature": 0.5, "max_output_tokens": 9, "metadata": {"a": "b"},
        "include": ["reasoning.encrypted_content"], "reasoning": {"effort": "low", "summary": "auto"},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}, "verbosity": "low"},
        "tools": [
            {"type": "function", "name": "f", "parameters": {}, "strict": true},
            {"type": "custom", "name": "c", "format": {"type": "text"}},
            {"type": "image_generation", "size": "1024x1024", "input_image_mask": {"image_url": "data:,x"}},
        ],
        "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
        "input": [
            {"role": "user", "content": [
                {"type": "input_text", "text": "Hi"},
                {"type": "input_image", "image_url": "https://example.org/a.png", "detail": "low"},
                {"type": "input_file", "file_data": "data:,x", "filename": "x"},
                {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
            ]},
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "[{}]"},
            {"role": "assistant", "content": [{"type": "output_text", "text": "Ho"}, {"type": "refusal", "refusal": "no"}]},
            {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "a", "output": [{"type": "input_text", "text": "1"}]},
            {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "AA=="},
            {"type": "item_reference", "id": "msg_1"},
        ],
    })
}

/// Returns the JSON pointers of all values within a document.
fn pointers(value: &Value, path: &str, found: &mut Vec<String>) {
    let mut add = |name: &str, value: &Value| {
        let path = format!("{path}/{name}");
        found.push(path.clone());
        pointers(value, &path, found);
    };
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| add(name, value)),
        Value::Array(values) => values.iter().enumerate().for_each(|(index, value)| add(&index.to_string(), value)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Values of every JSON type.
fn any_value() -> impl Strategy<Value = Value> {
    let values = [
        json!(null),
        json!(true),
        json!(-1),
        json!(3.5),
        json!(1e30),
        json!(""),
        json!("auto"),
        json!("type"),
        json!([]),
        json!([null]),
        json!(["x"]),
        json!([[{}]]),
        json!({}),
        json!({"type": "text"}),
        json!({"type": "function"}),
        json!({"type": "message"}),
        json!({"type": "input_text", "text": 1}),
        json!({"role": "user", "content": ""}),
    ];
    proptest::sample::select(values.to_vec())
}

proptest! {
    #![proptest_config(Config { cases: 256, failure_persistence: None, ..Config::default() })]

    #[test]
    fn chunks_and_complete_response_give_the_same_response(
        response in chat_response(),
        splits in proptest::collection::vec(any::<Index>(), 0..6),
        interleave in any::<bool>(),
    ) {
        let document = json!({"model": "public", "input": "Hi"});
        let (events, streamed) = stream_chunks(&document, &chunks(&response, &splits, interleave));
        checked(&events, &streamed);
        let mut writer = writer(&request(&document));
        let mut events = writer.start();
        events.extend(writer.completion(completion(&completion_json(&response))));
        events.extend(writer.end_turn().events);
        events.extend(writer.finish(NOW));
        let complete: Value = serde_json::from_str(&writer.response_json()).unwrap();
        checked(&events, &complete);
        prop_assert_eq!(streamed, complete);
    }
    #[test]
    fn request_with_a_replaced_value_is_served_or_rejected_with_its_path(position in any::<Index>(), value in any_value()) {
        let mut document = full_request();
        let mut found = Vec::new();
        pointers(&document, "", &mut found);
        let pointer = &found[position.index(found.len())];
        *document.pointer_mut(pointer).unwrap() = value;
        let text = document.to_string();
        let error = match ResponseRequest::parse(&text) {
            Ok(request) => {
                let items = request.input_items("resp_00", &[], &[]);
                prop_assert_eq!(request.input_items("resp_00", &items, &[]), items.clone());
                let messages = request.to_chat(&items, &items).map(|chat| chat.messages.len());
                match messages {
                    Ok(_) => return Ok(()),
                    Err(error) => error,
                }
            }
            Err(error) => error,
        };
        let param = error.param.clone().unwrap();
        prop_assert!(!param.is_empty() && error.message.starts_with(&param), "{}: {}", pointer, error);
    }
}
