//! Validates chat requests of both APIs before they are sent anywhere.
//!
//! Rejects requests that JSON cannot represent, and requests whose `extra_json` is not a JSON object or repeats a field.
//! Everything else is validated by the provider: see [`ChatProvider::check`](super::ChatProvider::check).

use openai_dialect::extra_members;
use triptych_proto::v1::{self as pb, chat_message::Content, content_part::Part, tool_choice::Choice};

use crate::{check, error::Error};

/// Validates a request; field paths in errors are relative to [`pb::ChatRequest`].
///
/// # Errors
/// [`Error::InvalidField`] for the first invalid field.
pub(super) fn check(chat: &pb::ChatRequest) -> Result<(), Error> {
    if chat.messages.is_empty() {
        return Err(Error::invalid("messages", "must contain at least one message"));
    }
    for (index, message) in chat.messages.iter().enumerate() {
        check_message(message).map_err(|error| prefix_field(&format!("messages[{index}]"), error))?;
    }
    for (index, tool) in chat.tools.iter().enumerate() {
        check_tool(tool).map_err(|error| prefix_field(&format!("tools[{index}]"), error))?;
    }
    match chat.tool_choice.as_ref().map(|choice| &choice.choice) {
        Some(None) => return Err(Error::invalid("tool_choice", "must be `none`, `auto`, `required` or a function")),
        Some(Some(Choice::OtherJson(json))) if extra_members(json).is_none() => {
            return Err(Error::invalid("tool_choice.other_json", "must be a JSON object"));
        }
        Some(Some(_)) | None => {}
    }
    if let Some(format) = &chat.response_format {
        let set = [("type", !format.r#type.is_empty()), ("json_schema", format.json_schema.is_some())];
        check::extra_beside("response_format.extra_json", &format.extra_json, &set)?;
        if let Some(schema) = &format.json_schema {
            let set = [
                ("name", !schema.name.is_empty()),
                ("description", schema.description.is_some()),
                ("schema", !schema.schema_json.is_empty()),
                ("strict", schema.strict.is_some()),
            ];
            check::extra_beside("response_format.json_schema.extra_json", &schema.extra_json, &set)?;
        }
        check_schema("response_format.json_schema.schema_json", format.json_schema.as_ref().map(|s| &s.schema_json))?;
    }
    let numbers = [
        ("temperature", chat.temperature),
        ("top_p", chat.top_p),
        ("presence_penalty", chat.presence_penalty),
        ("frequency_penalty", chat.frequency_penalty),
    ];
    let biases = chat.logit_bias.values().map(|bias| ("logit_bias", Some(*bias)));
    for (field, number) in numbers.into_iter().chain(biases) {
        if let Some(number) = number.filter(|number| !number.is_finite()) {
            return Err(Error::invalid(field, format!("must be a finite number, not {number}")));
        }
    }
    check::extra_beside("extra_json", &chat.extra_json, &set_members(chat))
}

/// Returns the members that have fields, and whether the request has the field.
fn set_members(chat: &pb::ChatRequest) -> [(&'static str, bool); 26] {
    [
        ("model", true),
        ("messages", true),
        ("stream", true),
        ("stream_options", true),
        ("tools", !chat.tools.is_empty()),
        ("tool_choice", chat.tool_choice.is_some()),
        ("parallel_tool_calls", chat.parallel_tool_calls.is_some()),
        ("response_format", chat.response_format.is_some()),
        ("n", chat.n.is_some()),
        ("max_completion_tokens", chat.max_completion_tokens.is_some()),
        ("max_tokens", chat.max_tokens.is_some()),
        ("temperature", chat.temperature.is_some()),
        ("top_p", chat.top_p.is_some()),
        ("presence_penalty", chat.presence_penalty.is_some()),
        ("frequency_penalty", chat.frequency_penalty.is_some()),
        ("seed", chat.seed.is_some()),
        ("stop", !chat.stop.is_empty()),
        ("logprobs", chat.logprobs.is_some()),
        ("top_logprobs", chat.top_logprobs.is_some()),
        ("logit_bias", !chat.logit_bias.is_empty()),
        ("modalities", !chat.modalities.is_empty()),
        ("reasoning_effort", chat.reasoning_effort.is_some()),
        ("service_tier", chat.service_tier.is_some()),
        ("user", chat.user.is_some()),
        ("metadata", !chat.metadata.is_empty()),
        ("store", chat.store.is_some()),
    ]
}

fn check_message(message: &pb::ChatMessage) -> Result<(), Error> {
    if message.role.trim().is_empty() {
        return Err(Error::invalid(
            "role",
            "is required: for example `system`, `developer`, `user`, `assistant` or `tool`",
        ));
    }
    if let Some(Content::Parts(parts)) = &message.content {
        for (index, part) in parts.parts.iter().enumerate() {
            check_part(part).map_err(|error| prefix_field(&format!("content[{index}]"), error))?;
        }
    }
    for (index, call) in message.tool_calls.iter().enumerate() {
        check_tool_call(call).map_err(|error| prefix_field(&format!("tool_calls[{index}]"), error))?;
    }
    let set = [
        ("role", true),
        ("content", message.content.is_some()),
        ("name", message.name.is_some()),
        ("tool_calls", !message.tool_calls.is_empty()),
        ("tool_call_id", message.tool_call_id.is_some()),
        ("refusal", message.refusal.is_some()),
        ("reasoning_content", message.reasoning_content.is_some()),
    ];
    check::extra_beside("extra_json", &message.extra_json, &set)
}

fn check_part(part: &pb::ContentPart) -> Result<(), Error> {
    match &part.part {
        None => return Err(Error::invalid("part", "is required")),
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
        Some(Part::ImageUrl(image)) => {
            let set = [("url", !image.url.is_empty()), ("detail", image.detail.is_some())];
            check::extra_beside("image_url.extra_json", &image.extra_json, &set)?;
        }
        Some(Part::InputAudio(audio)) => {
            let set = [("data", !audio.data.is_empty()), ("format", !audio.format.is_empty())];
            check::extra_beside("input_audio.extra_json", &audio.extra_json, &set)?;
        }
        Some(Part::File(file)) => {
            let set = [
                ("file_data", file.file_data.is_some()),
                ("file_id", file.file_id.is_some()),
                ("filename", file.filename.is_some()),
            ];
            check::extra_beside("file.extra_json", &file.extra_json, &set)?;
        }
        Some(_) => {}
    }
    check::extra_beside("extra_json", &part.extra_json, &[("type", true)])
}

fn check_tool_call(call: &pb::ToolCall) -> Result<(), Error> {
    if let Some(function) = &call.function {
        let set = [("name", !function.name.is_empty()), ("arguments", !function.arguments.is_empty())];
        check::extra_beside("function.extra_json", &function.extra_json, &set)?;
    }
    let set = [("id", !call.id.is_empty()), ("type", !call.r#type.is_empty()), ("function", call.function.is_some())];
    check::extra_beside("extra_json", &call.extra_json, &set)
}

fn check_tool(tool: &pb::Tool) -> Result<(), Error> {
    if let Some(function) = &tool.function {
        check_schema("function.parameters_json", Some(&function.parameters_json))?;
        let set = [
            ("name", true),
            ("description", function.description.is_some()),
            ("parameters", !function.parameters_json.is_empty()),
            ("strict", function.strict.is_some()),
        ];
        check::extra_beside("function.extra_json", &function.extra_json, &set)?;
    }
    let set = [("type", !tool.r#type.is_empty()), ("function", tool.function.is_some())];
    check::extra_beside("extra_json", &tool.extra_json, &set)
}

fn check_schema(field: &str, schema: Option<&String>) -> Result<(), Error> {
    match schema {
        Some(schema) if !schema.is_empty() && extra_members(schema).is_none() => {
            Err(Error::invalid(field, "must be a JSON Schema in the form of a JSON object"))
        }
        Some(_) | None => Ok(()),
    }
}

/// Prefixes the field path of an error with `parent`.
pub(super) fn prefix_field(parent: &str, error: Error) -> Error {
    if let Error::InvalidField { field, message } = error {
        return Error::InvalidField { field: format!("{parent}.{field}"), message };
    }
    error
}
