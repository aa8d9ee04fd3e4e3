//! A reply in pieces, put together for somebody who waits for the whole of it.

use triptych_proto::v1::{self as pb, chat_message::Content};

use crate::{
    extra_members,
    write::{append_member, remove_member},
};

/// Puts the pieces of one reply together.
#[derive(Debug, Default)]
pub struct Together(pb::CreateChatResponse);

impl Together {
    /// Adds the next piece. Of members that are told again the last one counts.
    pub fn add(&mut self, piece: pb::StreamChatResponse) {
        let reply = &mut self.0;
        let pb::StreamChatResponse {
            id,
            create_time,
            model,
            choices,
            usage,
            system_fingerprint,
            service_tier,
            extra_json,
        } = piece;
        if reply.id.is_empty() {
            (reply.id, reply.create_time, reply.model) = (id, create_time, model);
        }
        renew(&mut reply.usage, usage);
        renew(&mut reply.system_fingerprint, system_fingerprint);
        renew(&mut reply.service_tier, service_tier);
        merge(&mut reply.extra_json, &extra_json);
        for part in choices {
            let choice = the(
                &mut reply.choices,
                |choice| choice.index == part.index,
                || pb::ChatChoice { index: part.index, ..pb::ChatChoice::default() },
            );
            go_on(choice, part);
        }
    }

    /// The whole reply, its choices in order.
    pub fn into_reply(mut self) -> pb::CreateChatResponse {
        self.0.choices.sort_by_key(|choice| choice.index);
        for message in self.0.choices.iter_mut().filter_map(|choice| choice.message.as_mut()) {
            // Not all streams say who speaks.
            if message.role.is_empty() {
                "assistant".clone_into(&mut message.role);
            }
        }
        self.0
    }
}

fn go_on(choice: &mut pb::ChatChoice, part: pb::ChatChunkChoice) {
    let pb::ChatChunkChoice { index: _, delta, finish_reason, logprobs, extra_json } = part;
    if let Some(reason) = finish_reason {
        choice.finish_reason = reason;
    }
    if let Some(pb::Logprobs { content, refusal, extra_json }) = logprobs {
        let all = choice.logprobs.get_or_insert_default();
        all.content.extend(content);
        all.refusal.extend(refusal);
        merge(&mut all.extra_json, &extra_json);
    }
    merge(&mut choice.extra_json, &extra_json);
    let message = choice.message.get_or_insert_default();
    let pb::ChatDelta { role, content, refusal, reasoning_content, tool_calls, extra_json } = delta.unwrap_or_default();
    if let Some(role) = role {
        message.role = role;
    }
    match (&mut message.content, content) {
        (Some(Content::Text(all)), Some(more)) => all.push_str(&more),
        (content, Some(more)) => *content = Some(Content::Text(more)),
        (_, None) => {}
    }
    append(&mut message.refusal, refusal);
    append(&mut message.reasoning_content, reasoning_content);
    merge(&mut message.extra_json, &extra_json);
    for part in tool_calls {
        // Their numbers are their places: whoever read them gave them out one by one.
        let place = usize::try_from(part.index).unwrap_or(usize::MAX).min(message.tool_calls.len());
        if place == message.tool_calls.len() {
            message.tool_calls.push(pb::ToolCall::default());
        }
        go_on_calling(&mut message.tool_calls[place], part);
    }
}

