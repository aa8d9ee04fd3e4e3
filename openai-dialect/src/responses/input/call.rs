//! Calls of tools and their results.

use triptych_proto::v1::chat_message::Content;

use super::{
    super::{
        error::InvalidRequest,
        fields::{Fields, Node},
    },
    item::{Call, CallOutput, Image},
    part,
};
use crate::json::write::write_object;

/// Reads a `function_call`.
pub(super) fn read_function_call(mut fields: Fields<'_>) -> Result<Call, InvalidRequest> {
    let call_id = fields.required("call_id")?.name()?;
    let name = fields.required("name")?.name()?;
    let arguments = fields.required("arguments")?.string()?;
    Ok(Call { id: call_id, name, arguments })
}

/// Reads a `custom_tool_call`. The upstream sees a custom tool as a function with the argument `input`.
pub(super) fn read_custom_tool_call(mut fields: Fields<'_>) -> Result<Call, InvalidRequest> {
    let call_id = fields.required("call_id")?.name()?;
    let name = fields.required("name")?.name()?;
    let input = fields.required("input")?.string()?;
    let mut arguments = Vec::new();
    write_object(&mut arguments, |o| o.scalar("input", &input));
    Ok(Call { id: call_id, name, arguments: String::from_utf8_lossy(&arguments).into_owned() })
}

/// Reads a `function_call_output` or `custom_tool_call_output`, whose output is a text or an array of parts.
pub(super) fn read_output(mut fields: Fields<'_>) -> Result<CallOutput, InvalidRequest> {
    let call_id = fields.required("call_id")?;
    let output = fields.required("output")?;
    let content =
        if output.is_string() { Content::Text(output.string()?) } else { part::to_content(part::read_parts(&output)?) };
    Ok(CallOutput { path: call_id.path().to_owned(), call_id: call_id.name()?, content })
}

/// Reads an `image_generation_call`.
pub(super) fn read_image_call(mut fields: Fields<'_>) -> Result<Image, InvalidRequest> {
    let id = fields.required("id")?.name()?;
    let prompt = fields.optional("revised_prompt", Node::string)?.unwrap_or_default();
    let format = fields.optional("output_format", Node::string)?.unwrap_or_else(|| "png".to_owned());
    let result = fields.optional("result", Node::string)?.filter(|result| !result.is_empty());
    let url = result.map(|base64| format!("data:image/{format};base64,{base64}"));
    Ok(Image { id, prompt, url })
}
