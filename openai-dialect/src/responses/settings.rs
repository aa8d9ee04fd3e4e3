//! The settings of a request: everything but its input, its tools and its text format, which have modules of their own.

use triptych_proto::v1 as pb;

use super::{
    echo::Echo,
    error::InvalidRequest,
    fields::{Fields, Node},
    metadata::read_metadata,
    refused::refuse_unserved,
    text::{TextSettings, read_text},
    tools::{ToolChoice, Tools, read_tool_choice, read_tools},
};
use crate::{chat::read_request, json::extra::append_member};

/// The values of `include`. Items always have the URLs of their images.
const INCLUDES: [&str; 3] = [ENCRYPTED_REASONING, LOGPROBS, "message.input_image.image_url"];
const ENCRYPTED_REASONING: &str = "reasoning.encrypted_content";
const LOGPROBS: &str = "message.output_text.logprobs";
/// The values of `include` for hosted tools that are not served. SDKs send them beside these tools only.
const UNSERVED_INCLUDES: [&str; 5] = [
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
];

/// The settings of a validated request.
#[derive(Debug, Clone, Default)]
pub(super) struct Settings {
    /// The chat request without messages.
    pub(super) chat: pb::ChatRequest,
    pub(super) instructions: Option<String>,
    pub(super) tools: Tools,
    pub(super) max_tool_calls: Option<u64>,
    /// Whether the output has log probabilities.
    pub(super) logprobs: bool,
    /// Whether reasoning items have `encrypted_content`.
    pub(super) encrypted_reasoning: bool,
    /// Whether reasoning is written as a summary. Chat upstreams send one reasoning text; clients that ask for a summary
    /// display summaries only.
    pub(super) reasoning_summary: bool,
    pub(super) echo: Echo,
}

/// Takes the settings from the members of a request. All members that remain are unknown and passed on to the upstream, as
/// in chat completions: vendors add members to their APIs, and the upstream judges them.
pub(super) fn read_settings(mut fields: Fields<'_>) -> Result<Settings, InvalidRequest> {
    let mut settings = Settings::default();
    refuse_unserved(&mut fields)?;
    // A chat request as JSON: its reader knows which members have fields.
    let mut members = r#"{"model":"","messages":[]}"#.to_owned();
    settings.instructions = fields.optional("instructions", |node| {
        node.raw().clone_into(&mut settings.echo.instructions);
        node.string()
    })?;
    read_sampling(&mut fields, &mut settings, &mut members)?;
    read_reasoning(&mut fields, &mut settings, &mut members)?;
    read_identifiers(&mut fields, &mut settings, &mut members)?;
    read_includes(&mut fields, &mut settings)?;
    let TextSettings { format, verbosity, echo } = fields.optional("text", read_text)?.unwrap_or_default();
    settings.echo.text = echo;
    if let Some(verbosity) = verbosity {
        append_member(&mut members, "verbosity", &verbosity);
    }
    settings.tools = fields.optional("tools", read_tools)?.unwrap_or_default();
    settings.echo.tools = format!("[{}]", settings.tools.echo);
    let choice = fields.take("tool_choice");
    if let Some(choice) = &choice {
        choice.raw().clone_into(&mut settings.echo.tool_choice);
    }
    let choice = choice.map(|choice| read_tool_choice(&choice, &settings.tools)).transpose()?;
    let parallel = fields.optional("parallel_tool_calls", Node::boolean)?;
    settings.echo.parallel_tool_calls = parallel.unwrap_or(true);
    if let Some(options) = fields.take("stream_options") {
        // Obfuscation hides the lengths of deltas from observers of the network; events are not padded in either case.
        options.object()?.optional("include_obfuscation", Node::boolean)?;
    }
    for (name, value) in fields.rest() {
        append_member(&mut members, &name, value);
    }
    settings.echo.compact();
    let read = read_request(members.as_bytes());
    settings.chat = read.map_err(|error| InvalidRequest::at(&error.path, error.message))?.chat;
    settings.chat.response_format = format;
    apply_tools(&mut settings, &choice.unwrap_or_default(), parallel);
    if settings.logprobs {
        settings.chat.logprobs = Some(true);
    }
    Ok(settings)
}

/// Adds the tools to the chat request. OpenAI rejects a choice or `parallel_tool_calls` without tools.
fn apply_tools(settings: &mut Settings, choice: &ToolChoice, parallel: Option<bool>) {
    let chat = &mut settings.chat;
    chat.tools.clone_from(&settings.tools.functions);
    choice.apply(chat);
    if !chat.tools.is_empty() {
        chat.parallel_tool_calls = parallel;
    }
}

