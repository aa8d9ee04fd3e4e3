//! Requests that are rejected, and the members that the errors name.

use openai_dialect::responses::ResponseRequest;
use serde_json::{Value, json};

/// Asserts that the request is rejected at `param`, with a message that contains `text`; `""` for any message.
#[track_caller]
fn assert_rejected(document: &Value, param: &str, text: &str) {
    let error = ResponseRequest::parse(&document.to_string()).unwrap_err();
    assert_eq!(error.param.as_deref(), Some(param), "{error}");
    assert!(error.message.starts_with(param), "{error}");
    assert!(error.message.contains(text), "{error}");
}

#[test]
fn documents_that_are_no_request_are_rejected() {
    for text in ["", "[]", "\u{feff}{}", "{\"input\":", "1"] {
        let error = ResponseRequest::parse(text).unwrap_err();
        assert_eq!(error.param, None, "{error}");
    }
    let deep = format!("{{\"input\":{}{}}}", "[".repeat(200), "]".repeat(200));
    assert!(ResponseRequest::parse(&deep).unwrap_err().message.contains("128 levels"));
}

#[test]
fn invalid_values_are_named_by_their_path() {
    for (member, value, rule) in [
        ("model", json!(1), "a string"),
        ("stream", json!("yes"), "true or false"),
        ("temperature", json!(3), "from 0 to 2"),
        ("top_p", json!("1"), "from 0 to 1"),
        ("max_output_tokens", json!(0), "at least 1"),
        ("max_output_tokens", json!(1.5), "at least 1"),
        ("top_logprobs", json!(21), "from 0 to 20"),
        ("truncation", json!("middle"), "auto, disabled"),
        ("previous_response_id", json!(""), "not empty"),
        ("instructions", json!([]), "a string"),
        ("include", json!("x"), "an array"),
        ("tools", json!({}), "an array"),
        ("tool_choice", json!("any"), "none, auto, required"),
        ("tool_choice", json!("required"), "at least one tool"),
        ("text", json!("json"), "an object"),
        ("metadata", json!([]), "an object"),
        ("input", json!(1), "a text or an array of items"),
        ("input", json!([]), "at least one item"),
    ] {
        let mut document = json!({"input": "Hi"});
        document[member] = value.clone();
        assert_rejected(&document, member, rule);
        assert_rejected(&document, member, &value.to_string());
    }
    assert_rejected(&json!({"model": "m"}), "input", "is required");
    assert_rejected(&json!({"input": "Hi", "include": ["x"]}), "include[0]", "reasoning.encrypted_content");
    assert_rejected(&json!({"input": "Hi", "store": false, "background": true}), "background", "must be stored");
    assert_rejected(&json!({"input": "Hi", "metadata": {"a": 1}}), "metadata.a", "a string of at most 512");
    assert_rejected(&json!({"input": "Hi", "metadata": {"a".repeat(65): ""}}), "metadata", "longer than 64");
    let pairs: serde_json::Map<_, _> = (0..17).map(|number| (number.to_string(), json!(""))).collect();
    assert_rejected(&json!({"input": "Hi", "metadata": pairs}), "metadata", "17 pairs");
    assert_rejected(&json!({"input": "Hi", "text": {"tone": "x"}}), "text.tone", "not served");
    assert_rejected(&json!({"input": "Hi", "reasoning": {"summary": "long"}}), "reasoning.summary", "concise");
}

#[test]
fn unserved_features_are_refused_by_name() {
    for (member, text) in [
        ("conversation", "previous_response_id"),
        ("prompt", "instructions"),
        ("context_management", "compaction"),
        ("messages", "input"),
        ("max_tokens", "max_output_tokens"),
        ("response_format", "text.format"),
    ] {
        let mut document = json!({"input": "Hi"});
        document[member] = json!({"id": "x"});
        assert_rejected(&document, member, text);
        document[member] = Value::Null;
        assert!(ResponseRequest::parse(&document.to_string()).is_ok());
    }
    for include in ["web_search_call.results", "file_search_call.results", "computer_call_output.output.image_url"] {
        let document = json!({"input": "Hi", "include": ["message.input_image.image_url", include]});
        assert_rejected(&document, "include[1]", include);
    }
    for tool in
        ["web_search", "file_search", "computer_use_preview", "code_interpreter", "mcp", "local_shell", "apply_patch"]
    {
        let document = json!({"input": "Hi", "tools": [{"type": "function", "name": "f"}, {"type": tool}]});
        assert_rejected(&document, "tools[1].type", tool);
        assert_rejected(&document, "tools[1].type", "image_generation");
        let document = json!({"input": "Hi", "tool_choice": {"type": tool}});
        assert_rejected(&document, "tool_choice.type", tool);
    }
    let grammar =
        json!({"type": "custom", "name": "c", "format": {"type": "grammar", "syntax": "lark", "definition": ""}});
    assert_rejected(&json!({"input": "Hi", "tools": [grammar]}), "tools[0].format.type", "grammar");
    let parameters = json!({"type": "custom", "name": "c", "parameters": {}});
    assert_rejected(&json!({"input": "Hi", "tools": [parameters]}), "tools[0].parameters", "type `function`");
    let image = json!({"type": "image_generation", "svg": {}});
    assert_rejected(&json!({"input": "Hi", "tools": [image]}), "tools[0].svg", "not served");
}

