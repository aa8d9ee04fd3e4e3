//! A reply in one piece, taken apart for somebody who waits for a stream.

use triptych_proto::v1::{self as pb, chat_message::Content};

use crate::write::{append_member, scalar};

/// The pieces that a stream would have had: of each choice what it says and then its end, and the usage. `None`: it says
/// something for which a stream has no form, a content in parts.
pub fn take_apart(reply: pb::CreateChatResponse) -> Option<Vec<pb::StreamChatResponse>> {
    let pb::CreateChatResponse { id, create_time, model, choices, usage, system_fingerprint, service_tier, extra_json } =
        reply;
    let envelope = pb::StreamChatResponse {
        id,
        create_time,
        model,
        choices: Vec::new(),
        usage: None,
        system_fingerprint,
        service_tier,
        extra_json: String::new(),
    };
    let mut pieces = Vec::with_capacity(2 * choices.len() + 1);
    for choice in choices {
        for part in take_choice_apart(choice)? {
            pieces.push(pb::StreamChatResponse { choices: vec![part], ..envelope.clone() });
        }
    }
    if usage.is_some() {
        pieces.push(pb::StreamChatResponse { usage, ..envelope });
    }
    if let Some(first) = pieces.first_mut() {
        first.extra_json = extra_json;
    }
    Some(pieces)
}

fn take_choice_apart(choice: pb::ChatChoice) -> Option<[pb::ChatChunkChoice; 2]> {
    let pb::ChatChoice { index, message, finish_reason, logprobs, extra_json } = choice;
    let delta = Some(delta(message.unwrap_or_default())?);
    // A whole reply has ended, whether it says why or not.
    let finish_reason = Some(if finish_reason.is_empty() { "stop".to_owned() } else { finish_reason });
    Some([
        pb::ChatChunkChoice { index, delta, finish_reason: None, logprobs, extra_json: String::new() },
        pb::ChatChunkChoice { index, delta: Some(pb::ChatDelta::default()), finish_reason, logprobs: None, extra_json },
    ])
}

fn delta(message: pb::ChatMessage) -> Option<pb::ChatDelta> {
    let pb::ChatMessage { role, content, name, tool_calls, tool_call_id, refusal, reasoning_content, mut extra_json } =
        message;
    let content = match content {
        Some(Content::Text(text)) => Some(text),
        Some(Content::Parts(_)) => return None,
        None => None,
    };
    for (member, value) in [("name", name), ("tool_call_id", tool_call_id)] {
        if let Some(value) = value {
            let mut json = Vec::new();
            scalar(&mut json, &value);
            append_member(&mut extra_json, member, &String::from_utf8_lossy(&json));
        }
    }
    let role = Some(if role.is_empty() { "assistant".to_owned() } else { role });
    let tool_calls = (0..).zip(tool_calls).map(|(index, call)| call_delta(index, call)).collect();
    Some(pb::ChatDelta { role, content, refusal, reasoning_content, tool_calls, extra_json })
}

fn call_delta(index: u32, call: pb::ToolCall) -> pb::ToolCallDelta {
    let pb::ToolCall { id, r#type, function, extra_json } = call;
    let function = function.map(|pb::FunctionCall { name, arguments, extra_json }| pb::FunctionCallDelta {
        name: Some(name),
        arguments: Some(arguments),
        extra_json,
    });
    pb::ToolCallDelta { index, id: Some(id), r#type: Some(r#type), function, extra_json }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::chat::{read_reply, write_chunk};

    fn pieces(reply: &Value) -> Option<Vec<Value>> {
        let pieces = take_apart(read_reply(reply.to_string().as_bytes()).unwrap().response)?;
        let written = |piece: &pb::StreamChatResponse| {
            let mut out = Vec::new();
            write_chunk(&mut out, piece, false);
            serde_json::from_slice(&out).unwrap()
        };
        Some(pieces.iter().map(written).collect())
    }

    #[test]
    fn nothing_is_lost_and_everything_is_where_a_stream_has_it() {
        let function = json!({"name": "f", "arguments": "{}", "x_f": 1});
        let message = json!({
            "role": "assistant", "content": "Hi", "refusal": "no", "reasoning_content": "hm", "name": "n", "x_m": 2,
            "tool_calls": [{"id": "a", "type": "function", "function": function, "x_c": 3}]
        });
        let logprobs = json!({"content": [{"token": "Hi", "logprob": -0.5}]});
        let usage = json!({"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "x_cost": 4});
        let choices = json!([
            {"index": 0, "message": message, "finish_reason": "tool_calls", "logprobs": logprobs, "x_choice": 5},
            {"index": 1, "message": {"content": null}}
        ]);
        let all =
            json!({"id": "r", "object": "chat.completion.chunk", "created": 7, "model": "m", "service_tier": "t"});
        let with = |members: Value| {
            let mut piece = all.clone();
            piece.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
            piece
        };
        let piece = |index: u32, delta: Value, end: Value| {
            let mut choice = json!({"index": index, "delta": delta, "logprobs": null, "finish_reason": null});
            choice.as_object_mut().unwrap().extend(end.as_object().unwrap().clone());
            with(json!({"choices": [choice]}))
        };
        let mut delta = message.clone();
        delta["tool_calls"][0]["index"] = json!(0);
        let mut first = piece(0, delta, json!({"logprobs": logprobs}));
        first["x_reply"] = json!(6);
        let expected = [
            first,
            piece(0, json!({}), json!({"finish_reason": "tool_calls", "x_choice": 5})),
            piece(1, json!({"role": "assistant"}), json!({})),
            piece(1, json!({}), json!({"finish_reason": "stop"})),
            with(json!({"choices": [], "usage": usage})),
        ];
        let reply = with(json!({"choices": choices, "usage": usage, "x_reply": 6}));
        assert_eq!(pieces(&reply).unwrap(), expected);
    }

    #[test]
    fn a_content_in_parts_has_no_form_in_a_stream() {
        let message = json!({"role": "assistant", "content": [{"type": "text", "text": "Hi"}]});
        assert_eq!(pieces(&json!({"choices": [{"index": 0, "message": message}]})), None);
    }
}
