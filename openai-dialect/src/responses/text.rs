//! `text`: the format of the response, and its verbosity.

use triptych_proto::v1 as pb;

use super::{
    error::InvalidRequest,
    fields::{Fields, Node},
};
use crate::json::extra::append_member;

/// What `text` asks for.
#[derive(Debug, Clone)]
pub(super) struct TextSettings {
    /// The format for the upstream; `None` for plain text.
    pub(super) format: Option<pb::ResponseFormat>,
    /// The JSON string of the verbosity.
    pub(super) verbosity: Option<String>,
    /// The JSON of the response's `text`.
    pub(super) echo: String,
}

impl Default for TextSettings {
    fn default() -> Self {
        Self { format: None, verbosity: None, echo: r#"{"format":{"type":"text"}}"#.to_owned() }
    }
}

/// Reads `text`.
pub(super) fn read_text(node: &Node<'_>) -> Result<TextSettings, InvalidRequest> {
    let mut fields = node.object()?;
    let mut echo = String::new();
    let format = fields.take("format");
    append_member(&mut echo, "format", format.as_ref().map_or(r#"{"type":"text"}"#, |format| format.raw()));
    let format = format.map_or(Ok(None), |format| read_format(&format))?;
    let verbosity = fields.optional("verbosity", |node| node.string().map(|_| node.raw().to_owned()))?;
    if let Some(verbosity) = &verbosity {
        append_member(&mut echo, "verbosity", verbosity);
    }
    if let Some(node) = fields.rest_with_nulls().into_iter().map(|(_, node)| node).find(|node| !node.is_null()) {
        return Err(node.unsupported("this setting is not served; omit it"));
    }
    Ok(TextSettings { format, verbosity, echo })
}

/// Reads the format. The members of a schema are beside its `type`, unlike those of `response_format` in chat completions.
fn read_format(node: &Node<'_>) -> Result<Option<pb::ResponseFormat>, InvalidRequest> {
    let mut fields = node.object()?;
    let kind = fields.required("type")?.one_of(&["text", "json_schema", "json_object"])?;
    let json_schema = match kind {
        "text" => return Ok(None),
        "json_schema" => Some(read_schema(fields)?),
        _ => None,
    };
    Ok(Some(pb::ResponseFormat { r#type: kind.to_owned(), json_schema, extra_json: String::new() }))
}

fn read_schema(mut fields: Fields<'_>) -> Result<pb::JsonSchemaFormat, InvalidRequest> {
    if let Some(nested) = fields.take("json_schema") {
        let rule = "is the form of chat completions; put `name`, `schema` and `strict` beside `type`";
        return Err(InvalidRequest::at(nested.path(), rule));
    }
    let name = fields.required("name")?.name()?;
    let schema = fields.required("schema")?;
    schema.object()?;
    let description = fields.optional("description", Node::string)?;
    let strict = fields.optional("strict", Node::boolean)?;
    let extra_json = fields.into_extra();
    Ok(pb::JsonSchemaFormat { name, description, schema_json: schema.raw().to_owned(), strict, extra_json })
}