#[test]
fn invalid_tools_and_formats_are_rejected() {
    let tools = |tools: Value| json!({"input": "Hi", "tools": tools});
    assert_rejected(&tools(json!([{"name": "f"}])), "tools[0].type", "is required");
    assert_rejected(&tools(json!([{"type": "function"}])), "tools[0].name", "is required");
    assert_rejected(
        &tools(json!([{"type": "function", "function": {"name": "f"}}])),
        "tools[0].function",
        "chat completions",
    );
    assert_rejected(
        &tools(json!([{"type": "function", "name": "f", "parameters": []}])),
        "tools[0].parameters",
        "an object",
    );
    let many: Vec<_> = (0..129).map(|number| json!({"type": "function", "name": format!("f{number}")})).collect();
    assert_rejected(&tools(json!(many)), "tools", "129 tools");
    let twice = json!([{"type": "function", "name": "image_generation"}, {"type": "image_generation"}]);
    assert_rejected(&tools(twice), "tools[1]", "two tools called `image_generation`");
    let image = json!({"type": "image_generation", "partial_images": 4});
    assert_rejected(&tools(json!([image])), "tools[0].partial_images", "from 0 to 3");
    assert_rejected(
        &json!({"input": "Hi", "tool_choice": {"type": "function", "name": "f"}}),
        "tool_choice.name",
        "`tools`",
    );
    assert_rejected(&json!({"input": "Hi", "tool_choice": {"type": "image_generation"}}), "tool_choice", "`tools`");
    let format = |format: Value| json!({"input": "Hi", "text": {"format": format}});
    assert_rejected(&format(json!({"type": "xml"})), "text.format.type", "json_schema");
    assert_rejected(&format(json!({"type": "json_schema"})), "text.format.name", "is required");
    assert_rejected(&format(json!({"type": "json_schema", "name": "n"})), "text.format.schema", "is required");
    let nested = json!({"type": "json_schema", "json_schema": {"name": "n"}});
    assert_rejected(&format(nested), "text.format.json_schema", "beside `type`");
}

#[test]
fn invalid_items_are_rejected() {
    let items = |items: Value| json!({"input": items});
    let user = |part: Value| items(json!([{"role": "user", "content": "a"}, {"role": "user", "content": [part]}]));
    assert_rejected(&items(json!(["Hi"])), "input[0]", "an object");
    assert_rejected(&items(json!([{"content": "Hi"}])), "input[0]", "`role`");
    assert_rejected(&items(json!([{"role": "robot", "content": "Hi"}])), "input[0].role", "developer");
    assert_rejected(&items(json!([{"role": "user"}])), "input[0].content", "is required");
    assert_rejected(&items(json!([{"role": "user", "content": 1}])), "input[0].content", "content parts");
    assert_rejected(&items(json!([{"type": "web_search_call", "id": "x"}])), "input[0].type", "web_search_call");
    assert_rejected(
        &items(json!([{"type": "function_call", "name": "f", "arguments": ""}])),
        "input[0].call_id",
        "is required",
    );
    assert_rejected(&user(json!({"type": "image_url", "image_url": {}})), "input[1].content[0].type", "input_image");
    assert_rejected(&user(json!({"type": "input_text", "text": 1})), "input[1].content[0].text", "a string");
    assert_rejected(&user(json!({"type": "input_image"})), "input[1].content[0].image_url", "is required");
    assert_rejected(
        &user(json!({"type": "input_image", "image_url": "a.png"})),
        "input[1].content[0].image_url",
        "data:image/png",
    );
    assert_rejected(&user(json!({"type": "input_image", "file_id": "f"})), "input[1].content[0].file_id", "image_url");
    let file = |member: &str, value: &str| user(json!({"type": "input_file", member: value}));
    assert_rejected(&file("file_id", "f"), "input[1].content[0].file_id", "file_url");
    assert_rejected(&file("filename", "f"), "input[1].content[0].file_data", "is required");
    assert_rejected(&file("file_url", "a.pdf"), "input[1].content[0].file_url", "an http or https URL");
    assert_rejected(
        &user(json!({"type": "input_file", "file_url": "https://x", "file_data": "data:,"})),
        "input[1].content[0].file_data",
        "file_url",
    );
    assert_rejected(
        &user(json!({"type": "input_audio", "input_audio": {"data": "AA"}})),
        "input[1].content[0].input_audio.format",
        "",
    );
    let text = r#"{"input": "\ud800"}"#;
    assert_eq!(ResponseRequest::parse(text).unwrap_err().param.as_deref(), Some("input"));
}

#[test]
fn output_of_an_unknown_call_is_rejected() {
    let document = json!({"input": [{"type": "function_call_output", "call_id": "call_1", "output": ""}]});
    // Without items of previous responses, and without referenced items.
    let error = crate::upstream::request(&document).to_chat(&[], &[]).unwrap_err();
    assert_eq!(error.param.as_deref(), Some("input[0].call_id"));
    assert!(error.message.contains("call_1") && error.message.contains("previous_response_id"), "{error}");
}
