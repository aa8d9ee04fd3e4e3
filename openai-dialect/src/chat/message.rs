//! Messages, in requests and in replies.

use serde::de::MapAccess;
use triptych_proto::v1 as pb;

use super::content;
use crate::{
    object::{Member, Object},
    write::{ObjectWriter, Write, append_member, object, remove_member},
};

impl Object for pb::ChatMessage {
    fn take<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        match member.name() {
            "role" => member.fill_or_null(&mut self.role),
            "content" => member.fill(&mut content::Content(&mut self.content), &mut self.extra_json),
            "name" => member.fill(&mut self.name, &mut self.extra_json),
            "tool_calls" => member.fill(&mut self.tool_calls, &mut self.extra_json),
            "tool_call_id" => member.fill(&mut self.tool_call_id, &mut self.extra_json),
            "refusal" => member.fill(&mut self.refusal, &mut self.extra_json),
            "reasoning_content" => member.fill(&mut self.reasoning_content, &mut self.extra_json),
            _ => member.keep(&mut self.extra_json),
        }
    }
}

impl Write for pb::ChatMessage {
    fn write(&self, out: &mut Vec<u8>) {
        object(out, |o| {
            o.scalar("role", &self.role);
            if let Some(content) = &self.content {
                o.value("content", content);
            }
            o.optional("refusal", self.refusal.as_ref());
            write_rest(self, o);
        });
    }
}

/// A message within a reply, where `content` and `refusal` are always written, as null if need be.
#[derive(Default)]
pub(super) struct ReplyMessage(pub(super) pb::ChatMessage);

impl Object for ReplyMessage {
    fn take<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        let message = &mut self.0;
        match member.name() {
            "content" => member.fill_or_null(&mut content::Content(&mut message.content)),
            "refusal" => member.fill_or_null(&mut message.refusal),
            "reasoning" => take_reasoning(member, &mut message.reasoning_content, &mut message.extra_json),
            "reasoning_details" => take_details(member, &mut message.reasoning_content, &mut message.extra_json),
            _ => message.take(member),
        }
    }

    fn finish(&mut self) -> Result<(), &'static str> {
        settle_reasoning(self.0.reasoning_content.as_ref(), &mut self.0.extra_json);
        Ok(())
    }
}

pub(super) fn write_in_reply(message: &pb::ChatMessage, o: &mut ObjectWriter<'_>) {
    o.scalar("role", if message.role.is_empty() { "assistant" } else { &message.role });
    match &message.content {
        Some(content) => o.value("content", content),
        None => o.raw("content", "null"),
    }
    o.nullable("refusal", message.refusal.as_ref());
    write_rest(message, o);
}

fn write_rest(message: &pb::ChatMessage, o: &mut ObjectWriter<'_>) {
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

/// `reasoning`, the other spelling of `reasoning_content`: read into the field and kept as it came, so that clients
/// of either spelling find it.
pub(super) fn take_reasoning<'de, A: MapAccess<'de>>(
    member: Member<'_, 'de, A>,
    reasoning_content: &mut Option<String>,
    extra: &mut String,
) -> Result<(), A::Error> {
    let raw = member.raw(|_| Ok(()))?;
    if reasoning_content.is_none() {
        *reasoning_content = serde_json::from_str(raw).unwrap_or_default();
    }
    append_member(extra, "reasoning", raw);
    Ok(())
}

/// `reasoning_details`, OpenRouter's list of typed items: their texts are the reasoning where nothing else is.
pub(super) fn take_details<'de, A: MapAccess<'de>>(
    member: Member<'_, 'de, A>,
    reasoning_content: &mut Option<String>,
    extra: &mut String,
) -> Result<(), A::Error> {
    #[derive(serde::Deserialize)]
    struct Item {
        #[serde(default)]
        text: Option<String>,
    }
    let raw = member.raw(|_| Ok(()))?;
    if reasoning_content.is_none()
        && let Ok(items) = serde_json::from_str::<Vec<Item>>(raw)
    {
        *reasoning_content = items.into_iter().filter_map(|item| item.text).reduce(|text, more| text + &more);
    }
    append_member(extra, "reasoning_details", raw);
    Ok(())
}

/// An explicit null under one spelling is no second value beside the text that came under another.
pub(super) fn settle_reasoning(reasoning_content: Option<&String>, extra: &mut String) {
    if reasoning_content.is_some() && extra.contains("\"reasoning_content\"") {
        remove_member(extra, "reasoning_content");
    }
}
