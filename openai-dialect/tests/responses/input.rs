//! Items of the input and of previous responses as messages of a chat request. The slices that `to_chat` and `input_items` take are the
//! items of previous responses, and the items that the input refers to.

use openai_dialect::responses::{Item, response_of_item};
use serde_json::{Value, json};

use crate::upstream::{ID, chat, chat_json, items, request};

fn messages(input: &Value) -> Value {
    chat(&json!({"input": input}))["messages"].clone()
}

#[test]
fn text_and_instructions_become_messages() {
    let document = json!({"model": "public", "instructions": "Be brief", "input": "Hi"});
    let expected = json!([{"role": "system", "content": "Be brief"}, {"role": "user", "content": "Hi"}]);
    assert_eq!(chat(&document)["messages"], expected);
}

#[test]
fn messages_keep_role_parts_and_unknown_members() {
    let input = json!([
        {"role": "developer", "content": "Rules", "id": null, "status": null},
        {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]},
        {"role": "user", "x_vendor": [1.50], "content": [
            {"type": "input_text", "text": "Look"},
            {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low", "file_id": null},
            {"type": "input_image", "image_url": "https://example.org/a.png", "x_part": 1},
            {"type": "input_file", "file_data": "data:application/pdf;base64,AA==", "filename": "a.pdf"},
            {"type": "input_file", "file_url": "https://example.org/b.pdf", "file_data": null},
            {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
        ]},
        {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "phase": "final_answer", "content": [
            {"type": "output_text", "text": "It ", "annotations": [], "logprobs": []},
            {"type": "output_text", "text": "is", "annotations": []},
            {"type": "refusal", "refusal": "no"},
        ]},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "never"}]},
    ]);
    let parts = json!([
        {"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}, "x_part": 1},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA==", "filename": "a.pdf"}},
        {"type": "file", "file": {"file_url": "https://example.org/b.pdf"}},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
    ]);
    let expected = json!([
        {"role": "developer", "content": "Rules"},
        {"role": "system", "content": "ab"},
        {"role": "user", "content": parts, "x_vendor": [1.50]},
        {"role": "assistant", "content": "It is", "refusal": "no"},
        {"role": "assistant", "refusal": "never"},
    ]);
    assert_eq!(messages(&input), expected);
}

fn tool_call(id: &str, name: &str, arguments: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
}

#[test]
fn items_of_a_turn_become_one_message() {
    let output = |id: &str, output: Value| json!({"type": "function_call_output", "call_id": id, "output": output});
    let call = |id: &str| json!({"type": "function_call", "id": "fc_1", "call_id": id, "name": "f", "arguments": "{}", "status": "completed"});
    let input = json!([
        {"role": "user", "content": "Hi"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]},
        {"role": "assistant", "content": "Let me see"},
        call("a"),
        {"type": "reasoning", "id": "rs_2", "summary": [{"type": "summary_text", "text": "so"}]},
        {"type": "custom_tool_call", "call_id": "b", "name": "shell", "input": "ls \"x\""},
        {"role": "assistant", "content": "."},
        output("a", json!("1")),
        {"type": "custom_tool_call_output", "call_id": "b", "output": [{"type": "input_text", "text": "2"}]},
        call("c"),
        output("c", json!([{"type": "input_text", "text": "3"}, {"type": "input_image", "image_url": "data:,x"}])),
        {"role": "assistant", "content": "Done"},
        {"role": "assistant", "content": "Really"},
        {"type": "reasoning", "id": "rs_3", "summary": [{"type": "summary_text", "text": "cut"}]},
    ]);
    let calls = json!([tool_call("a", "f", "{}"), tool_call("b", "shell", "{\"input\":\"ls \\\"x\\\"\"}")]);
    let parts = json!([{"type": "text", "text": "3"}, {"type": "image_url", "image_url": {"url": "data:,x"}}]);
    let expected = json!([
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Let me see.", "reasoning_content": "hm\n\nso", "tool_calls": calls},
        {"role": "tool", "content": "1", "tool_call_id": "a"},
        {"role": "tool", "content": "2", "tool_call_id": "b"},
        {"role": "assistant", "tool_calls": [tool_call("c", "f", "{}")]},
        {"role": "tool", "content": parts, "tool_call_id": "c"},
        {"role": "assistant", "content": "Done"},
        {"role": "assistant", "content": "Really"},
        {"role": "assistant", "content": "", "reasoning_content": "cut"},
    ]);
    assert_eq!(messages(&input), expected);
}

#[test]
fn generated_image_of_the_input_becomes_a_call_and_its_result() {
    let input = json!([
        {"role": "user", "content": "Draw"},
        {"type": "image_generation_call", "id": "ig_1", "status": "failed", "result": null},
        {"role": "assistant", "content": "Sorry"},
    ]);
    let call = tool_call("ig_1", "image_generation", "{\"prompt\":\"\"}");
    let expected = json!([
        {"role": "user", "content": "Draw"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "content": "The image could not be generated.", "tool_call_id": "ig_1"},
        {"role": "assistant", "content": "Sorry"},
    ]);
    assert_eq!(messages(&input), expected);
}

