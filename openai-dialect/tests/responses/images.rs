//! The hosted image tool over several turns.

use openai_dialect::responses::{GeneratedImage, ImageCall, ResponseWriter, Turn};
use serde_json::{Value, json};
use triptych_proto::v1 as pb;

use crate::upstream::{NOW, chat_json, checked, delta, end, items, read, request, writer};

fn document() -> Value {
    json!({
        "model": "public", "input": "Draw a cat",
        "tools": [{"type": "image_generation", "quality": "low", "partial_images": 2}],
        "tool_choice": {"type": "image_generation"},
    })
}

fn call(index: u32, id: &str, arguments: &Value) -> Value {
    let function = json!({"name": "image_generation", "arguments": arguments.to_string()});
    delta(&json!({"tool_calls": [{"index": index, "id": id, "type": "function", "function": function}]}))
}

/// Runs a turn with these chunks, and returns the events in `events` and the image calls.
fn turn(
    writer: &mut ResponseWriter,
    chunks: &[Value],
    events: &mut Vec<openai_dialect::responses::Event>,
) -> Vec<ImageCall> {
    for chunk in chunks {
        events.extend(writer.chunk(read(chunk)));
    }
    let Turn { events: more, image_calls } = writer.end_turn();
    events.extend(more);
    image_calls
}

#[test]
fn image_is_generated_over_two_turns() {
    let request = request(&document());
    // Without items of previous responses, and without referenced items.
    let mut chat = request.to_chat(&[], &[]).unwrap();
    let sent = chat_json(&chat);
    assert_eq!(sent["tool_choice"], json!({"type": "function", "function": {"name": "image_generation"}}));
    let properties = &sent["tools"][0]["function"]["parameters"]["properties"];
    assert_eq!(properties.as_object().unwrap().keys().collect::<Vec<_>>(), ["prompt", "size", "edit"]);
    assert_eq!(sent["tools"][0]["function"]["parameters"]["required"], json!(["prompt"]));

    let mut writer = writer(&request);
    let mut events = writer.start();
    let [stop, usage] = end("tool_calls");
    let chunks = [call(0, "a", &json!({"prompt": "a cat", "size": "1024x1024"})), stop, usage.clone()];
    let calls = turn(&mut writer, &chunks, &mut events);
    let [call] = calls.as_slice() else { panic!("one call, not {calls:?}") };
    assert_eq!(
        (call.prompt.as_str(), call.size.as_deref(), call.quality.as_deref()),
        ("a cat", Some("1024x1024"), Some("low"))
    );
    assert_eq!((call.partial_images, call.edit), (2, false));
    events.extend(writer.image_in_progress(call));
    events.extend(writer.image_partial(call, "AA=="));
    events.extend(writer.image_partial(call, "AQ=="));
    let image =
        GeneratedImage { base64: "Ag==".to_owned(), size: Some("1024x1024".to_owned()), ..GeneratedImage::default() };
    events.extend(writer.image_completed(call, &image));

    assert!(writer.next_turn(&mut chat));
    let sent = chat_json(&chat);
    assert_eq!(sent["tool_choice"], "auto");
    let arguments = json!({"prompt": "a cat", "size": "1024x1024"}).to_string();
    let made =
        json!([{"id": "a", "type": "function", "function": {"name": "image_generation", "arguments": arguments}}]);
    assert_eq!(sent["messages"][1], json!({"role": "assistant", "tool_calls": made}));
    let result = json!({"role": "tool", "content": "The image was generated and shown to the user. Size: 1024x1024.", "tool_call_id": "a"});
    assert_eq!(sent["messages"][2], result);

    let [stop, usage] = end("stop");
    let calls = turn(&mut writer, &[delta(&json!({"content": "Here"})), stop, usage], &mut events);
    assert!(calls.is_empty() && !writer.next_turn(&mut chat));
    events.extend(writer.finish(NOW));
    let response: Value = serde_json::from_str(&writer.response_json()).unwrap();
    assert_eq!(
        checked(&events, &response),
        [
            "created in_progress",
            "in_progress in_progress",
            "output_item.added 0 image_generation_call in_progress",
            "image_generation_call.in_progress 0",
            "image_generation_call.generating 0",
            "image_generation_call.partial_image 0 0 AA==",
            "image_generation_call.partial_image 0 1 AQ==",
            "image_generation_call.completed 0",
            "output_item.done 0 image_generation_call completed",
            "output_item.added 1 message in_progress",
            "content_part.added 1 0 output_text",
            "output_text.delta 1 0 Here",
            "output_text.done 1 0 Here",
            "content_part.done 1 0 output_text",
            "output_item.done 1 message completed",
            "completed completed",
        ]
    );
    assert_eq!(
        (&response["output"][0]["result"], &response["output"][0]["revised_prompt"]),
        (&json!("Ag=="), &json!("a cat"))
    );
    // The sum of two turns: `end` reports 15 tokens for each.
    assert_eq!(response["usage"]["total_tokens"], 30);
    assert_eq!(response["tool_choice"], json!({"type": "image_generation"}));

    // The next request sees the image as a call with its result, and may edit it.
    let output: Vec<_> = writer.output_items().cloned().collect();
    let next = crate::upstream::request(&json!({"input": "Make it blue", "previous_response_id": "resp_1"}));
    let messages = chat_json(&next.to_chat(&output, &[]).unwrap())["messages"].clone();
    let id = output[0].id();
    let function = json!({"name": "image_generation", "arguments": "{\"prompt\":\"a cat\"}"});
    assert_eq!(messages[0]["tool_calls"], json!([{"id": id, "type": "function", "function": function}]));
    assert_eq!((&messages[1]["role"], &messages[1]["tool_call_id"]), (&json!("tool"), &json!(id)));
    assert_eq!(messages[2], json!({"role": "assistant", "content": "Here"}));
    assert_eq!(next.conversation_images(&output, &[]).unwrap(), ["data:image/png;base64,Ag=="]);
}