fn read_sampling(fields: &mut Fields<'_>, settings: &mut Settings, members: &mut String) -> Result<(), InvalidRequest> {
    let echo = &mut settings.echo;
    for (name, max, echo) in [("temperature", 2.0, &mut echo.temperature), ("top_p", 1.0, &mut echo.top_p)] {
        if let Some(node) = fields.take(name) {
            node.number(0.0..=max)?;
            append_member(members, name, node.raw());
            node.raw().clone_into(echo);
        }
    }
    if let Some(node) = fields.take("max_output_tokens") {
        let limit = node.integer(1..=u64::MAX)?.to_string();
        append_member(members, "max_completion_tokens", &limit);
        echo.max_output_tokens = limit;
    }
    if let Some(node) = fields.take("max_tool_calls") {
        let limit = node.integer(0..=u64::MAX)?;
        echo.max_tool_calls = limit.to_string();
        settings.max_tool_calls = Some(limit);
    }
    if let Some(node) = fields.take("top_logprobs") {
        let count = node.integer(0..=20)?;
        echo.top_logprobs = count.to_string();
        if count > 0 {
            settings.logprobs = true;
            append_member(members, "top_logprobs", &echo.top_logprobs);
        }
    }
    // The gateway does not know the context windows of upstreams, so it removes nothing; the upstream may.
    if let Some(truncation) = fields.optional("truncation", |node| node.one_of(&["auto", "disabled"]))? {
        echo.truncation = truncation;
    }
    Ok(())
}

fn read_reasoning(
    fields: &mut Fields<'_>,
    settings: &mut Settings,
    members: &mut String,
) -> Result<(), InvalidRequest> {
    let Some(node) = fields.take("reasoning") else { return Ok(()) };
    let mut reasoning = node.object()?;
    let mut echo = String::new();
    let mut effort_json = "null";
    if let Some(effort) = reasoning.take("effort") {
        effort.name()?;
        append_member(members, "reasoning_effort", effort.raw());
        effort_json = effort.raw();
    }
    append_member(&mut echo, "effort", effort_json);
    let mut summary_json = "null";
    // `generate_summary` is the older name.
    for name in ["generate_summary", "summary"] {
        if let Some(summary) = reasoning.take(name) {
            summary.one_of(&["auto", "concise", "detailed"])?;
            settings.reasoning_summary = true;
            summary_json = summary.raw();
        }
    }
    append_member(&mut echo, "summary", summary_json);
    let mut others = String::new();
    for (name, value) in reasoning.rest() {
        append_member(&mut echo, &name, value);
        append_member(&mut others, &name, value);
    }
    if !others.is_empty() {
        // The name that OpenRouter gives the same object in chat completions.
        append_member(members, "reasoning", &others);
    }
    settings.echo.reasoning = echo;
    Ok(())
}

fn read_identifiers(
    fields: &mut Fields<'_>,
    settings: &mut Settings,
    members: &mut String,
) -> Result<(), InvalidRequest> {
    let echo = &mut settings.echo;
    if let Some(user) = fields.take("user") {
        user.string()?;
        append_member(members, "user", user.raw());
        echo.user = Some(user.raw().to_owned());
    }
    let identifiers = [
        ("safety_identifier", &mut echo.safety_identifier),
        ("prompt_cache_key", &mut echo.prompt_cache_key),
        ("service_tier", &mut echo.service_tier),
    ];
    for (name, echo) in identifiers {
        if let Some(node) = fields.take(name) {
            node.string()?;
            append_member(members, name, node.raw());
            node.raw().clone_into(echo);
        }
    }
    // Not passed on: OpenAI rejects metadata of chat requests that it does not store, and this API stores the response.
    if let Some(metadata) = fields.optional("metadata", read_metadata)? {
        echo.metadata = metadata;
    }
    Ok(())
}

fn read_includes(fields: &mut Fields<'_>, settings: &mut Settings) -> Result<(), InvalidRequest> {
    for include in fields.optional("include", Node::array)?.unwrap_or_default() {
        if UNSERVED_INCLUDES.contains(&include.string().unwrap_or_default().as_str()) {
            let message = format!("{} belongs to a hosted tool that is not served; leave it out", include.raw());
            return Err(include.unsupported(message));
        }
        match include.one_of(&INCLUDES)? {
            LOGPROBS => settings.logprobs = true,
            ENCRYPTED_REASONING => settings.encrypted_reasoning = true,
            _ => {}
        }
    }
    Ok(())
}
