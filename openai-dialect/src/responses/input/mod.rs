//! The items of `input`, and the stored items of previous responses, which have the same form.

mod call;
mod item;
mod listing;
mod message;
mod part;
mod reasoning;

pub(super) use item::{Call, CallOutput, Image, InputItem, Message, Reasoning, Reference};
pub(super) use listing::{listed_item, message_of_text};

use super::{
    error::InvalidRequest,
    fields::{Fields, Node},
};

/// The end of the message about an item type that is not served.
const SERVED_TYPES: &str = "the served types are message, reasoning, function_call, function_call_output, \
    custom_tool_call, custom_tool_call_output, image_generation_call and item_reference";

/// Reads an item.
pub(super) fn read_item(node: &Node<'_>) -> Result<InputItem, InvalidRequest> {
    let mut fields = node.object()?;
    let Some(kind) = fields.take("type") else {
        return read_item_without_type(node, fields);
    };
    match kind.string()?.as_str() {
        "message" => message::read_message(fields).map(InputItem::Message),
        "reasoning" => reasoning::read_reasoning(fields).map(InputItem::Reasoning),
        "function_call" => call::read_function_call(fields).map(InputItem::Call),
        "custom_tool_call" => call::read_custom_tool_call(fields).map(InputItem::Call),
        "function_call_output" | "custom_tool_call_output" => call::read_output(fields).map(InputItem::CallOutput),
        "image_generation_call" => call::read_image_call(fields).map(InputItem::Image),
        "item_reference" => read_reference(fields).map(InputItem::Reference),
        other => Err(kind.unsupported(format_args!("items of type `{other}` are not served; {SERVED_TYPES}"))),
    }
}

/// Reads an item without `type`: a message has a role, and a reference has only an id.
fn read_item_without_type(node: &Node<'_>, mut fields: Fields<'_>) -> Result<InputItem, InvalidRequest> {
    if fields.take("role").is_some() {
        return message::read_message(node.object()?).map(InputItem::Message);
    }
    if fields.take("id").is_some() && fields.rest().is_empty() {
        return read_reference(node.object()?).map(InputItem::Reference);
    }
    Err(node.expected("a message with `role` and `content`, or an item with `type`"))
}

fn read_reference(mut fields: Fields<'_>) -> Result<Reference, InvalidRequest> {
    let id = fields.required("id")?;
    Ok(Reference { path: id.path().to_owned(), id: id.name()? })
}
