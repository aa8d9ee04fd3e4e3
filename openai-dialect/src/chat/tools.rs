//! Tools, the choice among them, calls to them, and response formats.

use serde::de::{Error as _, MapAccess};
use triptych_proto::v1::{self as pb, tool_choice::Choice};

use super::calls::NO_INDEX;
use crate::{
    object::{Member, Object},
    write::{Write, append_member, object, scalar},
};

impl Object for pb::Tool {
    fn take<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        match member.name() {
            "type" => member.fill_or_null(&mut self.r#type),
            "function" => member.fill(&mut self.function, &mut self.extra_json),
            _ => member.keep(&mut self.extra_json),
        }
    }
}

impl Write for pb::Tool {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { r#type, function, extra_json } = self;
        object(out, |o| {
            o.scalar("type", r#type);
            o.optional_value("function", function.as_ref());
            o.extra(extra_json);
        });
    }
}

impl Object for pb::FunctionTool {
    fn take<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        match member.name() {
            "name" => member.fill_or_null(&mut self.name),
            "description" => member.fill(&mut self.description, &mut self.extra_json),
            "parameters" => take_schema(member, &mut self.parameters_json, &mut self.extra_json),
            "strict" => member.fill(&mut self.strict, &mut self.extra_json),
            _ => member.keep(&mut self.extra_json),
        }
    }
}

impl Write for pb::FunctionTool {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { name, description, parameters_json, strict, extra_json } = self;
        object(out, |o| {
            o.scalar("name", name);
            o.optional("description", description.as_ref());
            if !parameters_json.is_empty() {
                o.raw("parameters", parameters_json);
            }
            o.optional("strict", strict.as_ref());
            o.extra(extra_json);
        });
    }
}

impl Object for pb::ResponseFormat {
    fn take<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        match member.name() {
            "type" => member.fill_or_null(&mut self.r#type),
            "json_schema" => member.fill(&mut self.json_schema, &mut self.extra_json),
            _ => member.keep(&mut self.extra_json),
        }
    }
}

impl Write for pb::ResponseFormat {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { r#type, json_schema, extra_json } = self;
        object(out, |o| {
            o.scalar("type", r#type);
            o.optional_value("json_schema", json_schema.as_ref());
            o.extra(extra_json);
        });
    }
}

impl Object for pb::JsonSchemaFormat {
    fn take<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        match member.name() {
            "name" => member.fill_or_null(&mut self.name),
            "description" => member.fill(&mut self.description, &mut self.extra_json),
            "schema" => take_schema(member, &mut self.schema_json, &mut self.extra_json),
            "strict" => member.fill(&mut self.strict, &mut self.extra_json),
            _ => member.keep(&mut self.extra_json),
        }
    }
}

impl Write for pb::JsonSchemaFormat {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { name, description, schema_json, strict, extra_json } = self;
        object(out, |o| {
            o.scalar("name", name);
            o.optional("description", description.as_ref());
            if !schema_json.is_empty() {
                o.raw("schema", schema_json);
            }
            o.optional("strict", strict.as_ref());
            o.extra(extra_json);
        });
    }
}

/// A JSON Schema is kept as it is spelled: models follow the order of its members.
fn take_schema<'de, A: MapAccess<'de>>(
    member: Member<'_, 'de, A>,
    field: &mut String,
    extra: &mut String,
) -> Result<(), A::Error> {
    let name = member.name().to_owned();
    let raw = member.raw(|raw| match raw.as_bytes().first() {
        Some(b'n' | b'{') => Ok(()),
        _ => Err("expected a JSON Schema, which is an object"),
    })?;
    match raw {
        "null" => append_member(extra, &name, raw),
        schema => schema.clone_into(field),
    }
    Ok(())
}

