//! `tools` and `tool_choice` of a request: which functions a model may call, and which it must.

use serde::de::{Error as _, MapAccess};
use triptych_proto::v1::{self as pb, tool_choice::Choice};

use super::json_schema::read_json_schema;
use crate::json::{
    extra::append_member,
    object::{Member, Object},
    write::{Write, write_object, write_scalar},
};

impl Object for pb::Tool {
    fn read_member<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        match member.name() {
            "type" => member.read_or_keep(&mut self.r#type, &mut self.extra_json),
            "function" => member.read_into(&mut self.function, &mut self.extra_json),
            _ => member.keep_in(&mut self.extra_json),
        }
    }
}

impl Write for pb::Tool {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { r#type, function, extra_json } = self;
        write_object(out, |o| {
            if !r#type.is_empty() {
                o.scalar("type", r#type);
            }
            o.optional_value("function", function.as_ref());
            o.extra(extra_json);
        });
    }
}

impl Object for pb::FunctionTool {
    fn read_member<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        match member.name() {
            "name" => member.read_required_into(&mut self.name),
            "description" => member.read_into(&mut self.description, &mut self.extra_json),
            "parameters" => read_json_schema(member, &mut self.parameters_json, &mut self.extra_json),
            "strict" => member.read_into(&mut self.strict, &mut self.extra_json),
            _ => member.keep_in(&mut self.extra_json),
        }
    }
}

impl Write for pb::FunctionTool {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { name, description, parameters_json, strict, extra_json } = self;
        write_object(out, |o| {
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

/// Reads `tool_choice`: a mode, a function name, or any other object as raw text.
pub(super) fn read_tool_choice<'de, A: MapAccess<'de>>(
    member: Member<'_, 'de, A>,
    field: &mut Option<pb::ToolChoice>,
    extra: &mut String,
) -> Result<(), A::Error> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Named {
        r#type: String,
        function: Function,
    }
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Function {
        name: String,
    }

    let raw = member.raw_value(|_| Ok(()))?;
    let choice = match raw.as_bytes().first() {
        Some(b'"') => Choice::Mode(serde_json::from_str(raw).map_err(A::Error::custom)?),
        Some(b'{') => match serde_json::from_str(raw) {
            Ok(Named { r#type, function }) if r#type == "function" => Choice::FunctionName(function.name),
            Ok(_) | Err(_) => Choice::OtherJson(raw.to_owned()),
        },
        _ => {
            append_member(extra, "tool_choice", raw);
            return Ok(());
        }
    };
    *field = Some(pb::ToolChoice { choice: Some(choice) });
    Ok(())
}

impl Write for pb::ToolChoice {
    fn write(&self, out: &mut Vec<u8>) {
        match &self.choice {
            Some(Choice::Mode(mode)) => write_scalar(out, mode),
            Some(Choice::FunctionName(name)) => write_object(out, |o| {
                o.scalar("type", "function");
                o.object("function", |o| o.scalar("name", name));
            }),
            Some(Choice::OtherJson(json)) => out.extend_from_slice(json.as_bytes()),
            None => write_scalar(out, "auto"),
        }
    }
}