#[test]
fn failed_calls_are_reported_to_the_model() {
    let mut document = document();
    document["max_tool_calls"] = json!(1);
    document["parallel_tool_calls"] = json!(true);
    let request = request(&document);
    let mut writer = writer(&request);
    let mut events = writer.start();
    // A call without a prompt, the one that `max_tool_calls` allows, and one beyond it.
    let chunks = [
        call(0, "a", &json!({"prompt": ""})),
        call(1, "b", &json!({"prompt": "x"})),
        call(2, "c", &json!({"prompt": "y"})),
    ];
    let calls = turn(&mut writer, &chunks, &mut events);
    assert_eq!(calls.iter().map(|call| call.call_id.as_str()).collect::<Vec<_>>(), ["b"]);
    events.extend(writer.image_failed(&calls[0], "The provider rejected the prompt."));
    assert!(writer.image_completed(&calls[0], &GeneratedImage::default()).is_empty());
    let mut chat = request.to_chat(&[], &[]).unwrap();
    assert!(writer.next_turn(&mut chat));
    let results: Vec<_> = chat.messages.iter().filter_map(|message| message.tool_call_id.clone()).collect();
    assert_eq!(results, ["a", "b", "c"]);
    // The limit is reached, so the tool is not offered again.
    assert!(chat.tools.is_empty() && chat.tool_choice.is_none() && chat.parallel_tool_calls.is_none());
    events.extend(writer.finish(NOW));
    let response: Value = serde_json::from_str(&writer.response_json()).unwrap();
    checked(&events, &response);
    let output = response["output"].as_array().unwrap();
    assert!(output.iter().all(|item| item["status"] == "failed" && item["result"] == ""));
    assert_eq!(output[1]["error"]["message"], "The provider rejected the prompt.");
}

