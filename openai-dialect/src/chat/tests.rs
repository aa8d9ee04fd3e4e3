//! Round trips of requests, responses and chunks, as documented by OpenAI and as sent by other upstreams.

use serde_json::{Value, json};
use triptych_proto::{time::unix_seconds, v1 as pb};

use super::*;

/// Returns a request after it was read and written.
fn request_round_trip(document: &Value) -> Value {
    let request = read_request(document.to_string().as_bytes()).unwrap_or_else(|error| panic!("{error}\n{document}"));
    let mut out = Vec::new();
    let options = request.stream_options.clone();
    let streaming = if request.stream { Streaming::Yes(options.as_ref()) } else { Streaming::No };
    write_request(&mut out, &request.chat.model, &request.chat, streaming);
    serde_json::from_slice(&out).unwrap()
}

/// Returns a response after it was read and written.
fn response_round_trip(document: &Value) -> Value {
    let read = read_response(document.to_string().as_bytes()).unwrap();
    let mut out = Vec::new();
    write_response(&mut out, &read.response);
    serde_json::from_slice(&out).unwrap()
}

#[test]
fn request_keeps_every_member_at_every_level() {
    let document = json!({
        "model": "m", "stream": true, "stream_options": {"include_usage": true, "continuous_usage_stats": false},
        "messages": [
            {"role": "developer", "content": "be brief", "name": "boss", "vendor": {"a": [1, null]}},
            {"role": "user", "content": [
                {"type": "text", "text": "é\u{1f600}", "cache_control": {"type": "ephemeral"}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low", "min_pixels": 4}},
                {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
                {"type": "file", "file": {"file_id": "f", "filename": "x.pdf"}},
                {"type": "video_url", "video_url": {"url": "http://v"}, "fps": 2.5}
            ]},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{\"a\": 1}"}, "index": 0},
                {"id": "call_2", "type": "custom", "custom": {"name": "g", "input": "x"}}
            ]},
            {"role": "tool", "tool_call_id": "call_1", "content": "42"},
            {"role": "assistant", "refusal": "no", "reasoning_content": "hm"}
        ],
        "tools": [
            {"type": "function", "function": {"name": "f", "description": "d", "strict": null,
             "parameters": {"type": "object", "properties": {"z": {"type": "string"}, "a": {"const": 1}}, "required": ["z"]}}},
            {"type": "custom", "custom": {"name": "g"}}
        ],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": false,
        "response_format": {"type": "json_schema", "json_schema": {"name": "s", "strict": true, "schema": {"type": "object"}}},
        "n": 2, "max_tokens": 5, "max_completion_tokens": 6, "temperature": 0.7, "top_p": null, "presence_penalty": -1.5,
        "frequency_penalty": 0.5, "seed": -3, "stop": ["a", "b"], "logprobs": true, "top_logprobs": 3,
        "logit_bias": {"50256": -100.0}, "modalities": ["text"], "reasoning_effort": "low", "service_tier": "flex",
        "user": "u", "metadata": {"k": "v"}, "store": false, "enable_thinking": false, "tags": [], "audio": null
    });
    assert_eq!(request_round_trip(&document), document);
}

#[test]
fn null_and_empty_members_are_preserved_as_extra_members() {
    let document = json!({"model": "m", "messages": [{"role": "user", "content": "x", "tool_calls": []}], "tools": [],
        "stop": null, "seed": null, "logit_bias": {}, "metadata": null, "tool_choice": null, "response_format": null});
    assert_eq!(request_round_trip(&document), document);
}

#[test]
fn unrepresentable_numbers_and_schema_order_are_preserved_byte_for_byte() {
    let text = r#"{"model":"m","messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"z":1,"a":[2]}}}],"big":12345678901234567890123,"tiny":0.1e-7,"huge":1E400,"lone":"\ud800"}"#;
    let request = read_request(text.as_bytes()).unwrap();
    let mut out = Vec::new();
    write_request(&mut out, "m", &request.chat, Streaming::No);
    assert_eq!(String::from_utf8(out).unwrap(), text);
}

