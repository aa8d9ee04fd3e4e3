//! The hosted image generation tool, which an upstream sees as a function.

use triptych_proto::v1 as pb;

use super::super::{
    error::InvalidRequest,
    fields::{Fields, Node},
    image_call::{ImageCall, TOOL_NAME},
};
use crate::json::write::write_object;

const DESCRIPTION: &str = "Generates an image from a prompt, or edits the last image of the conversation, and shows the \
    image to the user.";
const PROMPT: &str = "A complete description of the image; with `edit`, a description of the change.";
const SIZE: &str = "WIDTHxHEIGHT in pixels, for example 1024x1024, 1536x1024 or 1024x1536, or auto.";
const EDIT: &str = "true: change the last image of the conversation. false: generate a new image.";

/// The settings of the tool.
#[derive(Debug, Clone, Default)]
pub(in crate::responses) struct ImageTool {
    /// The settings that every call has; its `prompt` and ids are empty.
    settings: ImageCall,
    /// `generate`, `edit` or `auto`.
    action: Option<&'static str>,
}

/// Arguments of the model.
#[derive(serde::Deserialize)]
struct Arguments {
    prompt: String,
    #[serde(default)]
    size: Option<String>,
    #[serde(default)]
    edit: Option<bool>,
}

/// Reads the settings of the tool.
pub(super) fn read_image_tool(mut fields: Fields<'_>) -> Result<ImageTool, InvalidRequest> {
    let mut text = |name: &str| fields.optional(name, Node::name);
    let mut settings = ImageCall {
        model: text("model")?,
        size: text("size")?.filter(|size| size != "auto"),
        quality: text("quality")?.filter(|quality| quality != "auto"),
        background: text("background")?.filter(|background| background != "auto"),
        output_format: text("output_format")?,
        moderation: text("moderation")?,
        input_fidelity: text("input_fidelity")?,
        ..ImageCall::default()
    };
    let integer =
        |node: Node<'_>, max: u64| node.integer(0..=max).map(|number| u32::try_from(number).unwrap_or(u32::MAX));
    settings.output_compression = fields.take("output_compression").map(|node| integer(node, 100)).transpose()?;
    settings.partial_images = fields.take("partial_images").map_or(Ok(0), |node| integer(node, 3))?;
    if let Some(mask) = fields.take("input_image_mask") {
        let mut mask = mask.object()?;
        if let Some(file_id) = mask.take("file_id") {
            return Err(file_id.unsupported("stored files are not served; send the mask in `image_url`"));
        }
        settings.mask = Some(mask.required("image_url")?.name()?);
    }
    let action = fields.optional("action", |node| node.one_of(&["generate", "edit", "auto"]))?;
    if let Some(node) = fields.rest_with_nulls().into_iter().map(|(_, node)| node).find(|node| !node.is_null()) {
        return Err(node.unsupported("this setting is not served; omit it"));
    }
    Ok(ImageTool { settings, action })
}

impl ImageTool {
    /// Returns the function that the upstream sees. Settings that the request fixes are not left to the model.
    pub(super) fn function(&self) -> pb::FunctionTool {
        let mut schema = Vec::new();
        write_object(&mut schema, |o| {
            o.scalar("type", "object");
            o.object("properties", |o| {
                let mut property = |name, kind: &str, description: &str| {
                    o.object(name, |o| {
                        o.scalar("type", kind);
                        o.scalar("description", description);
                    });
                };
                property("prompt", "string", PROMPT);
                if self.settings.size.is_none() {
                    property("size", "string", SIZE);
                }
                if self.may_choose_edit() {
                    property("edit", "boolean", EDIT);
                }
            });
            o.scalar("required", &["prompt"]);
        });
        pb::FunctionTool {
            name: TOOL_NAME.to_owned(),
            description: Some(DESCRIPTION.to_owned()),
            parameters_json: String::from_utf8_lossy(&schema).into_owned(),
            strict: None,
            extra_json: String::new(),
        }
    }

    /// Returns the call that the model's arguments describe, without ids. The error, why it cannot be executed, is sent to the model.
    pub(in crate::responses) fn call(&self, arguments: &str) -> Result<ImageCall, String> {
        let Arguments { prompt, size, edit } = serde_json::from_str(arguments)
            .map_err(|error| format!("The arguments must be a JSON object with a string `prompt`: {error}"))?;
        if prompt.trim().is_empty() {
            return Err("The prompt must not be empty.".to_owned());
        }
        let size = self.settings.size.clone().or(size).filter(|size| !size.is_empty());
        let edit = if self.may_choose_edit() { edit.unwrap_or_default() } else { self.action == Some("edit") };
        Ok(ImageCall { prompt, size, edit, ..self.settings.clone() })
    }

    fn may_choose_edit(&self) -> bool {
        matches!(self.action, None | Some("auto"))
    }
}