#[test]
fn functions_of_the_client_end_the_response_after_the_images() {
    let mut document = document();
    document["tools"].as_array_mut().unwrap().push(json!({"type": "function", "name": "f"}));
    let request = request(&document);
    let mut writer = writer(&request);
    let mut events = writer.start();
    let function = json!({"name": "f", "arguments": "{}"});
    let chunks = [
        call(0, "a", &json!({"prompt": "x", "edit": true})),
        delta(&json!({"tool_calls": [{"index": 1, "id": "b", "type": "function", "function": function}]})),
    ];
    let calls = turn(&mut writer, &chunks, &mut events);
    assert!(calls[0].edit && calls[0].input_images.is_empty());
    events.extend(
        writer.image_completed(&calls[0], &GeneratedImage { base64: "AA==".to_owned(), ..GeneratedImage::default() }),
    );
    assert!(!writer.next_turn(&mut pb::ChatRequest::default()));
    events.extend(writer.finish(NOW));
    let response: Value = serde_json::from_str(&writer.response_json()).unwrap();
    checked(&events, &response);
    let kinds: Vec<_> = response["output"].as_array().unwrap().iter().map(|item| &item["type"]).collect();
    assert_eq!(kinds, ["image_generation_call", "function_call"]);

    // The result of the function follows the message with both calls.
    let history: Vec<_> = writer.output_items().cloned().collect();
    let next = crate::upstream::request(&json!({"previous_response_id": "resp_1", "input": [
        {"type": "function_call_output", "call_id": "b", "output": "ok"}
    ]}));
    let messages = chat_json(&next.to_chat(&history, &[]).unwrap())["messages"].clone();
    assert_eq!(messages[0]["tool_calls"].as_array().unwrap().len(), 2);
    assert_eq!(messages[2], json!({"role": "tool", "content": "ok", "tool_call_id": "b"}));
}

#[test]
fn second_image_of_a_response_can_edit_the_first() {
    let request = request(&document());
    let mut writer = writer(&request);
    let mut events = writer.start();
    let calls = turn(&mut writer, &[call(0, "a", &json!({"prompt": "x"}))], &mut events);
    let image = GeneratedImage {
        base64: "AA==".to_owned(),
        output_format: Some("webp".to_owned()),
        ..GeneratedImage::default()
    };
    events.extend(writer.image_completed(&calls[0], &image));
    let calls = turn(&mut writer, &[call(0, "b", &json!({"prompt": "y", "edit": true}))], &mut events);
    assert_eq!(calls[0].input_images, ["data:image/webp;base64,AA=="]);
    // The response is cancelled before the second image is finished.
    writer.cancel();
    assert!(writer.image_completed(&calls[0], &image).is_empty() && writer.image_partial(&calls[0], "AA==").is_empty());
    let response: Value = serde_json::from_str(&writer.response_json()).unwrap();
    assert_eq!((&response["status"], &response["output"][1]["status"]), (&json!("cancelled"), &json!("failed")));
}

#[test]
fn images_of_the_user_can_be_edited() {
    let image = json!({"type": "input_image", "image_url": "https://example.org/cat.png"});
    let document = json!({"input": [{"role": "user", "content": [{"type": "input_text", "text": "Blue!"}, image]}]});
    let images = request(&document).conversation_images(&items(&[]), &[]).unwrap();
    assert_eq!(images, ["https://example.org/cat.png"]);
}

#[test]
fn image_call_that_is_not_executed_fails_at_the_end() {
    let request = request(&document());
    let mut writer = writer(&request);
    let mut events = writer.start();
    let calls = turn(&mut writer, &[call(0, "a", &json!({"prompt": "x"}))], &mut events);
    events.extend(writer.finish(NOW));
    assert!(writer.image_failed(&calls[0], "late").is_empty());
    let response: Value = serde_json::from_str(&writer.response_json()).unwrap();
    let events = checked(&events, &response);
    assert_eq!(events[events.len() - 2..], ["output_item.done 0 image_generation_call failed", "completed completed"]);
}
