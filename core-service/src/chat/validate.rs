//! Validates chat requests of both APIs before they are sent anywhere.

use openai_dialect::{chat::REQUEST_MEMBERS, extra_members};
use triptych_proto::v1::{self as pb, chat_message::Content, content_part::Part, tool_choice::Choice};

use crate::{check, error::Error};

/// The most choices of one call.
const MAX_N: u32 = 128;
/// The most stop sequences; OpenAI accepts four, local servers more.
const MAX_STOP: usize = 16;

/// Validates a request; field paths in errors are relative to [`pb::ChatRequest`].
///
/// # Errors
/// [`Error::InvalidField`] for the first invalid field.
pub(super) fn check(chat: &pb::ChatRequest) -> Result<(), Error> {
    if chat.messages.is_empty() {
        return Err(Error::invalid("messages", "must contain at least one message"));
    }
    for (index, message) in chat.messages.iter().enumerate() {
        check_message(message).map_err(|error| within(&format!("messages[{index}]"), error))?;
    }
    for (index, tool) in chat.tools.iter().enumerate() {
        check_tool(tool).map_err(|error| within(&format!("tools[{index}]"), error))?;
    }
    check_choice(chat)?;
    check_format(chat.response_format.as_ref())?;
    in_range("n", chat.n, 1, MAX_N)?;
    in_range("max_completion_tokens", chat.max_completion_tokens, 1, u64::from(u32::MAX))?;
    in_range("max_tokens", chat.max_tokens, 1, u64::from(u32::MAX))?;
    in_range("temperature", chat.temperature, 0.0, 2.0)?;
    in_range("top_p", chat.top_p, 0.0, 1.0)?;
    in_range("presence_penalty", chat.presence_penalty, -2.0, 2.0)?;
    in_range("frequency_penalty", chat.frequency_penalty, -2.0, 2.0)?;
    in_range("top_logprobs", chat.top_logprobs, 0, 20)?;
    for bias in chat.logit_bias.values() {
        in_range("logit_bias", Some(*bias), -100.0, 100.0)?;
    }
    if chat.stop.len() > MAX_STOP {
        return Err(Error::invalid(
            "stop",
            format!("must contain at most {MAX_STOP} sequences, not {}", chat.stop.len()),
        ));
    }
    check::extra("extra_json", &chat.extra_json, REQUEST_MEMBERS)
}

fn check_message(message: &pb::ChatMessage) -> Result<(), Error> {
    if message.role.trim().is_empty() {
        return Err(Error::invalid(
            "role",
            "is required: for example `system`, `developer`, `user`, `assistant` or `tool`",
        ));
    }
    let is_empty = message.content.is_none() && message.refusal.is_none();
    if is_empty && matches!(message.role.as_str(), "user" | "system" | "developer") {
        return Err(Error::invalid("content", format!("is required with role `{}`", message.role)));
    }
    if let Some(Content::Parts(parts)) = &message.content {
        for (index, part) in parts.parts.iter().enumerate() {
            check_part(part).map_err(|error| within(&format!("content[{index}]"), error))?;
        }
    }
    check::extra("extra_json", &message.extra_json, &["role", "content", "name", "tool_calls", "tool_call_id"])
}

fn check_part(part: &pb::ContentPart) -> Result<(), Error> {
    match &part.part {
        None => return Err(Error::invalid("part", "is required")),
        Some(Part::ImageUrl(image)) if image.url.is_empty() => {
            return Err(Error::invalid("image_url.url", "is required: an http(s) address or a data: URL"));
        }
        Some(Part::OtherJson(json)) if extra_members(json).is_none() => {
            return Err(Error::invalid("other_json", "must be a JSON object"));
        }
        // It would be dropped.
        Some(Part::OtherJson(_)) if !part.extra_json.is_empty() => {
            return Err(Error::invalid(
                "extra_json",
                "must be empty with `other_json`, which contains all members of the part",
            ));
        }
        Some(_) => {}
    }
    check::extra("extra_json", &part.extra_json, &["type"])
}

