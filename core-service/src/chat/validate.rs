//! Validates chat requests of both APIs, gRPC and REST, before they reach a provider.
//!
//! Rejects requests that JSON cannot represent, and requests whose `extra_json` (the JSON members without a protobuf field) is not a
//! JSON object or repeats a field. Everything else is validated by the provider: see
//! [`ChatProvider::check`](super::ChatProvider::check).

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
    match chat.tool_choice.as_ref().map(|pb::ToolChoice { choice }| choice) {
        Some(None) => return Err(Error::invalid("tool_choice", "must be `none`, `auto`, `required` or a function")),
        Some(Some(Choice::OtherJson(json))) if extra_members(json).is_none() => {
            return Err(Error::invalid("tool_choice.other_json", "must be a JSON object"));
        }
        Some(Some(_)) | None => {}
    }
    if let Some(format) = &chat.response_format {
        check_response_format(format).map_err(|error| prefix_field("response_format", error))?;
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

/// Validates the options of a stream; field paths in errors are relative to [`pb::StreamOptions`].
///
/// # Errors
/// [`Error::InvalidField`] for a member of `extra_json` that has a field.
pub(super) fn check_stream_options(options: &pb::StreamOptions) -> Result<(), Error> {
    let pb::StreamOptions { include_usage, extra_json } = options;
    check::extra_beside("extra_json", extra_json, &[("include_usage", include_usage.is_some())])
}

/// Returns the JSON members that have protobuf fields, each with whether the request sets the field.
fn set_members(chat: &pb::ChatRequest) -> [(&'static str, bool); 26] {
    // Messages are destructured without `..` in this module: a new field must be listed or ignored on purpose.
    let pb::ChatRequest {
        model: _,
        messages: _,
        tools,
        tool_choice,
        parallel_tool_calls,
        response_format,
        n,
        max_completion_tokens,
        max_tokens,
        temperature,
        top_p,
        presence_penalty,
        frequency_penalty,
        seed,
        stop,
        logprobs,
        top_logprobs,
        logit_bias,
        modalities,
        reasoning_effort,
        service_tier,
        user,
        metadata,
        store,
        extra_json: _,
    } = chat;
    [
        // Never permitted in `extra_json`. `stream` and `stream_options` have their place outside of this message.
        ("model", true),
        ("messages", true),
        ("stream", true),
        ("stream_options", true),
        ("tools", !tools.is_empty()),
        ("tool_choice", tool_choice.is_some()),
        ("parallel_tool_calls", parallel_tool_calls.is_some()),
        ("response_format", response_format.is_some()),
        ("n", n.is_some()),
        ("max_completion_tokens", max_completion_tokens.is_some()),
        ("max_tokens", max_tokens.is_some()),
        ("temperature", temperature.is_some()),
        ("top_p", top_p.is_some()),
        ("presence_penalty", presence_penalty.is_some()),
        ("frequency_penalty", frequency_penalty.is_some()),
        ("seed", seed.is_some()),
        ("stop", !stop.is_empty()),
        ("logprobs", logprobs.is_some()),
        ("top_logprobs", top_logprobs.is_some()),
        ("logit_bias", !logit_bias.is_empty()),
        ("modalities", !modalities.is_empty()),
        ("reasoning_effort", reasoning_effort.is_some()),
        ("service_tier", service_tier.is_some()),
        ("user", user.is_some()),
        ("metadata", !metadata.is_empty()),
        ("store", store.is_some()),
    ]
}

fn check_response_format(format: &pb::ResponseFormat) -> Result<(), Error> {
    let pb::ResponseFormat { r#type, json_schema, extra_json } = format;
    let set = [("type", !r#type.is_empty()), ("json_schema", json_schema.is_some())];
    check::extra_beside("extra_json", extra_json, &set)?;
    let Some(pb::JsonSchemaFormat { name, description, schema_json, strict, extra_json }) = json_schema else {
        return Ok(());
    };
    let set = [
        ("name", !name.is_empty()),
        ("description", description.is_some()),
        ("schema", !schema_json.is_empty()),
        ("strict", strict.is_some()),
    ];
    check::extra_beside("json_schema.extra_json", extra_json, &set)?;
    check_schema("json_schema.schema_json", schema_json)
}

fn check_message(message: &pb::ChatMessage) -> Result<(), Error> {
    let pb::ChatMessage { role, content, name, tool_calls, tool_call_id, refusal, reasoning_content, extra_json } =
        message;
    if role.trim().is_empty() {
        return Err(Error::invalid(
            "role",
            "is required: for example `system`, `developer`, `user`, `assistant` or `tool`",
        ));
    }
    if let Some(Content::Parts(pb::ContentParts { parts })) = content {
        for (index, part) in parts.iter().enumerate() {
            check_part(part).map_err(|error| prefix_field(&format!("content[{index}]"), error))?;
        }
    }
    for (index, call) in tool_calls.iter().enumerate() {
        check_tool_call(call).map_err(|error| prefix_field(&format!("tool_calls[{index}]"), error))?;
    }
    let set = [
        ("role", true),
        ("content", content.is_some()),
        ("name", name.is_some()),
        ("tool_calls", !tool_calls.is_empty()),
        ("tool_call_id", tool_call_id.is_some()),
        ("refusal", refusal.is_some()),
        ("reasoning_content", reasoning_content.is_some()),
    ];
    check::extra_beside("extra_json", extra_json, &set)
}

fn check_part(part: &pb::ContentPart) -> Result<(), Error> {
    let pb::ContentPart { part, extra_json } = part;
    match part {
        None => return Err(Error::invalid("part", "is required")),
        Some(Part::OtherJson(json)) if extra_members(json).is_none() => {
            return Err(Error::invalid("other_json", "must be a JSON object"));
        }
        // `extra_json` would be dropped.
        Some(Part::OtherJson(_)) if !extra_json.is_empty() => {
            return Err(Error::invalid(
                "extra_json",
                "must be empty with `other_json`, which contains all members of the part",
            ));
        }
        Some(Part::ImageUrl(pb::ImagePart { url, detail, extra_json })) => {
            let set = [("url", !url.is_empty()), ("detail", detail.is_some())];
            check::extra_beside("image_url.extra_json", extra_json, &set)?;
        }
        Some(Part::InputAudio(pb::AudioPart { data, format, extra_json })) => {
            let set = [("data", !data.is_empty()), ("format", !format.is_empty())];
            check::extra_beside("input_audio.extra_json", extra_json, &set)?;
        }
        Some(Part::File(pb::FilePart { file_data, file_id, filename, file_url, extra_json })) => {
            if file_url.is_some() && (file_data.is_some() || file_id.is_some()) {
                return Err(Error::invalid("file.file_url", "cannot be set together with `file_data` or `file_id`"));
            }
            let set = [
                ("file_data", file_data.is_some()),
                ("file_id", file_id.is_some()),
                ("filename", filename.is_some()),
                ("file_url", file_url.is_some()),
            ];
            check::extra_beside("file.extra_json", extra_json, &set)?;
        }
        Some(_) => {}
    }
    check::extra_beside("extra_json", extra_json, &[("type", true)])
}

fn check_tool_call(call: &pb::ToolCall) -> Result<(), Error> {
    let pb::ToolCall { id, r#type, function, extra_json } = call;
    if let Some(pb::FunctionCall { name, arguments, extra_json }) = function {
        let set = [("name", !name.is_empty()), ("arguments", !arguments.is_empty())];
        check::extra_beside("function.extra_json", extra_json, &set)?;
    }
    let set = [("id", !id.is_empty()), ("type", !r#type.is_empty()), ("function", function.is_some())];
    check::extra_beside("extra_json", extra_json, &set)
}

fn check_tool(tool: &pb::Tool) -> Result<(), Error> {
    let pb::Tool { r#type, function, extra_json } = tool;
    if let Some(pb::FunctionTool { name: _, description, parameters_json, strict, extra_json }) = function {
        check_schema("function.parameters_json", parameters_json)?;
        let set = [
            ("name", true),
            ("description", description.is_some()),
            ("parameters", !parameters_json.is_empty()),
            ("strict", strict.is_some()),
        ];
        check::extra_beside("function.extra_json", extra_json, &set)?;
    }
    let set = [("type", !r#type.is_empty()), ("function", function.is_some())];
    check::extra_beside("extra_json", extra_json, &set)
}

fn check_schema(field: &str, schema: &str) -> Result<(), Error> {
    if !schema.is_empty() && extra_members(schema).is_none() {
        return Err(Error::invalid(field, "must be a JSON Schema in the form of a JSON object"));
    }
    Ok(())
}

/// Prefixes the field path of an error with `parent`.
pub(super) fn prefix_field(parent: &str, error: Error) -> Error {
    if let Error::InvalidField { field, message } = error {
        return Error::InvalidField { field: format!("{parent}.{field}"), message };
    }
    error
}
