//! Splits a complete response into the chunks of a stream, for upstreams that ignore `stream: true`.

use triptych_proto::v1::{self as pb, chat_message::Content};

use crate::json::{extra::append_member, write::write_scalar};

/// Splits a response into chunks: for each choice one with its message and one with its finish reason, then one with the
/// usage. The extra members of the response are in the first chunk.
///
/// Returns `None` if the content of a message consists of parts, which a delta cannot represent. `read_response` leaves none:
/// it joins the texts of parts.
pub fn split_response(response: pb::CreateChatResponse) -> Option<Vec<pb::StreamChatResponse>> {
    let pb::CreateChatResponse { id, create_time, model, choices, usage, system_fingerprint, service_tier, extra_json } =
        response;
    // The members that all chunks have.
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
    let mut chunks = Vec::with_capacity(2 * choices.len() + 1);
    for choice in choices {
        for part in split_choice(choice)? {
            chunks.push(pb::StreamChatResponse { choices: vec![part], ..envelope.clone() });
        }
    }
    if usage.is_some() {
        chunks.push(pb::StreamChatResponse { usage, ..envelope });
    }
    if let Some(first) = chunks.first_mut() {
        first.extra_json = extra_json;
    }
    Some(chunks)
}

/// Splits a choice into the chunk of its message and that of its finish reason.
fn split_choice(choice: pb::ChatChoice) -> Option<[pb::ChatChunkChoice; 2]> {
    let pb::ChatChoice { index, message, finish_reason, logprobs, extra_json } = choice;
    let delta = Some(delta_of(message.unwrap_or_default())?);
    // A complete response has ended, even if it has no finish reason.
    let finish_reason = Some(if finish_reason.is_empty() { "stop".to_owned() } else { finish_reason });
    Some([
        pb::ChatChunkChoice { index, delta, finish_reason: None, logprobs, extra_json: String::new() },
        pb::ChatChunkChoice { index, delta: Some(pb::ChatDelta::default()), finish_reason, logprobs: None, extra_json },
    ])
}

/// Returns the delta with a whole message. Members that deltas do not have are kept as extra members.
fn delta_of(message: pb::ChatMessage) -> Option<pb::ChatDelta> {
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
            write_scalar(&mut json, &value);
            append_member(&mut extra_json, member, &String::from_utf8_lossy(&json));
        }
    }
    let role = Some(if role.is_empty() { "assistant".to_owned() } else { role });
    let tool_calls = (0..).zip(tool_calls).map(|(index, call)| tool_call_delta(index, call)).collect();
    Some(pb::ChatDelta { role, content, refusal, reasoning_content, tool_calls, extra_json })
}

fn tool_call_delta(index: u32, call: pb::ToolCall) -> pb::ToolCallDelta {
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
    use crate::chat::{MissingUsage, read_response, write_chunk};

    /// Returns the chunks of a response, as JSON.
    fn chunks(response: &Value) -> Option<Vec<Value>> {
        let chunks = split_response(read_response(response.to_string().as_bytes()).unwrap().response)?;
        let to_json = |chunk: &pb::StreamChatResponse| {
            let mut out = Vec::new();
            write_chunk(&mut out, chunk, MissingUsage::Omit);
            serde_json::from_slice(&out).unwrap()
        };
        Some(chunks.iter().map(to_json).collect())
    }

    #[test]
    fn chunks_contain_every_member_of_the_response() {
        // Members called `x_...` are extensions of a vendor.
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
        let envelope =
            json!({"id": "r", "object": "chat.completion.chunk", "created": 7, "model": "m", "service_tier": "t"});
        let with = |members: Value| {
            let mut chunk = envelope.clone();
            chunk.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
            chunk
        };
        let chunk = |index: u32, delta: Value, more: Value| {
            let mut choice = json!({"index": index, "delta": delta, "logprobs": null, "finish_reason": null});
            choice.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            with(json!({"choices": [choice]}))
        };
        let mut delta = message.clone();
        delta["tool_calls"][0]["index"] = json!(0);
        let mut first = chunk(0, delta, json!({"logprobs": logprobs}));
        first["x_response"] = json!(6);
        let expected = [
            first,
            chunk(0, json!({}), json!({"finish_reason": "tool_calls", "x_choice": 5})),
            chunk(1, json!({"role": "assistant"}), json!({})),
            chunk(1, json!({}), json!({"finish_reason": "stop"})),
            with(json!({"choices": [], "usage": usage})),
        ];
        let response = with(json!({"choices": choices, "usage": usage, "x_response": 6}));
        assert_eq!(chunks(&response).unwrap(), expected);
    }

    #[test]
    fn text_of_content_parts_is_one_chunk() {
        let message = json!({"role": "assistant", "content": [{"type": "text", "text": "Hi"}]});
        let chunks = chunks(&json!({"choices": [{"index": 0, "message": message}]})).unwrap();
        assert_eq!(chunks[0]["choices"][0]["delta"]["content"], "Hi");
    }
}