fn check_tool(tool: &pb::Tool) -> Result<(), Error> {
    match (tool.r#type.as_str(), &tool.function) {
        ("", _) => return Err(Error::invalid("type", "is required, for example `function`")),
        ("function", None) => return Err(Error::invalid("function", "is required with type `function`")),
        (_, Some(function)) => {
            if function.name.is_empty() {
                return Err(Error::invalid("function.name", "is required"));
            }
            let schema = &function.parameters_json;
            if !schema.is_empty() && extra_members(schema).is_none() {
                return Err(Error::invalid(
                    "function.parameters_json",
                    "must be a JSON Schema in the form of a JSON object",
                ));
            }
            check::extra("function.extra_json", &function.extra_json, &["name", "parameters"])?;
        }
        (_, None) => {}
    }
    check::extra("extra_json", &tool.extra_json, &["type", "function"])
}

fn check_choice(chat: &pb::ChatRequest) -> Result<(), Error> {
    let Some(choice) = &chat.tool_choice else { return Ok(()) };
    match &choice.choice {
        None => Err(Error::invalid("tool_choice", "must be `none`, `auto`, `required` or a function")),
        Some(Choice::Mode(mode)) => match mode.as_str() {
            "required" if chat.tools.is_empty() => {
                Err(Error::invalid("tool_choice", "must not be `required` without `tools`"))
            }
            "none" | "auto" | "required" => Ok(()),
            _ => Err(Error::invalid("tool_choice", "must be `none`, `auto`, `required` or a function")),
        },
        Some(Choice::FunctionName(name)) => {
            let is_known = chat.tools.iter().any(|tool| tool.function.as_ref().is_some_and(|f| f.name == *name));
            let message = || format!("must name a function in `tools`, not `{name}`");
            if is_known { Ok(()) } else { Err(Error::invalid("tool_choice", message())) }
        }
        Some(Choice::OtherJson(json)) if extra_members(json).is_none() => {
            Err(Error::invalid("tool_choice.other_json", "must be a JSON object"))
        }
        Some(Choice::OtherJson(_)) => Ok(()),
    }
}

fn check_format(format: Option<&pb::ResponseFormat>) -> Result<(), Error> {
    let Some(format) = format else { return Ok(()) };
    match (format.r#type.as_str(), &format.json_schema) {
        ("", _) => Err(Error::invalid("response_format.type", "must be `text`, `json_object` or `json_schema`")),
        ("json_schema", None) => {
            Err(Error::invalid("response_format.json_schema", "is required with type `json_schema`"))
        }
        ("json_schema", Some(schema)) if schema.name.is_empty() => {
            Err(Error::invalid("response_format.json_schema.name", "is required"))
        }
        ("json_schema", Some(schema)) if extra_members(&schema.schema_json).is_none() => Err(Error::invalid(
            "response_format.json_schema.schema",
            "is required: a JSON Schema in the form of a JSON object",
        )),
        _ => check::extra("response_format.extra_json", &format.extra_json, &["type", "json_schema"]),
    }
}

fn in_range<T: PartialOrd + Copy + std::fmt::Display>(
    field: &str,
    value: Option<T>,
    min: T,
    max: T,
) -> Result<(), Error> {
    match value {
        // Not the negated condition: NaN must be rejected, too.
        Some(value) if value >= min && value <= max => Ok(()),
        Some(value) => Err(Error::invalid(field, format!("must be from {min} to {max}, not {value}"))),
        None => Ok(()),
    }
}

/// Prefixes the field path of an error with `parent`.
fn within(parent: &str, error: Error) -> Error {
    if let Error::InvalidField { field, message } = error {
        return Error::InvalidField { field: format!("{parent}.{field}"), message };
    }
    error
}
