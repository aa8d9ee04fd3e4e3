//! A complete chat response as one chunk.

use triptych_proto::v1::{self as pb, chat_message::Content, content_part::Part};

/// Returns the chunk that adds the whole response. The first choice counts: a response has one output.
pub(super) fn to_chunk(response: pb::CreateChatResponse) -> pb::StreamChatResponse {
    let pb::CreateChatResponse { id, model, choices, usage, system_fingerprint, service_tier, create_time, extra_json } =
        response;
    let choices = choices.into_iter().take(1).map(|choice| {
        let pb::ChatChoice { index: _, message, finish_reason, logprobs, extra_json } = choice;
        let finish_reason = Some(finish_reason);
        pb::ChatChunkChoice { index: 0, delta: message.map(to_delta), finish_reason, logprobs, extra_json }
    });
    let choices = choices.collect();
    pb::StreamChatResponse { id, model, choices, usage, system_fingerprint, service_tier, create_time, extra_json }
}

fn to_delta(message: pb::ChatMessage) -> pb::ChatDelta {
    let pb::ChatMessage { role, content, name: _, tool_calls, tool_call_id: _, refusal, reasoning_content, extra_json } =
        message;
    let tool_calls = (0..).zip(tool_calls).map(|(index, call)| {
        let pb::ToolCall { id, r#type, function, extra_json } = call;
        let function = function.map(|pb::FunctionCall { name, arguments, extra_json }| pb::FunctionCallDelta {
            name: Some(name),
            arguments: Some(arguments),
            extra_json,
        });
        pb::ToolCallDelta { index, id: Some(id), r#type: Some(r#type), function, extra_json }
    });
    let tool_calls = tool_calls.collect();
    pb::ChatDelta {
        role: Some(role),
        content: content.map(to_text),
        refusal,
        reasoning_content,
        tool_calls,
        extra_json,
    }
}

/// Returns the text of a content. Responses of upstreams have texts; other parts have no place in a delta.
fn to_text(content: Content) -> String {
    let parts = match content {
        Content::Text(text) => return text,
        Content::Parts(pb::ContentParts { parts }) => parts,
    };
    let mut text = String::new();
    for part in parts {
        if let Some(Part::Text(more)) = part.part {
            text.push_str(&more);
        }
    }
    text
}
