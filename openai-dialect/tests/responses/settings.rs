//! Settings, tools and formats as members of a chat request and of the response.

use openai_dialect::responses::ResponseRequest;
use serde_json::{Value, json};

use crate::upstream::{chat, request, writer};

fn response(document: &Value) -> Value {
    serde_json::from_str(&writer(&request(document)).response_json()).unwrap()
}

#[test]
fn settings_reach_the_upstream_and_the_response() {
    let document = json!({
        "model": "public", "input": "Hi", "stream": true, "store": false, "temperature": 0.70, "top_p": 1,
        "max_output_tokens": 100.0, "top_logprobs": 3, "include": ["message.output_text.logprobs"],
        "user": "u", "safety_identifier": "s",
        "prompt_cache_key": "k", "service_tier": "flex", "metadata": {"a": "b"}, "truncation": "auto",
        "text": {"verbosity": "low"}, "max_tool_calls": 4, "parallel_tool_calls": false, "x_vendor": {"y": 1.50},
        "seed": 5, "stop": "x", "background": null, "previous_response_id": null, "tools": [], "tool_choice": "auto",
        "stream_options": {"include_obfuscation": false}, "prompt": null, "reasoning": {"effort": "low", "summary": "auto", "max_tokens": 9},
    });
    let expected = json!({
        "model": "m", "messages": [{"role": "user", "content": "Hi"}], "max_completion_tokens": 100, "temperature": 0.7,
        "top_p": 1.0, "seed": 5, "stop": ["x"], "logprobs": true, "top_logprobs": 3, "reasoning_effort": "low",
        "service_tier": "flex", "user": "u", "safety_identifier": "s", "prompt_cache_key": "k", "verbosity": "low",
        "reasoning": {"max_tokens": 9}, "x_vendor": {"y": 1.50},
    });
    assert_eq!(chat(&document), expected);
    let response = response(&document);
    for (name, value) in [
        ("store", json!(false)),
        ("temperature", json!(0.7)),
        ("top_p", json!(1)),
        ("max_output_tokens", json!(100)),
        ("max_tool_calls", json!(4)),
        ("top_logprobs", json!(3)),
        ("reasoning", json!({"effort": "low", "summary": "auto", "max_tokens": 9})),
        ("user", json!("u")),
        ("safety_identifier", json!("s")),
        ("prompt_cache_key", json!("k")),
        ("service_tier", json!("flex")),
        ("metadata", json!({"a": "b"})),
        ("truncation", json!("auto")),
        ("text", json!({"format": {"type": "text"}, "verbosity": "low"})),
        ("parallel_tool_calls", json!(false)),
    ] {
        assert_eq!(response[name], value, "{name}");
    }
    let request = request(&document);
    assert!(request.is_streamed() && !request.is_stored() && !request.is_background());
    assert_eq!((request.model(), request.max_tool_calls()), ("public", Some(4)));
    let again = ResponseRequest::parse(request.to_json()).unwrap();
    // Without items of previous responses, and without referenced items.
    assert_eq!(again.to_chat(&[], &[]).unwrap(), request.to_chat(&[], &[]).unwrap());
}

