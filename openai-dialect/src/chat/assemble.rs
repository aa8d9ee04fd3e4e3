//! Assembles the chunks of a stream into a complete response, for models that only stream.

use triptych_proto::v1::{self as pb, chat_message::Content};

use crate::json::extra::{append_member, extra_members, remove_member};

/// Assembles the chunks of one response.
#[derive(Debug, Default)]
pub struct ResponseAssembler(pb::CreateChatResponse);

impl ResponseAssembler {
    /// Adds the next chunk. Texts are concatenated; of all other members that occur repeatedly, the last value is kept.
    ///
    /// Tool calls must have an index, see [`ToolCallIndexer`](super::ToolCallIndexer).
    pub fn push(&mut self, chunk: pb::StreamChatResponse) {
        let response = &mut self.0;
        let pb::StreamChatResponse {
            id,
            create_time,
            model,
            choices,
            usage,
            system_fingerprint,
            service_tier,
            extra_json,
        } = chunk;
        if response.id.is_empty() {
            (response.id, response.create_time, response.model) = (id, create_time, model);
        }
        replace(&mut response.usage, usage);
        replace(&mut response.system_fingerprint, system_fingerprint);
        replace(&mut response.service_tier, service_tier);
        merge_members(&mut response.extra_json, &extra_json);
        for part in choices {
            push_choice(choice_at(&mut response.choices, part.index), part);
        }
    }

    /// Returns the complete response, with the choices ordered by index.
    pub fn finish(mut self) -> pb::CreateChatResponse {
        self.0.choices.sort_by_key(|choice| choice.index);
        for message in self.0.choices.iter_mut().filter_map(|choice| choice.message.as_mut()) {
            // Some upstreams omit the role in streams.
            if message.role.is_empty() {
                "assistant".clone_into(&mut message.role);
            }
        }
        self.0
    }
}

/// Returns the choice with this index; adds it if it is missing.
fn choice_at(choices: &mut Vec<pb::ChatChoice>, index: u32) -> &mut pb::ChatChoice {
    let position = choices.iter().position(|choice| choice.index == index).unwrap_or_else(|| {
        choices.push(pb::ChatChoice { index, ..pb::ChatChoice::default() });
        choices.len() - 1
    });
    &mut choices[position]
}

/// Adds the part of a choice that one chunk has.
fn push_choice(choice: &mut pb::ChatChoice, part: pb::ChatChunkChoice) {
    let pb::ChatChunkChoice { index: _, delta, finish_reason, logprobs, extra_json } = part;
    if let Some(reason) = finish_reason {
        choice.finish_reason = reason;
    }
    if let Some(pb::Logprobs { content, refusal, extra_json }) = logprobs {
        let logprobs = choice.logprobs.get_or_insert_default();
        logprobs.content.extend(content);
        logprobs.refusal.extend(refusal);
        merge_members(&mut logprobs.extra_json, &extra_json);
    }
    merge_members(&mut choice.extra_json, &extra_json);
    push_delta(choice.message.get_or_insert_default(), delta.unwrap_or_default());
}

/// Adds a delta to the message of its choice.
fn push_delta(message: &mut pb::ChatMessage, delta: pb::ChatDelta) {
    let pb::ChatDelta { role, content, refusal, reasoning_content, tool_calls, extra_json } = delta;
    if let Some(role) = role {
        message.role = role;
    }
    match (&mut message.content, content) {
        (Some(Content::Text(text)), Some(more)) => text.push_str(&more),
        (content, Some(more)) => *content = Some(Content::Text(more)),
        (_, None) => {}
    }
    append(&mut message.refusal, refusal);
    append(&mut message.reasoning_content, reasoning_content);
    merge_members(&mut message.extra_json, &extra_json);
    for part in tool_calls {
        // The index of a call is its position. An index beyond the end adds one call instead of allocating up to it.
        let position = usize::try_from(part.index).unwrap_or(usize::MAX).min(message.tool_calls.len());
        if position == message.tool_calls.len() {
            message.tool_calls.push(pb::ToolCall::default());
        }
        push_tool_call(&mut message.tool_calls[position], part);
    }
}