#[test]
fn integers_with_zero_fraction_and_single_stop_strings_are_accepted() {
    let request = read_request(br#"{"messages":[],"n":3.0,"stop":"x"}"#).unwrap();
    assert_eq!((request.chat.n, request.chat.stop), (Some(3), vec!["x".to_owned()]));
}

#[test]
fn type_errors_of_required_members_carry_their_path() {
    let cases = [
        (r#"{"messages":"x"}"#, "messages"),
        (r#"{"messages":[{"role":7}]}"#, "messages[0].role"),
        (r#"{"model":7}"#, "model"),
        (r#"{"stream":"yes"}"#, "stream"),
        (r#"{"messages":[3]}"#, "messages[0]"),
    ];
    for (text, path) in cases {
        let error = read_request(text.as_bytes()).expect_err(text);
        assert_eq!(error.path, path, "{text}: {error}");
    }
}

#[test]
fn request_members_with_unexpected_values_are_preserved() {
    let messages = |content: Value| json!([{"role": "user", "content": content}]);
    for members in [
        json!({"max_tokens": -1}),
        json!({"max_tokens": "5", "n": 1.5, "temperature": "hot", "stop": [1], "seed": "x", "logit_bias": [1]}),
        json!({"tool_choice": "any"}),
        json!({"tool_choice": 5}),
        json!({"tool_choice": {"type": "function"}}),
        json!({"tools": [{"function": {"name": "f"}}]}),
        json!({"tools": [{"type": 7, "function": {"name": 3}}]}),
        json!({"tools": {"type": "function"}}),
        json!({"tools": [{"type": "function", "function": {"name": "f", "parameters": true}}]}),
        json!({"response_format": {"type": "json_object", "schema": {"type": "object"}}}),
        json!({"response_format": {"type": "json_schema", "schema": {"type": "object"}}}),
        json!({"response_format": {"schema": {}}}),
        json!({"response_format": "json"}),
        json!({"response_format": {"type": "json_schema", "json_schema": {"name": 3, "schema": []}}}),
        json!({"modalities": "text", "metadata": {"a": 1}, "logprobs": 5, "store": "no", "user": 7}),
        json!({"messages": messages(json!([{"type": "image_url", "image_url": "https://x/a.png"}]))}),
        json!({"messages": messages(json!([{"type": "input_audio", "input_audio": "AAAA"}, {"type": "text", "text": 5}]))}),
        json!({"messages": messages(json!([{"type": "text"}, {"text": "no type"}]))}),
        json!({"messages": messages(json!(["text"]))}),
        json!({"messages": messages(json!({"text": "x"}))}),
        json!({"messages": [{"role": "assistant", "content": 7, "refusal": 1, "name": 2, "tool_calls": "x"}]}),
        json!({"messages": [{"role": "assistant", "tool_calls": [{"id": 7, "type": 8, "function": {"name": "f", "arguments": "{}"}}]}]}),
    ] {
        let mut document = json!({"model": "m", "messages": messages(json!("x"))});
        document.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        assert_eq!(request_round_trip(&document), document);
    }
}

#[test]
fn arguments_that_are_an_object_become_their_text() {
    let call = r#"{"id":"a","type":"function","function":{"name":"f","arguments":{"b": 1, "a": [2]}}}"#;
    let text = r#"{"b": 1, "a": [2]}"#;
    let request = format!(r#"{{"messages":[{{"role":"assistant","tool_calls":[{call}]}}]}}"#);
    let message = read_request(request.as_bytes()).unwrap().chat.messages.remove(0);
    assert_eq!(message.tool_calls[0].function.as_ref().unwrap().arguments, text);
    let response = format!(r#"{{"choices":[{{"message":{{"tool_calls":[{call}]}}}}]}}"#);
    let response = read_response(response.as_bytes()).unwrap().response;
    let message = response.choices[0].message.as_ref().unwrap();
    assert_eq!(message.tool_calls[0].function.as_ref().unwrap().arguments, text);
    let chunk = format!(r#"{{"choices":[{{"delta":{{"tool_calls":[{call}]}}}}]}}"#);
    let chunk = read_chunk(chunk.as_bytes()).unwrap().response;
    let delta = chunk.choices[0].delta.as_ref().unwrap();
    assert_eq!(delta.tool_calls[0].function.as_ref().unwrap().arguments.as_deref(), Some(text));
}

#[test]
fn response_members_with_unexpected_values_do_not_fail_the_response() {
    let with = |members: Value, choice: Value, message: Value| {
        let merge = |mut one: Value, two: &Value| {
            one.as_object_mut().unwrap().extend(two.as_object().unwrap().clone());
            one
        };
        let message = merge(json!({"role": "assistant", "content": "Hi", "refusal": null}), &message);
        let choice = merge(json!({"index": 0, "logprobs": null, "finish_reason": "stop"}), &choice);
        let choice = merge(choice, &json!({"message": message}));
        merge(
            json!({"id": "c", "object": "chat.completion", "created": 7, "model": "m", "choices": [choice]}),
            &members,
        )
    };
    let none = || json!({});
    for (members, choice, message) in [
        (json!({"usage": {"prompt_tokens": 1, "completion_tokens": -35, "total_tokens": 2}}), none(), none()),
        (json!({"usage": "none", "service_tier": 7, "system_fingerprint": {}, "x": 1}), none(), none()),
        (none(), json!({"logprobs": "none", "index": 0}), none()),
        (none(), json!({"logprobs": [-0.5]}), none()),
        (none(), none(), json!({"refusal": false, "annotations": "x", "name": 3, "reasoning_content": ["a"]})),
        (none(), none(), json!({"tool_calls": [{"id": "a", "type": 7, "function": {"name": "f", "arguments": "{}"}}]})),
    ] {
        let document = with(members, choice, message);
        assert_eq!(response_round_trip(&document), document);
    }
    let odd = with(
        json!({"id": 7, "created": "now", "model": 3}),
        json!({"index": "0", "finish_reason": 2}),
        json!({"role": 1}),
    );
    let written = response_round_trip(&odd);
    assert_eq!((&written["id"], &written["created"], &written["model"]), (&json!("7"), &json!(0), &json!("")));
    let choice = &written["choices"][0];
    assert_eq!(
        (&choice["index"], &choice["finish_reason"], &choice["message"]["role"]),
        (&json!(0), &json!("2"), &json!("assistant"))
    );
    for unusable in [r#"{"choices":7}"#, r#"{"choices":[7]}"#, r#"{"choices":[{"message":7}]}"#, "[]", "null"] {
        assert!(read_response(unusable.as_bytes()).is_err(), "{unusable}");
    }
}

#[test]
fn text_parts_of_a_response_are_joined_and_other_parts_are_kept() {
    let content = r#"[{"type":"thinking","thinking":[{"type":"text","text":"Hm"}]},{"type":"text","text":"He"},{"type":"text","text":"llo"}]"#;
    let response = format!(r#"{{"choices":[{{"message":{{"content":{content}}}}}]}}"#);
    let response = read_response(response.as_bytes()).unwrap().response;
    let message = response.choices[0].message.clone().unwrap();
    assert_eq!(message.content, Some(pb::chat_message::Content::Text("Hello".to_owned())));
    assert_eq!(message.reasoning_content.as_deref(), Some("Hm"));
    assert!(message.extra_json.starts_with(r#"{"content_parts":[{"type":"thinking","#), "{}", message.extra_json);
    let chunk = format!(r#"{{"choices":[{{"delta":{{"content":{content}}}}}]}}"#);
    let delta = read_chunk(chunk.as_bytes()).unwrap().response.choices[0].delta.clone().unwrap();
    assert_eq!((delta.content.as_deref(), delta.reasoning_content.as_deref()), (Some("Hello"), Some("Hm")));
    assert_eq!(delta.extra_json, message.extra_json);
}

#[test]
fn response_that_is_not_quite_json_is_read() {
    let text = "\u{feff}{\"choices\":[{\"message\":{\"content\":\"cut \\ud83d\"},\"logprobs\":{\"content\":[{\"token\":\"a\",\"logprob\":-Infinity}]}}],\"x\":NaN}";
    let response = read_response(text.as_bytes()).unwrap().response;
    let choice = &response.choices[0];
    assert_eq!(
        choice.message.as_ref().unwrap().content,
        Some(pb::chat_message::Content::Text("cut \u{fffd}".to_owned()))
    );
    assert!((choice.logprobs.as_ref().unwrap().content[0].logprob + 9999.0).abs() < f64::EPSILON);
    assert_eq!(response.extra_json, r#"{"x":null}"#);
}

#[test]
fn nesting_of_extra_members_is_limited() {
    let deep = format!(r#"{{"messages":[],"x":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(read_request(deep.as_bytes()).unwrap_err().path, "x");
}

#[test]
fn response_keeps_every_member_at_every_level() {
    let document = json!({
        "id": "c", "object": "chat.completion", "created": 1_795_350_000, "model": "m",
        "choices": [{
            "index": 0, "finish_reason": "tool_calls", "stop_reason": null, "token_ids": [1, 2],
            "message": {"role": "assistant", "content": null, "refusal": null, "reasoning_content": "hm", "annotations": [],
                "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            "logprobs": {"content": [{"token": "a", "logprob": -0.5, "bytes": [97],
                "top_logprobs": [{"token": "a", "logprob": -0.5, "bytes": null}]}], "refusal": null}
        }],
        "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12, "cost": 0.01,
            "prompt_tokens_details": {"cached_tokens": 1, "audio_tokens": null},
            "completion_tokens_details": {"reasoning_tokens": 2, "text_tokens": 1}},
        "system_fingerprint": null, "service_tier": "default", "timings": {"prompt_ms": 1.5}
    });
    assert_eq!(response_round_trip(&document), document);
}

#[test]
fn absent_or_null_logprob_becomes_minus_9999() {
    let token = |logprob: &str| {
        format!(r#"{{"choices":[{{"index":0,"message":{{}},"logprobs":{{"content":[{{"token":"a"{logprob}}}]}}}}]}}"#)
    };
    let cases =
        [("", -9999.0), (r#","logprob":null"#, -9999.0), (r#","logprob":-0.5"#, -0.5), (r#","logprob":0"#, 0.0)];
    for (logprob, expected) in cases {
        let response = read_response(token(logprob).as_bytes()).unwrap().response;
        let logprobs = response.choices[0].logprobs.as_ref().unwrap();
        assert!((logprobs.content[0].logprob - expected).abs() < f64::EPSILON, "{logprob}: {logprobs:?}");
    }
}

#[test]
fn reasoning_is_written_under_both_names() {
    let document = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0,
        "message": {"role": "assistant", "content": "x", "reasoning": "hm"}, "finish_reason": "stop"}]});
    let written = response_round_trip(&document);
    assert_eq!(written["choices"][0]["message"]["reasoning"], "hm");
    assert_eq!(written["choices"][0]["message"]["reasoning_content"], "hm");
}

#[test]
fn chunk_keeps_every_member_and_has_null_usage_only_on_request() {
    let document = json!({
        "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "system_fingerprint": null, "obfuscation": "x",
        "choices": [{"index": 1, "logprobs": null, "finish_reason": null, "matched_stop": 3, "delta": {"role": "assistant", "content": "",
            "tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}]}}]
    });
    let chunk = read_chunk(document.to_string().as_bytes()).unwrap();
    let mut out = Vec::new();
    write_chunk(&mut out, &chunk.response, MissingUsage::Omit);
    assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), document);
    out.clear();
    write_chunk(&mut out, &chunk.response, MissingUsage::Null);
    assert_eq!(serde_json::from_slice::<Value>(&out).unwrap()["usage"], Value::Null);
}

#[test]
fn error_member_is_reported_unless_it_is_null() {
    let failed = read_chunk(br#"{"error":{"message":"x"},"choices":[]}"#).unwrap();
    assert_eq!(failed.error.as_deref(), Some(r#"{"message":"x"}"#));
    assert_eq!(read_chunk(br#"{"error":null,"choices":null,"usage":null}"#).unwrap(), UpstreamChunk::default());
}

#[test]
fn null_members_are_not_written_beside_values_of_the_same_name() {
    let request = br#"{"model":null,"messages":[{"role":"assistant","tool_calls":[{"id":null,"type":null,"function":{"name":"f","arguments":null}}]}]}"#;
    let request = read_request(request).unwrap();
    let mut out = Vec::new();
    write_request(&mut out, "m", &request.chat, Streaming::No);
    let expected = r#"{"model":"m","messages":[{"role":"assistant","tool_calls":[{"id":"","type":"function","function":{"name":"f","arguments":""}}]}]}"#;
    assert_eq!(String::from_utf8(out).unwrap(), expected);

    for delta in [r#"{"reasoning_content":null,"reasoning":"hm"}"#, r#"{"reasoning":"hm","reasoning_content":null}"#] {
        let chunk = format!(r#"{{"choices":[{{"index":0,"delta":{delta},"finish_reason":null}}]}}"#);
        let read = read_chunk(chunk.as_bytes()).unwrap().response.choices[0].delta.clone().unwrap();
        assert_eq!(read.reasoning_content.as_deref(), Some("hm"));
        assert_eq!(read.extra_json, r#"{"reasoning":"hm"}"#);
    }
}

#[test]
fn content_part_is_read_by_its_type_in_any_member_order() {
    let assert_round_trip = |part: &str| {
        let request = format!(r#"{{"messages":[{{"role":"user","content":[{part}]}}]}}"#);
        let read = read_request(request.as_bytes()).unwrap();
        let mut out = Vec::new();
        write_request(&mut out, "m", &read.chat, Streaming::No);
        let mut written: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(written["messages"][0]["content"][0].take(), serde_json::from_str::<Value>(part).unwrap());
    };
    assert_round_trip(r#"{"image_url":{"url":"u"},"text":"caption","type":"image_url"}"#);
    assert_round_trip(r#"{"type":"input_image","image_url":"https://x","text":"t"}"#);
    assert_round_trip(r#"{"text":"t","type":"text","file":null}"#);
}

#[test]
fn reasoning_details_are_the_fallback_for_reasoning_content() {
    let chunk = br#"{"choices":[{"delta":{"reasoning_details":[{"type":"reasoning.text","text":"a"},{"type":"reasoning.encrypted","data":"x"},{"text":"b"}]}}]}"#;
    let delta = read_chunk(chunk).unwrap().response.choices[0].delta.clone().unwrap();
    assert_eq!(delta.reasoning_content.as_deref(), Some("ab"));
    assert!(delta.extra_json.contains("reasoning.encrypted"));
}

#[test]
fn unwrapped_error_is_reported_only_without_choices() {
    for unwrapped in [r#"{"object":"error","message":"m","code":400}"#, r#"{"error_type":"t","error_message":"m"}"#] {
        assert!(read_response(unwrapped.as_bytes()).unwrap().error.is_some(), "{unwrapped}");
        assert!(read_chunk(unwrapped.as_bytes()).unwrap().error.is_some(), "{unwrapped}");
    }
    let with_choices = br#"{"created":1.9,"choices":[{"index":0,"delta":{}}],"message":"vendor extension"}"#;
    let chunk = read_chunk(with_choices).unwrap();
    assert_eq!((chunk.error, unix_seconds(chunk.response.create_time)), (None, 1));
}
