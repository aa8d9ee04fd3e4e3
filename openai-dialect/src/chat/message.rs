//! Messages of requests and responses. Those of responses have members in more forms, because upstreams deviate. Which method of
//! [`Member`] reads a member decides what happens to `null` and to values of another type.

use serde::de::MapAccess;
use triptych_proto::v1 as pb;

use super::{
    content::{ContentField, read_response_content},
    reasoning::{read_reasoning, read_reasoning_details, remove_null_duplicate},
};
use crate::json::{
    extra::has_member,
    object::{Member, Object},
    write::{ObjectWriter, Write, write_object},
};

impl Object for pb::ChatMessage {
    fn read_member<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        match member.name() {
            "role" => member.read_required_into(&mut self.role),
            "content" => member.read_into(&mut ContentField(&mut self.content), &mut self.extra_json),
            "name" => member.read_into(&mut self.name, &mut self.extra_json),
            "tool_calls" => member.read_into(&mut self.tool_calls, &mut self.extra_json),
            "tool_call_id" => member.read_into(&mut self.tool_call_id, &mut self.extra_json),
            "refusal" => member.read_into(&mut self.refusal, &mut self.extra_json),
            "reasoning_content" => member.read_into(&mut self.reasoning_content, &mut self.extra_json),
            _ => member.keep_in(&mut self.extra_json),
        }
    }
}

impl Write for pb::ChatMessage {
    fn write(&self, out: &mut Vec<u8>) {
        write_object(out, |o| {
            o.scalar("role", &self.role);
            if let Some(content) = &self.content {
                o.value("content", content);
            }
            o.optional("refusal", self.refusal.as_ref());
            write_common_members(o, self);
        });
    }
}

/// The message of a response, in which `content` and `refusal` are always present, possibly as `null`.
#[derive(Default)]
pub(super) struct ResponseMessage(pub(super) pb::ChatMessage);

impl Object for ResponseMessage {
    fn read_member<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        let message = &mut self.0;
        match member.name() {
            "role" => member.read_or_skip(&mut message.role),
            "content" => read_response_content(member, message),
            "refusal" => member.read_or_keep(&mut message.refusal, &mut message.extra_json),
            "reasoning" => read_reasoning(member, &mut message.reasoning_content, &mut message.extra_json),
            "reasoning_details" => {
                read_reasoning_details(member, &mut message.reasoning_content, &mut message.extra_json)
            }
            _ => message.read_member(member),
        }
    }

    fn finish(&mut self) -> Result<(), &'static str> {
        remove_null_duplicate(self.0.reasoning_content.as_ref(), &mut self.0.extra_json);
        Ok(())
    }
}

/// Writes the members of a message of a response.
pub(super) fn write_response_message(o: &mut ObjectWriter<'_>, message: &pb::ChatMessage) {
    o.scalar("role", if message.role.is_empty() { "assistant" } else { &message.role });
    match &message.content {
        Some(content) => o.value("content", content),
        None if has_member(&message.extra_json, "content") => {}
        None => o.raw("content", "null"),
    }
    if message.refusal.is_some() || !has_member(&message.extra_json, "refusal") {
        o.nullable("refusal", message.refusal.as_ref());
    }
    write_common_members(o, message);
}

/// Writes the members whose form is the same in requests and responses.
fn write_common_members(o: &mut ObjectWriter<'_>, message: &pb::ChatMessage) {
    let pb::ChatMessage {
        role: _,
        content: _,
        refusal: _,
        name,
        tool_calls,
        tool_call_id,
        reasoning_content,
        extra_json,
    } = message;
    o.optional("name", name.as_ref());
    o.optional("reasoning_content", reasoning_content.as_ref());
    o.values("tool_calls", tool_calls);
    o.optional("tool_call_id", tool_call_id.as_ref());
    o.extra(extra_json);
}