fn go_on_calling(call: &mut pb::ToolCall, part: pb::ToolCallDelta) {
    let pb::ToolCallDelta { index: _, id, r#type, function, extra_json } = part;
    // Some repeat them empty.
    for (all, new) in [(&mut call.id, id), (&mut call.r#type, r#type)] {
        if let Some(new) = new.filter(|new| !new.is_empty()) {
            *all = new;
        }
    }
    merge(&mut call.extra_json, &extra_json);
    if let Some(pb::FunctionCallDelta { name, arguments, extra_json }) = function {
        let function = call.function.get_or_insert_default();
        if let Some(name) = name.filter(|name| !name.is_empty()) {
            function.name = name;
        }
        function.arguments.push_str(&arguments.unwrap_or_default());
        merge(&mut function.extra_json, &extra_json);
    }
}

/// The one that `is` it, or else a new one.
fn the<T>(all: &mut Vec<T>, is: impl Fn(&T) -> bool, new: impl FnOnce() -> T) -> &mut T {
    let place = all.iter().position(is).unwrap_or_else(|| {
        all.push(new());
        all.len() - 1
    });
    &mut all[place]
}

fn renew<T>(known: &mut Option<T>, told: Option<T>) {
    if told.is_some() {
        *known = told;
    }
}

fn append(all: &mut Option<String>, more: Option<String>) {
    if let Some(more) = more {
        all.get_or_insert_default().push_str(&more);
    }
}

fn merge(all: &mut String, more: &str) {
    if all == more || more.is_empty() {
        return;
    }
    for (name, value) in extra_members(more).into_iter().flatten() {
        remove_member(all, &name);
        append_member(all, &name, value);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::chat::{read_chunk, write_reply};

    #[test]
    fn everything_that_the_pieces_say_is_in_the_whole() {
        let piece = |choice: Value, more: Value| {
            let mut piece = json!({"id": "r", "created": 7, "model": "m", "choices": [choice]});
            piece.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            piece
        };
        let say = |index: u32, delta: Value| piece(json!({"index": index, "delta": delta}), json!({}));
        let call = |delta: Value| say(0, json!({"tool_calls": [delta]}));
        let token = |text: &str| json!({"content": [{"token": text, "logprob": -0.5}]});
        let pieces = [
            say(1, json!({"role": "assistant", "content": "other"})),
            say(0, json!({"role": "assistant", "reasoning_content": "h", "x_m": 1})),
            say(0, json!({"reasoning_content": "m", "x_m": 2})),
            piece(json!({"index": 0, "delta": {"content": "H"}, "logprobs": token("H")}), json!({"x_reply": [3]})),
            piece(json!({"index": 0, "delta": {"content": "i"}, "logprobs": token("i")}), json!({"service_tier": "t"})),
            call(json!({"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\""}})),
            call(json!({"index": 0, "id": "", "function": {"name": "", "arguments": ":1}"}, "x_c": 4})),
            call(json!({"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}})),
            piece(json!({"index": 0, "delta": {}, "finish_reason": "tool_calls", "x_choice": 5}), json!({})),
            piece(json!({"index": 1, "delta": {"refusal": "no"}, "finish_reason": "stop"}), json!({})),
            json!({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}}),
        ];
        let mut together = Together::default();
        for piece in &pieces {
            together.add(read_chunk(piece.to_string().as_bytes()).unwrap().response);
        }
        let mut out = Vec::new();
        write_reply(&mut out, &together.into_reply());
        let logprobs = json!({"content": [token("H")["content"][0], token("i")["content"][0]]});
        let calls = json!([
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}, "x_c": 4},
            {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}}
        ]);
        let whole: Value = serde_json::from_slice(&out).unwrap();
        let first =
            json!({"role": "assistant", "content": "Hi", "reasoning_content": "hm", "tool_calls": calls, "x_m": 2});
        assert_eq!(
            (&whole["id"], &whole["service_tier"], &whole["x_reply"], &whole["usage"]["total_tokens"]),
            (&json!("r"), &json!("t"), &json!([3]), &json!(3))
        );
        let choice = &whole["choices"][0];
        for (name, value) in first.as_object().unwrap() {
            assert_eq!(&choice["message"][name], value, "{name}");
        }
        assert_eq!((&choice["finish_reason"], &choice["x_choice"]), (&json!("tool_calls"), &json!(5)));
        for (place, token) in logprobs["content"].as_array().unwrap().iter().enumerate() {
            assert_eq!(choice["logprobs"]["content"][place]["token"], token["token"]);
        }
        assert_eq!(whole["choices"][1]["message"]["content"], "other");
        assert_eq!(whole["choices"][1]["message"]["refusal"], "no");
    }
}