fn push_tool_call(call: &mut pb::ToolCall, part: pb::ToolCallDelta) {
    let pb::ToolCallDelta { index: _, id, r#type, function, extra_json } = part;
    // Some upstreams repeat id, type and name as empty strings.
    for (field, value) in [(&mut call.id, id), (&mut call.r#type, r#type)] {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            *field = value;
        }
    }
    merge_members(&mut call.extra_json, &extra_json);
    if let Some(pb::FunctionCallDelta { name, arguments, extra_json }) = function {
        let function = call.function.get_or_insert_default();
        if let Some(name) = name.filter(|name| !name.is_empty()) {
            function.name = name;
        }
        function.arguments.push_str(&arguments.unwrap_or_default());
        merge_members(&mut function.extra_json, &extra_json);
    }
}

fn replace<T>(field: &mut Option<T>, value: Option<T>) {
    if value.is_some() {
        *field = value;
    }
}

fn append(text: &mut Option<String>, more: Option<String>) {
    if let Some(more) = more {
        text.get_or_insert_default().push_str(&more);
    }
}

/// Adds the members of `more` to an `extra_json`, replacing those of the same name.
fn merge_members(extra: &mut String, more: &str) {
    if extra == more || more.is_empty() {
        return;
    }
    for (name, value) in extra_members(more).into_iter().flatten() {
        remove_member(extra, &name);
        append_member(extra, &name, value);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::chat::{read_chunk, write_response};

    #[test]
    fn assembled_response_contains_every_member_of_the_chunks() {
        // `more` are further members of the chunk. Those called `x_...`, at each level, are extensions of a vendor.
        let chunk = |choice: Value, more: Value| {
            let mut chunk = json!({"id": "r", "created": 7, "model": "m", "choices": [choice]});
            chunk.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            chunk
        };
        let delta = |index: u32, delta: Value| chunk(json!({"index": index, "delta": delta}), json!({}));
        let call = |call: Value| delta(0, json!({"tool_calls": [call]}));
        let token = |text: &str| json!({"content": [{"token": text, "logprob": -0.5}]});
        let chunks = [
            delta(1, json!({"role": "assistant", "content": "other"})),
            delta(0, json!({"role": "assistant", "reasoning_content": "h", "x_m": 1})),
            delta(0, json!({"reasoning_content": "m", "x_m": 2})),
            chunk(json!({"index": 0, "delta": {"content": "H"}, "logprobs": token("H")}), json!({"x_response": [3]})),
            chunk(json!({"index": 0, "delta": {"content": "i"}, "logprobs": token("i")}), json!({"service_tier": "t"})),
            call(json!({"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\""}})),
            call(json!({"index": 0, "id": "", "function": {"name": "", "arguments": ":1}"}, "x_c": 4})),
            call(json!({"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}})),
            chunk(json!({"index": 0, "delta": {}, "finish_reason": "tool_calls", "x_choice": 5}), json!({})),
            chunk(json!({"index": 1, "delta": {"refusal": "no"}, "finish_reason": "stop"}), json!({})),
            json!({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}}),
        ];
        let mut assembler = ResponseAssembler::default();
        for chunk in &chunks {
            assembler.push(read_chunk(chunk.to_string().as_bytes()).unwrap().response);
        }
        let mut out = Vec::new();
        write_response(&mut out, &assembler.finish());
        let logprobs = json!({"content": [token("H")["content"][0], token("i")["content"][0]]});
        let calls = json!([
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}, "x_c": 4},
            {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}}
        ]);
        let response: Value = serde_json::from_slice(&out).unwrap();
        let message =
            json!({"role": "assistant", "content": "Hi", "reasoning_content": "hm", "tool_calls": calls, "x_m": 2});
        assert_eq!(
            (&response["id"], &response["service_tier"], &response["x_response"], &response["usage"]["total_tokens"]),
            (&json!("r"), &json!("t"), &json!([3]), &json!(3))
        );
        let choice = &response["choices"][0];
        for (name, value) in message.as_object().unwrap() {
            assert_eq!(&choice["message"][name], value, "{name}");
        }
        assert_eq!((&choice["finish_reason"], &choice["x_choice"]), (&json!("tool_calls"), &json!(5)));
        for (position, token) in logprobs["content"].as_array().unwrap().iter().enumerate() {
            assert_eq!(choice["logprobs"]["content"][position]["token"], token["token"]);
        }
        assert_eq!(response["choices"][1]["message"]["content"], "other");
        assert_eq!(response["choices"][1]["message"]["refusal"], "no");
    }
}
