//! Validates requests for the built-in engine, which is as strict as OpenAI.
//!
//! Other upstreams validate their requests themselves: they have roles, ranges and forms of their own.

use openai_dialect::extra_members;
use triptych_proto::v1::{self as pb, chat_message::Content, content_part::Part, tool_choice::Choice};

use crate::chat::validate::prefix_field;
use crate::error::{Error, echo};

/// The most choices of one call, as for OpenAI.
const MAX_N: u32 = 128;
/// The most stop sequences; OpenAI accepts four, local servers more.
const MAX_STOP: usize = 16;

/// The JSON members of a request that have protobuf fields, and the values that [`check`] accepts, in the words of its messages. A
/// member whose value its field cannot hold, such as a text in `n`, arrives in `extra_json`, and is rejected with such a message.
const MEMBERS: [(&str, &str); 22] = [
    ("tools", "a list of tools"),
    ("tool_choice", "`none`, `auto`, `required` or a function"),
    ("parallel_tool_calls", "true or false"),
    ("response_format", "an object with a `type`"),
    ("n", "an integer from 1 to 128"),
    ("max_completion_tokens", "a positive integer"),
    ("max_tokens", "a positive integer"),
    ("temperature", "a number from 0 to 2"),
    ("top_p", "a number from 0 to 1"),
    ("presence_penalty", "a number from -2 to 2"),
    ("frequency_penalty", "a number from -2 to 2"),
    ("seed", "an integer"),
    ("stop", "a string or a list of strings"),
    ("logprobs", "true or false"),
    ("top_logprobs", "an integer from 0 to 20"),
    ("logit_bias", "an object of numbers by token id"),
    ("modalities", "a list of strings"),
    ("reasoning_effort", "a string"),
    ("service_tier", "a string"),
    ("user", "a string"),
    ("metadata", "an object of strings"),
    ("store", "true or false"),
];