/// Reads `tool_choice`: a word, a named function, or whatever else the upstream may know.
pub(super) fn take_choice<'de, A: MapAccess<'de>>(
    member: Member<'_, 'de, A>,
    field: &mut Option<pb::ToolChoice>,
    extra: &mut String,
) -> Result<(), A::Error> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Named {
        r#type: String,
        #[serde(default)]
        function: Function,
    }
    #[derive(Default, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Function {
        name: String,
    }

    let raw = member.raw(|raw| match raw.as_bytes().first() {
        Some(b'n' | b'"' | b'{') => Ok(()),
        _ => Err("expected `none`, `auto`, `required` or an object"),
    })?;
    let choice = match raw.as_bytes().first() {
        Some(b'n') => {
            append_member(extra, "tool_choice", raw);
            return Ok(());
        }
        Some(b'"') => Choice::Mode(serde_json::from_str(raw).map_err(A::Error::custom)?),
        _ => match serde_json::from_str(raw) {
            Ok(Named { r#type, function }) if r#type == "function" => Choice::FunctionName(function.name),
            Ok(_) | Err(_) => Choice::OtherJson(raw.to_owned()),
        },
    };
    *field = Some(pb::ToolChoice { choice: Some(choice) });
    Ok(())
}

impl Write for pb::ToolChoice {
    fn write(&self, out: &mut Vec<u8>) {
        match &self.choice {
            Some(Choice::Mode(mode)) => scalar(out, mode),
            Some(Choice::FunctionName(name)) => object(out, |o| {
                o.scalar("type", "function");
                o.object("function", |o| o.scalar("name", name));
            }),
            Some(Choice::OtherJson(json)) => out.extend_from_slice(json.as_bytes()),
            None => scalar(out, "auto"),
        }
    }
}

impl Object for pb::ToolCall {
    fn take<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        match member.name() {
            "id" => member.fill_or_null(&mut self.id),
            "type" => member.fill_or_null(&mut self.r#type),
            "function" => member.fill(&mut self.function, &mut self.extra_json),
            _ => member.keep(&mut self.extra_json),
        }
    }

    fn finish(&mut self) -> Result<(), &'static str> {
        // Some upstreams leave it out; every client expects it.
        if self.r#type.is_empty() && self.function.is_some() {
            "function".clone_into(&mut self.r#type);
        }
        Ok(())
    }
}

impl Write for pb::ToolCall {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { id, r#type, function, extra_json } = self;
        object(out, |o| {
            o.scalar("id", id);
            o.scalar("type", r#type);
            o.optional_value("function", function.as_ref());
            o.extra(extra_json);
        });
    }
}

impl Object for pb::FunctionCall {
    fn take<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        match member.name() {
            "name" => member.fill_or_null(&mut self.name),
            "arguments" => member.fill_or_null(&mut self.arguments),
            _ => member.keep(&mut self.extra_json),
        }
    }
}

impl Write for pb::FunctionCall {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { name, arguments, extra_json } = self;
        object(out, |o| {
            o.scalar("name", name);
            o.scalar("arguments", arguments);
            o.extra(extra_json);
        });
    }
}

/// A piece of a call as it is read: its index may be missing, which the contract's cannot.
#[derive(Debug, Default)]
pub(super) struct ReadCallDelta {
    index: Option<u32>,
    call: pb::ToolCallDelta,
}

impl From<ReadCallDelta> for pb::ToolCallDelta {
    fn from(ReadCallDelta { index, call }: ReadCallDelta) -> Self {
        Self { index: index.unwrap_or(NO_INDEX), ..call }
    }
}

impl Object for ReadCallDelta {
    fn take<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        let Self { index, call } = self;
        match member.name() {
            "index" => member.fill_or_null(index),
            "id" => member.fill(&mut call.id, &mut call.extra_json),
            "type" => member.fill(&mut call.r#type, &mut call.extra_json),
            "function" => member.fill(&mut call.function, &mut call.extra_json),
            _ => member.keep(&mut call.extra_json),
        }
    }
}

/// Reads the `tool_calls` of a piece.
pub(super) fn take_call_deltas<'de, A: MapAccess<'de>>(
    member: Member<'_, 'de, A>,
    calls: &mut Vec<pb::ToolCallDelta>,
    extra: &mut String,
) -> Result<(), A::Error> {
    let mut read: Vec<ReadCallDelta> = Vec::new();
    member.fill(&mut read, extra)?;
    if !read.is_empty() {
        *calls = read.into_iter().map(Into::into).collect();
    }
    Ok(())
}

impl Write for pb::ToolCallDelta {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { index, id, r#type, function, extra_json } = self;
        object(out, |o| {
            o.scalar("index", index);
            o.optional("id", id.as_ref());
            o.optional("type", r#type.as_ref());
            o.optional_value("function", function.as_ref());
            o.extra(extra_json);
        });
    }
}

impl Object for pb::FunctionCallDelta {
    fn take<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        match member.name() {
            "name" => member.fill(&mut self.name, &mut self.extra_json),
            "arguments" => member.fill(&mut self.arguments, &mut self.extra_json),
            _ => member.keep(&mut self.extra_json),
        }
    }
}

impl Write for pb::FunctionCallDelta {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { name, arguments, extra_json } = self;
        object(out, |o| {
            o.optional("name", name.as_ref());
            o.optional("arguments", arguments.as_ref());
            o.extra(extra_json);
        });
    }
}
