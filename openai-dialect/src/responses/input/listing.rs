//! The form in which the items of an input are listed and stored.

use serde_json::value::RawValue;

use super::super::{id::input_item_id, item::Item};
use crate::json::{extra::append_member, extra_members, write::write_scalar};

/// Returns the JSON of the message for an `input` that is a text, given as its JSON string.
pub(in crate::responses) fn message_of_text(text_json: &str) -> String {
    format!(r#"{{"type":"message","role":"user","content":[{{"type":"input_text","text":{text_json}}}]}}"#)
}

/// Returns an item of a validated input as OpenAI lists it: with `id` and `type`, content as parts, and a status where the
/// type has one. Other members are unchanged.
pub(in crate::responses) fn listed_item(json: &str, response_id: &str, position: usize) -> Item {
    let members = extra_members(json).unwrap_or_default();
    let string = |name: &str| {
        let (_, value) = members.iter().rev().find(|(other, _)| other == name)?;
        serde_json::from_str::<String>(value).ok()
    };
    let kind = string("type").unwrap_or_else(|| "message".to_owned());
    let id = string("id").filter(|id| !id.is_empty());
    let id = id.unwrap_or_else(|| input_item_id(prefix(&kind), response_id, position));
    let is_assistant = string("role").as_deref() == Some("assistant");
    let mut listed = String::new();
    append_member(&mut listed, "id", &quoted(&id));
    append_member(&mut listed, "type", &quoted(&kind));
    let needs_status = matches!(
        kind.as_str(),
        "message" | "function_call" | "function_call_output" | "custom_tool_call" | "custom_tool_call_output"
    );
    if needs_status && string("status").is_none() {
        append_member(&mut listed, "status", "\"completed\"");
    }
    for (name, value) in &members {
        match name.as_str() {
            "id" | "type" => {}
            "status" if *value == "null" => {}
            "content" if kind == "message" => append_member(&mut listed, name, &listed_content(value, is_assistant)),
            "output" if value.starts_with('[') => append_member(&mut listed, name, &listed_parts(value)),
            _ => append_member(&mut listed, name, value),
        }
    }
    Item::new(id, &kind, listed)
}

/// Returns the prefix of ids of this type of item.
fn prefix(kind: &str) -> &'static str {
    match kind {
        "message" => "msg",
        "reasoning" => "rs",
        "function_call" => "fc",
        "function_call_output" => "fco",
        "custom_tool_call" => "ctc",
        "custom_tool_call_output" => "ctco",
        _ => "item",
    }
}

/// Returns the content of a message as an array of parts with the members that OpenAI requires.
fn listed_content(json: &str, is_assistant: bool) -> String {
    if json.starts_with('"') {
        return if is_assistant {
            format!(r#"[{{"type":"output_text","text":{json},"annotations":[],"logprobs":[]}}]"#)
        } else {
            format!(r#"[{{"type":"input_text","text":{json}}}]"#)
        };
    }
    listed_parts(json)
}

fn listed_parts(json: &str) -> String {
    let parts = serde_json::from_str::<Vec<&RawValue>>(json).unwrap_or_default();
    let parts: Vec<_> = parts.into_iter().map(|part| listed_part(part.get())).collect();
    format!("[{}]", parts.join(","))
}

fn listed_part(json: &str) -> String {
    let members = extra_members(json).unwrap_or_default();
    let kind = members.iter().find(|(name, _)| name == "type").map_or("", |(_, value)| value);
    let defaults: &[(&str, &str)] = match kind {
        "\"output_text\"" => &[("annotations", "[]"), ("logprobs", "[]")],
        "\"input_image\"" => &[("detail", "\"auto\"")],
        _ => return json.to_owned(),
    };
    let mut listed = String::new();
    for (name, value) in members.iter().filter(|(_, value)| *value != "null") {
        append_member(&mut listed, name, value);
    }
    for (name, value) in defaults {
        if !members.iter().any(|(other, value)| other == name && *value != "null") {
            append_member(&mut listed, name, value);
        }
    }
    listed
}

fn quoted(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    write_scalar(&mut out, text);
    String::from_utf8_lossy(&out).into_owned()
}