#[test]
fn history_precedes_the_input_without_its_instructions() {
    let first = json!({"instructions": "Old", "input": "One"});
    let mut history = request(&first).input_items(ID, &[], &[]);
    history.extend(items(&[json!({
        "id": "msg_2", "type": "message", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": "Two", "annotations": [], "logprobs": []}],
    })]));
    let document = json!({"instructions": "New", "previous_response_id": ID, "input": "Three"});
    let chat = chat_json(&request(&document).to_chat(&history, &[]).unwrap());
    let expected = json!([
        {"role": "system", "content": "New"},
        {"role": "user", "content": "One"},
        {"role": "assistant", "content": "Two"},
        {"role": "user", "content": "Three"},
    ]);
    assert_eq!(chat["messages"], expected);
}

#[test]
fn references_are_resolved_once() {
    let document = json!({"input": [
        {"type": "item_reference", "id": "msg_known"},
        {"id": "msg_history"},
        {"role": "user", "content": "Go on"},
    ]});
    let request = request(&document);
    assert_eq!(request.references(), ["msg_known", "msg_history"]);
    let message = |id: &str, text: &str| {
        items(&[
            json!({"id": id, "type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}),
        ])
    };
    let (known, history) = (message("msg_known", "Known"), message("msg_history", "History"));
    let chat = chat_json(&request.to_chat(&history, &known).unwrap());
    let expected = json!([
        {"role": "assistant", "content": "History"},
        {"role": "assistant", "content": "Known"},
        {"role": "user", "content": "Go on"},
    ]);
    assert_eq!(chat["messages"], expected);
    let ids: Vec<_> = request.input_items(ID, &history, &known).iter().map(|item| item.id().to_owned()).collect();
    assert_eq!(ids[..2], ["msg_known", "msg_history"]);
    let error = request.to_chat(&history, &[]).unwrap_err();
    assert_eq!(error.param.as_deref(), Some("input[0].id"));
}

#[test]
fn items_are_listed_with_ids_types_parts_and_status() {
    let document = json!({"input": [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Ho"},
        {"role": "user", "content": [{"type": "input_image", "image_url": "https://example.org/a.png"}]},
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "a", "output": "1.50"},
        {"type": "function_call_output", "call_id": "a", "output": [{"type": "input_image", "image_url": "data:,x"}]},
        {"type": "reasoning", "id": "rs_1", "summary": []},
    ]});
    let request = request(&document);
    let listed = request.input_items(ID, &[], &[]);
    let digits = ID.strip_prefix("resp_").unwrap();
    let id = |prefix: &str, position: u32| format!("{prefix}_{digits}0{position:04x}");
    let output_text = json!({"type": "output_text", "text": "Ho", "annotations": [], "logprobs": []});
    let image = json!({"type": "input_image", "image_url": "https://example.org/a.png", "detail": "auto"});
    let expected = [
        json!({"id": id("msg", 0), "type": "message", "status": "completed", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}),
        json!({"id": id("msg", 1), "type": "message", "status": "completed", "role": "assistant", "content": [output_text]}),
        json!({"id": id("msg", 2), "type": "message", "status": "completed", "role": "user", "content": [image]}),
        json!({"id": id("fc", 3), "type": "function_call", "status": "completed", "call_id": "a", "name": "f", "arguments": "{}"}),
        json!({"id": id("fco", 4), "type": "function_call_output", "status": "completed", "call_id": "a", "output": "1.50"}),
        json!({"id": id("fco", 5), "type": "function_call_output", "status": "completed", "call_id": "a", "output": [{"type": "input_image", "image_url": "data:,x", "detail": "auto"}]}),
        json!({"id": "rs_1", "type": "reasoning", "summary": []}),
    ];
    let json: Vec<Value> = listed.iter().map(|item| serde_json::from_str(item.to_json()).unwrap()).collect();
    assert_eq!(json, expected);
    for item in &listed {
        assert_eq!(Item::from_json(item.to_json()).as_ref(), Some(item));
    }
    assert_eq!(response_of_item(listed[0].id()).as_deref(), Some(ID));
    // Items in listed form stay as they are.
    let again = crate::upstream::request(&json!({"input": json}));
    assert_eq!(again.input_items("resp_other", &[], &[]), listed);
    assert_eq!(request.input_items(ID, &[], &[]), listed);
    let text = crate::upstream::request(&json!({"input": "Hi"})).input_items(ID, &[], &[]);
    assert_eq!(serde_json::from_str::<Value>(text[0].to_json()).unwrap(), expected[0]);
}