/// Validates a request; field paths in errors are relative to [`pb::ChatRequest`].
///
/// # Errors
/// [`Error::InvalidField`] for the first invalid field.
pub(super) fn check(chat: &pb::ChatRequest) -> Result<(), Error> {
    for (index, message) in chat.messages.iter().enumerate() {
        check_message(message).map_err(|error| prefix_field(&format!("messages[{index}]"), error))?;
    }
    check_types(&chat.extra_json, &MEMBERS)?;
    for (index, tool) in chat.tools.iter().enumerate() {
        check_tool(tool).map_err(|error| prefix_field(&format!("tools[{index}]"), error))?;
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
    if chat.logprobs == Some(true) {
        return Err(Error::invalid("logprobs", "must not be true: the built-in engine has no log probabilities"));
    }
    if chat.top_logprobs.is_some() {
        return Err(Error::invalid(
            "top_logprobs",
            "requires `logprobs: true`, which the built-in engine does not support",
        ));
    }
    for bias in chat.logit_bias.values() {
        in_range("logit_bias", Some(*bias), -100.0, 100.0)?;
    }
    if chat.stop.len() > MAX_STOP {
        return Err(Error::invalid(
            "stop",
            format!("must contain at most {MAX_STOP} sequences, not {}", chat.stop.len()),
        ));
    }
    Ok(())
}

/// Rejects members whose value has a type that their field cannot hold. `null` and empty lists and objects are valid values: they
/// arrive in `extra_json` because a field cannot tell them from an absent member.
fn check_types(extra_json: &str, members: &[(&str, &str)]) -> Result<(), Error> {
    for (name, value) in extra_members(extra_json).unwrap_or_default() {
        if let Some((field, expected)) = members.iter().find(|(known, _)| *known == name)
            && value != "null"
            && !(value == "[]" && expected.contains("list of"))
            && !(value == "{}" && expected.starts_with("an object"))
        {
            return Err(Error::invalid(*field, format!("must be {expected}, not {}", echo(value))));
        }
    }
    Ok(())
}

fn check_message(message: &pb::ChatMessage) -> Result<(), Error> {
    let role = message.role.as_str();
    // `function` is OpenAI's deprecated predecessor of `tool`: accepted, but not suggested.
    if !["system", "developer", "user", "assistant", "tool", "function"].contains(&role) {
        return Err(Error::invalid(
            "role",
            format!("must be `system`, `developer`, `user`, `assistant` or `tool`, not `{}`", echo(role)),
        ));
    }
    check_types(
        &message.extra_json,
        &[
            ("content", "a string or a list of content parts"),
            ("name", "a string"),
            ("tool_calls", "a list of tool calls"),
            ("tool_call_id", "a string"),
            ("refusal", "a string"),
        ],
    )?;
    let is_empty = message.content.is_none() && message.refusal.is_none();
    if is_empty && matches!(role, "user" | "system" | "developer") {
        return Err(Error::invalid("content", format!("is required with role `{role}`")));
    }
    if let Some(Content::Parts(parts)) = &message.content {
        for (index, part) in parts.parts.iter().enumerate() {
            check_part(part).map_err(|error| prefix_field(&format!("content[{index}]"), error))?;
        }
    }
    for (index, call) in message.tool_calls.iter().enumerate() {
        let members = [("id", "a string"), ("type", "a string"), ("function", "an object with a `name`")];
        check_types(&call.extra_json, &members)
            .map_err(|error| prefix_field(&format!("tool_calls[{index}]"), error))?;
    }
    Ok(())
}

fn check_part(part: &pb::ContentPart) -> Result<(), Error> {
    match &part.part {
        Some(Part::ImageUrl(image)) if image.url.is_empty() => {
            Err(Error::invalid("image_url.url", "is required: an http(s) address or a data: URL"))
        }
        Some(Part::ImageUrl(image)) => {
            check_types(&image.extra_json, &[("detail", "a string")]).map_err(|error| prefix_field("image_url", error))
        }
        Some(Part::OtherJson(json)) => check_other_part(json),
        Some(_) | None => Ok(()),
    }
}

/// Rejects a part of a known type whose value its field cannot hold.
fn check_other_part(json: &str) -> Result<(), Error> {
    let members = extra_members(json).unwrap_or_default();
    let part_type =
        members.iter().find(|(name, _)| name == "type").and_then(|(_, value)| serde_json::from_str(value).ok());
    let Some::<String>(part_type) = part_type else { return Err(Error::invalid("type", "must be a string")) };
    let (field, expected) = match part_type.as_str() {
        "text" => ("text", "a string"),
        "refusal" => ("refusal", "a string"),
        "image_url" => ("image_url", "an object with a `url`"),
        "input_audio" => ("input_audio", "an object with `data` and `format`"),
        "file" => ("file", "an object"),
        _ => return Ok(()),
    };
    Err(Error::invalid(field, format!("must be {expected}")))
}

fn check_tool(tool: &pb::Tool) -> Result<(), Error> {
    check_types(&tool.extra_json, &[("type", "a string"), ("function", "an object with a `name`")])?;
    match (tool.r#type.as_str(), &tool.function) {
        ("", _) => Err(Error::invalid("type", "is required, for example `function`")),
        ("function", None) => Err(Error::invalid("function", "is required with type `function`")),
        (_, Some(function)) => {
            check_types(
                &function.extra_json,
                &[("description", "a string"), ("parameters", "a JSON Schema object"), ("strict", "true or false")],
            )
            .map_err(|error| prefix_field("function", error))?;
            if function.name.is_empty() {
                return Err(Error::invalid("function.name", "is required"));
            }
            Ok(())
        }
        (_, None) => Ok(()),
    }
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
            let message = || format!("must name a function in `tools`, not `{}`", echo(name));
            if is_known { Ok(()) } else { Err(Error::invalid("tool_choice", message())) }
        }
        Some(Choice::OtherJson(json)) => {
            let members = extra_members(json).unwrap_or_default();
            if members.iter().any(|(name, value)| name == "type" && *value == "\"function\"") {
                return Err(Error::invalid("tool_choice", "must have a `function` with a `name`"));
            }
            Ok(())
        }
    }
}

fn check_format(format: Option<&pb::ResponseFormat>) -> Result<(), Error> {
    let Some(format) = format else { return Ok(()) };
    check_types(&format.extra_json, &[("type", "a string"), ("json_schema", "an object with `name` and `schema`")])
        .map_err(|error| prefix_field("response_format", error))?;
    match (format.r#type.as_str(), &format.json_schema) {
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
        ("text" | "json_object", _) | ("json_schema", Some(_)) => Ok(()),
        _ => Err(Error::invalid("response_format.type", "must be `text`, `json_object` or `json_schema`")),
    }
}

/// Checks that a value, if there is one, is from `min` to `max`.
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
