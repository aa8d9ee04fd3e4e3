//! `tool_choice`: which tools the model may or must call.

use triptych_proto::v1::{self as pb, tool_choice::Choice};

use super::{
    super::{error::InvalidRequest, fields::Node, image_call::TOOL_NAME},
    Tools, function_name,
};

/// The choice of a request.
#[derive(Debug, Clone, Default)]
pub(in crate::responses) struct ToolChoice {
    /// The choice for the upstream.
    pub(in crate::responses) choice: Option<Choice>,
    /// The names of the allowed tools, if the choice restricts them.
    pub(in crate::responses) allowed: Option<Vec<String>>,
}

/// Reads `tool_choice`; the tools that it names must be in `tools`.
pub(in crate::responses) fn read_tool_choice(node: &Node<'_>, tools: &Tools) -> Result<ToolChoice, InvalidRequest> {
    if node.is_string() {
        let mode = node.one_of(&["none", "auto", "required"])?;
        if mode == "required" && tools.functions.is_empty() {
            return Err(node.expected("`tools` with at least one tool, or the choice `auto`"));
        }
        return Ok(ToolChoice { choice: Some(Choice::Mode(mode.to_owned())), allowed: None });
    }
    let mut fields = node.object().map_err(|_| node.expected("none, auto, required or an object with `type`"))?;
    let kind = fields.required("type")?;
    match kind.string()?.as_str() {
        "allowed_tools" => {
            let mode = fields.required("mode")?.one_of(&["auto", "required"])?;
            let mut allowed = Vec::new();
            for tool in fields.required("tools")?.array()? {
                allowed.push(named_tool(&tool, tools)?);
            }
            Ok(ToolChoice { choice: Some(Choice::Mode(mode.to_owned())), allowed: Some(allowed) })
        }
        _ => Ok(ToolChoice { choice: Some(Choice::FunctionName(named_tool(node, tools)?)), allowed: None }),
    }
}

impl ToolChoice {
    /// Removes the tools that are not allowed. Filtering works with every upstream; few know `allowed_tools`.
    pub(in crate::responses) fn apply(&self, chat: &mut pb::ChatRequest) {
        if let Some(allowed) = &self.allowed {
            chat.tools.retain(|tool| allowed.iter().any(|name| name == function_name(tool)));
        }
        // OpenAI rejects a chat request with a choice and without tools.
        if !chat.tools.is_empty() {
            chat.tool_choice = self.choice.clone().map(|choice| pb::ToolChoice { choice: Some(choice) });
        }
    }
}

/// Reads an object that names a tool, and returns its name for the upstream.
fn named_tool(node: &Node<'_>, tools: &Tools) -> Result<String, InvalidRequest> {
    let mut fields = node.object()?;
    let kind = fields.required("type")?;
    let (name, path) = match kind.string()?.as_str() {
        "function" | "custom" => {
            let name = fields.required("name")?;
            (name.name()?, name.path().to_owned())
        }
        "image_generation" => (TOOL_NAME.to_owned(), node.path().to_owned()),
        other => {
            let message = format!(
                "tools of type `{other}` are not served; the served types are function, custom and image_generation"
            );
            return Err(kind.unsupported(message));
        }
    };
    if tools.has(&name) {
        Ok(name)
    } else {
        Err(InvalidRequest::at(&path, format_args!("{name:?} is not one of `tools`; add the tool there")))
    }
}