#[test]
fn tools_keep_their_schemas_and_choices_become_those_of_chat() {
    // The order of members and the form of numbers are part of a schema.
    let text = r#"{"input":"Hi","parallel_tool_calls":true,"tool_choice":{"type":"function","name":"f"},"tools":[
        {"type":"function","name":"f","description":"d","strict":true,"parameters":{"z":1.50,"a":{}},"x_tool":[2]},
        {"type":"function","name":"g"},{"type":"custom","name":"shell","description":"runs","format":{"type":"text"}}]}"#;
    let request = ResponseRequest::parse(text).unwrap();
    let chat = request.to_chat(&[], &[]).unwrap();
    let function = chat.tools[0].function.as_ref().unwrap();
    assert_eq!(function.parameters_json, r#"{"z":1.50,"a":{}}"#);
    assert_eq!((function.strict, function.extra_json.as_str()), (Some(true), r#"{"x_tool":[2]}"#));
    assert_eq!(chat.tools[1].function.as_ref().unwrap().strict, None);
    let sent = crate::upstream::chat_json(&chat);
    assert_eq!(sent["tool_choice"], json!({"type": "function", "function": {"name": "f"}}));
    assert_eq!(sent["parallel_tool_calls"], true);
    assert_eq!(sent["tools"][2]["function"]["parameters"]["required"], json!(["input"]));
    let json = writer(&request).response_json();
    assert!(json.contains(r#""parameters":{"z":1.50,"a":{}},"x_tool":[2]}"#), "{json}");
    let response: Value = serde_json::from_str(&json).unwrap();
    let bare = json!({"type": "function", "name": "g", "parameters": null, "strict": null});
    assert_eq!(response["tools"][1], bare);
    assert_eq!(response["tool_choice"], json!({"type": "function", "name": "f"}));
}

#[test]
fn strict_of_a_custom_tool_is_a_field_and_not_an_extra_member() {
    let tool = json!({"type": "custom", "name": "c", "strict": true});
    let chat = chat(&json!({"input": "Hi", "tools": [tool]}));
    assert_eq!(chat["tools"][0]["function"]["strict"], true);
    let request = request(&json!({"input": "Hi", "tools": [tool]})).to_chat(&[], &[]).unwrap();
    assert_eq!(request.tools[0].function.as_ref().unwrap().extra_json, "");
}

#[test]
fn allowed_tools_are_the_only_ones_offered() {
    let tools =
        json!([{"type": "function", "name": "f"}, {"type": "function", "name": "g"}, {"type": "image_generation"}]);
    let choice = json!({"type": "allowed_tools", "mode": "required", "tools": [
        {"type": "function", "name": "g"}, {"type": "image_generation"}
    ]});
    let document = json!({"input": "Hi", "tools": tools, "tool_choice": choice});
    let sent = chat(&document);
    let names: Vec<_> = sent["tools"].as_array().unwrap().iter().map(|tool| &tool["function"]["name"]).collect();
    assert_eq!(names, ["g", "image_generation"]);
    assert_eq!(sent["tool_choice"], "required");
    assert_eq!(response(&document)["tools"], tools_with_members(&tools));
}

/// Returns the tools with the members that functions always have in responses.
fn tools_with_members(tools: &Value) -> Value {
    let mut tools = tools.clone();
    for tool in tools.as_array_mut().unwrap().iter_mut().filter(|tool| tool["type"] == "function") {
        (tool["parameters"], tool["strict"]) = (Value::Null, Value::Null);
    }
    tools
}

#[test]
fn formats_become_response_formats() {
    let format = json!({"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": true});
    let document = json!({"input": "Hi", "text": {"format": format}});
    let schema = json!({"name": "n", "schema": {"type": "object"}, "strict": true});
    assert_eq!(chat(&document)["response_format"], json!({"type": "json_schema", "json_schema": schema}));
    assert_eq!(response(&document)["text"]["format"], format);
    let document = json!({"input": "Hi", "text": {"format": {"type": "json_object"}}});
    assert_eq!(chat(&document)["response_format"], json!({"type": "json_object"}));
    let document = json!({"input": "Hi", "text": {"format": {"type": "text"}}});
    assert_eq!(chat(&document).get("response_format"), None);
}

#[test]
fn fixed_settings_of_the_image_tool_are_not_offered_to_the_model() {
    let tool = json!({"type": "image_generation", "size": "1024x1024", "action": "generate", "output_format": "webp"});
    let sent = chat(&json!({"input": "Hi", "tools": [tool]}));
    let properties = &sent["tools"][0]["function"]["parameters"]["properties"];
    assert_eq!(properties.as_object().unwrap().keys().collect::<Vec<_>>(), ["prompt"]);
}

#[test]
fn service_tier_of_an_upstream_outside_of_the_description_is_null() {
    let mut writer = writer(&request(&json!({"input": "Hi", "service_tier": "on_demand"})));
    writer.chunk(crate::upstream::read(&json!({"choices": [], "service_tier": "standard"})));
    let response: Value = serde_json::from_str(&writer.response_json()).unwrap();
    assert_eq!(response["service_tier"], Value::Null);
}
