//! `tools` and `tool_choice`.

mod choice;
mod image;

pub(super) use choice::{ToolChoice, read_tool_choice};
pub(super) use image::ImageTool;
use triptych_proto::v1 as pb;

use super::{
    error::InvalidRequest,
    fields::{Fields, Node},
    image_call::TOOL_NAME,
};
use crate::json::extra::append_member;

/// The JSON Schema of the arguments of a custom tool, which takes one text.
const CUSTOM_TOOL_SCHEMA: &str =
    r#"{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],"additionalProperties":false}"#;

/// Maximum number of tools; OpenAI's limit.
const MAX_TOOLS: usize = 128;

/// What a call of a tool becomes in the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ToolKind {
    /// `function_call`.
    Function,
    /// `custom_tool_call`.
    Custom,
    /// `image_generation_call`.
    Image,
}

/// The tools of a request.
#[derive(Debug, Clone, Default)]
pub(super) struct Tools {
    /// The functions that the upstream sees.
    pub(super) functions: Vec<pb::Tool>,
    /// Names of the custom tools.
    custom: Vec<String>,
    /// The settings of the hosted image tool, if it is offered.
    pub(super) image: Option<ImageTool>,
    /// The JSON of the response's `tools`, without brackets.
    pub(super) echo: String,
}

impl Tools {
    /// Returns what a call of the tool with this name becomes. Models also call names that were not offered.
    pub(super) fn kind(&self, name: &str) -> ToolKind {
        if name == TOOL_NAME && self.image.is_some() {
            ToolKind::Image
        } else if self.custom.iter().any(|custom| custom == name) {
            ToolKind::Custom
        } else {
            ToolKind::Function
        }
    }

    fn has(&self, name: &str) -> bool {
        self.functions.iter().any(|tool| function_name(tool) == name)
    }
}

/// Returns the name of a function tool.
pub(super) fn function_name(tool: &pb::Tool) -> &str {
    tool.function.as_ref().map_or("", |function| &function.name)
}

/// Reads `tools`.
pub(super) fn read_tools(node: &Node<'_>) -> Result<Tools, InvalidRequest> {
    let mut tools = Tools::default();
    let nodes = node.array()?;
    if nodes.len() > MAX_TOOLS {
        let rule = format_args!("has {} tools; at most {MAX_TOOLS} are allowed", nodes.len());
        return Err(InvalidRequest::at(node.path(), rule));
    }
    for tool in nodes {
        let mut fields = tool.object()?;
        let kind = fields.required("type")?;
        let (function, echo) = match kind.string()?.as_str() {
            "function" => (read_function(fields)?, listed_function(&tool)?),
            "custom" => {
                let function = read_custom(fields)?;
                tools.custom.push(function.name.clone());
                (function, tool.raw().to_owned())
            }
            "image_generation" => {
                let image = image::read_image_tool(fields)?;
                let function = image.function();
                tools.image = Some(image);
                (function, tool.raw().to_owned())
            }
            other => {
                let message = format!(
                    "tools of type `{other}` are not served; the served types are function, custom and image_generation"
                );
                return Err(kind.unsupported(message));
            }
        };
        if tools.has(&function.name) {
            return Err(InvalidRequest::at(
                tool.path(),
                format_args!("there are two tools called `{}`", function.name),
            ));
        }
        if !tools.echo.is_empty() {
            tools.echo.push(',');
        }
        tools.echo.push_str(&echo);
        let r#type = "function".to_owned();
        tools.functions.push(pb::Tool { r#type, function: Some(function), extra_json: String::new() });
    }
    Ok(tools)
}

/// Reads a function. `strict` is passed on as it was given: an upstream may reject schemas for strictness that the client
/// never asked for.
fn read_function(mut fields: Fields<'_>) -> Result<pb::FunctionTool, InvalidRequest> {
    if let Some(nested) = fields.take("function") {
        let rule = "is the form of chat completions; put `name`, `parameters` and `strict` beside `type`";
        return Err(InvalidRequest::at(nested.path(), rule));
    }
    let name = fields.required("name")?.name()?;
    let description = fields.optional("description", Node::string)?;
    let parameters = fields.optional("parameters", |node| node.object().map(|_| node.raw().to_owned()))?;
    let strict = fields.optional("strict", Node::boolean)?;
    let extra_json = fields.into_extra();
    Ok(pb::FunctionTool { name, description, parameters_json: parameters.unwrap_or_default(), strict, extra_json })
}

/// Reads a custom tool. Its input is free text: a grammar would need an upstream that enforces it.
fn read_custom(mut fields: Fields<'_>) -> Result<pb::FunctionTool, InvalidRequest> {
    let name = fields.required("name")?.name()?;
    let description = fields.optional("description", Node::string)?;
    if let Some(format) = fields.take("format") {
        let kind = format.object()?.required("type")?;
        if kind.string()? != "text" {
            return Err(kind.unsupported("custom tools with a grammar are not served; the served format is `text`"));
        }
    }
    if let Some(parameters) = fields.take("parameters") {
        return Err(parameters.unsupported("custom tools have no parameters; use a tool of type `function`"));
    }
    let strict = fields.optional("strict", Node::boolean)?;
    let extra_json = fields.into_extra();
    Ok(pb::FunctionTool { name, description, parameters_json: CUSTOM_TOOL_SCHEMA.to_owned(), strict, extra_json })
}

/// Returns the JSON of a function in a response, which always has `parameters` and `strict`.
fn listed_function(tool: &Node<'_>) -> Result<String, InvalidRequest> {
    let mut listed = String::new();
    let members = tool.object()?.rest();
    for (name, value) in &members {
        append_member(&mut listed, name, value);
    }
    for name in ["parameters", "strict"] {
        if !members.iter().any(|(other, _)| other == name) {
            append_member(&mut listed, name, "null");
        }
    }
    Ok(listed)
}
