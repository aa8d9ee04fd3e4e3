//! Tool calls in messages and in streamed deltas.

use serde::de::MapAccess;
use triptych_proto::v1 as pb;

use super::tool_call_index::NO_INDEX;
use crate::json::{
    extra::has_member,
    mode::Mode,
    object::{Member, Object},
    write::{Write, write_object},
};

impl Object for pb::ToolCall {
    fn read_member<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        match member.name() {
            "id" => member.read_or_keep(&mut self.id, &mut self.extra_json),
            "type" => member.read_or_keep(&mut self.r#type, &mut self.extra_json),
            "function" => member.read_into(&mut self.function, &mut self.extra_json),
            _ => member.keep_in(&mut self.extra_json),
        }
    }

    fn finish(&mut self) -> Result<(), &'static str> {
        // Some upstreams omit `type`; clients rely on it.
        if self.r#type.is_empty() && self.function.is_some() && !has_member(&self.extra_json, "type") {
            "function".clone_into(&mut self.r#type);
        }
        Ok(())
    }
}

impl Write for pb::ToolCall {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { id, r#type, function, extra_json } = self;
        write_object(out, |o| {
            if !id.is_empty() || !has_member(extra_json, "id") {
                o.scalar("id", id);
            }
            if !r#type.is_empty() || !has_member(extra_json, "type") {
                o.scalar("type", r#type);
            }
            o.optional_value("function", function.as_ref());
            o.extra(extra_json);
        });
    }
}

impl Object for pb::FunctionCall {
    fn read_member<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        match member.name() {
            "name" => member.read_text_into(&mut self.name),
            // Some upstreams send an object.
            "arguments" => member.read_text_into(&mut self.arguments),
            _ => member.keep_in(&mut self.extra_json),
        }
    }
}

impl Write for pb::FunctionCall {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { name, arguments, extra_json } = self;
        write_object(out, |o| {
            o.scalar("name", name);
            o.scalar("arguments", arguments);
            o.extra(extra_json);
        });
    }
}

/// Reads a tool call delta, whose index is optional. Some upstreams omit it; the protobuf field is not optional.
#[derive(Debug, Default)]
pub(super) struct ToolCallDeltaReader {
    index: Option<u32>,
    call: pb::ToolCallDelta,
}

impl From<ToolCallDeltaReader> for pb::ToolCallDelta {
    fn from(ToolCallDeltaReader { index, call }: ToolCallDeltaReader) -> Self {
        Self { index: index.unwrap_or(NO_INDEX), ..call }
    }
}

impl Object for ToolCallDeltaReader {
    fn read_member<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        let Self { index, call } = self;
        match member.name() {
            "index" => member.read_or_skip(index),
            "id" => member.read_into(&mut call.id, &mut call.extra_json),
            "type" => member.read_into(&mut call.r#type, &mut call.extra_json),
            "function" => member.read_into(&mut call.function, &mut call.extra_json),
            _ => member.keep_in(&mut call.extra_json),
        }
    }
}

/// Reads the `tool_calls` of a delta. Calls without an index get [`NO_INDEX`].
pub(super) fn read_tool_call_deltas<'de, A: MapAccess<'de>>(
    member: Member<'_, 'de, A>,
    calls: &mut Vec<pb::ToolCallDelta>,
    extra: &mut String,
) -> Result<(), A::Error> {
    let mut deltas: Vec<ToolCallDeltaReader> = Vec::new();
    member.read_into(&mut deltas, extra)?;
    if !deltas.is_empty() {
        *calls = deltas.into_iter().map(Into::into).collect();
    }
    Ok(())
}

impl Write for pb::ToolCallDelta {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { index, id, r#type, function, extra_json } = self;
        write_object(out, |o| {
            o.scalar("index", index);
            o.optional("id", id.as_ref());
            o.optional("type", r#type.as_ref());
            o.optional_value("function", function.as_ref());
            o.extra(extra_json);
        });
    }
}

impl Object for pb::FunctionCallDelta {
    fn read_member<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        match member.name() {
            "name" => member.read_into(&mut self.name, &mut self.extra_json),
            "arguments" => read_arguments_delta(member, &mut self.arguments, &mut self.extra_json),
            _ => member.keep_in(&mut self.extra_json),
        }
    }
}

/// Reads the arguments of a delta: a string, or an object, which becomes its JSON text.
fn read_arguments_delta<'de, A: MapAccess<'de>>(
    member: Member<'_, 'de, A>,
    arguments: &mut Option<String>,
    extra: &mut String,
) -> Result<(), A::Error> {
    match member.mode() {
        Mode::Strict => member.read_into(arguments, extra),
        Mode::Lenient => member.read_text_into(arguments),
    }
}

impl Write for pb::FunctionCallDelta {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { name, arguments, extra_json } = self;
        write_object(out, |o| {
            o.optional("name", name.as_ref());
            o.optional("arguments", arguments.as_ref());
            o.extra(extra_json);
        });
    }
}
