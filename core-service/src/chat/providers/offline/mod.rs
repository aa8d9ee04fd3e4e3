//! The built-in mock engine for chat (the library `offline_chat`) as a provider, under the configured model names and as models
//! that fail in a defined way (`fault_injection`).

mod validate;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use http_server::BlockingLimiter;
use offline_chat::{Choice, Completion, FinishReason, Format, PastCall, Role, Tool, ToolChoice, Turn, complete_unless};
use tokio_util::sync::CancellationToken;
use triptych_proto::{
    chat_stream::ChatChunk,
    time,
    v1::{self as pb, chat_message::Content, content_part::Part, tool_choice},
};

use crate::{
    call::Chunks,
    chat::{ChatCall, ChatProvider},
    error::{Error, ProviderError},
    fault_injection::Fault,
    models::{Entry, Visibility},
};

/// The engine's model name.
pub const MODEL: &str = "offline-chat";

/// The built-in mock engine for chat.
#[derive(Debug, Clone)]
pub struct OfflineChat {
    /// The delay between two tokens of a stream; zero: none.
    token_interval: Duration,
    limiter: BlockingLimiter,
}

impl OfflineChat {
    /// Creates the engine. `tokens_per_second` is the rate of streams; 0: without delays.
    pub fn new(tokens_per_second: u32) -> Self {
        let token_interval = Duration::from_secs(1).checked_div(tokens_per_second).unwrap_or_default();
        Self { token_interval, limiter: BlockingLimiter::per_cpu() }
    }

    /// Generates the complete response, on a blocking thread because it is pure computation. Stops soon after the future is
    /// dropped.
    async fn generate(&self, request: pb::ChatRequest) -> Result<Completion, ProviderError> {
        let stop = CancellationToken::new();
        let _stop = stop.clone().drop_guard();
        let work =
            move || complete_unless(&translate(request)?, &|| stop.is_cancelled()).map_err(|error| refused(&error));
        self.limiter
            .run(work)
            .await
            .map_err(|error| ProviderError::Broken(format!("the built-in engine broke: {error}")))?
    }
}

/// Returns the models of the engine: `names` with their aliases, the default first, then [`MODEL`] and the hidden fault
/// models.
pub fn entries(tokens_per_second: u32, names: &[(&str, &[&str])]) -> Vec<Entry<dyn ChatProvider>> {
    let engine = Arc::new(OfflineChat::new(tokens_per_second));
    let entry = |id: &str, aliases: &[&str], visibility| {
        Entry::built_in(
            id,
            aliases,
            visibility,
            ["stream", "tools", "json_schema"],
            engine.clone() as Arc<dyn ChatProvider>,
        )
    };
    let served = names.iter().map(|(id, aliases)| entry(id, aliases, Visibility::Listed));
    let own = std::iter::once(entry(MODEL, &[], Visibility::Listed));
    let faults = Fault::CHAT.iter().map(|fault| entry(&fault.model(MODEL), &[], Visibility::Hidden));
    served.chain(own).chain(faults).collect()
}

#[async_trait]
impl ChatProvider for OfflineChat {
    fn check(&self, chat: &pb::ChatRequest) -> Result<(), Error> {
        validate::check(chat)
    }

    async fn complete(&self, call: ChatCall) -> Result<pb::CreateChatResponse, ProviderError> {
        let fault = Fault::of(&call.model);
        if let Some(fault) = fault {
            within(call.context.deadline, fault.before_first_event()).await??;
        }
        if let Some(error) = fault.and_then(Fault::error) {
            return Err(error);
        }
        let Completion { choices, prompt_tokens, completion_tokens } =
            within(call.context.deadline, self.generate(Arc::unwrap_or_clone(call.request))).await??;
        Ok(pb::CreateChatResponse {
            create_time: Some(time::now()),
            choices: choices.into_iter().zip(0..).map(|(choice, index)| complete_choice(choice, index)).collect(),
            usage: Some(usage(prompt_tokens, completion_tokens)),
            ..pb::CreateChatResponse::default()
        })
    }

    async fn stream(
        &self,
        call: ChatCall,
        options: Option<pb::StreamOptions>,
    ) -> Result<Chunks<ChatChunk>, ProviderError> {
        let fault = Fault::of(&call.model);
        if let Some(fault) = fault {
            within(call.context.deadline, fault.before_first_event()).await??;
        }
        let completion = within(call.context.deadline, self.generate(Arc::unwrap_or_clone(call.request))).await??;
        let usage = usage(completion.prompt_tokens, completion.completion_tokens);
        let mut chunks: Vec<_> =
            completion.choices.into_iter().zip(0..).flat_map(|(choice, index)| chunks(choice, index)).collect();
        if options.and_then(|options| options.include_usage).unwrap_or_default() {
            chunks.push(pb::StreamChatResponse { usage: Some(usage), ..pb::StreamChatResponse::default() });
        }
        let mut chunks: Vec<_> = chunks.into_iter().map(|chunk| Ok(chunk.into())).collect();
        if let Some(error) = fault.and_then(Fault::error) {
            chunks.truncate(Fault::CUT_AFTER);
            chunks.push(Err(error));
        }
        let (interval, deadline) = (self.token_interval, call.context.deadline);
        let delayed = stream::iter(chunks).enumerate().then(move |(index, chunk)| async move {
            if index > 0 && !interval.is_zero() {
                within(deadline, tokio::time::sleep(interval)).await?;
            }
            chunk
        });
        Ok(delayed.boxed())
    }
}

/// Runs `work` until the deadline, which drops it.
async fn within<T>(
    deadline: Option<tokio::time::Instant>,
    work: impl std::future::Future<Output = T>,
) -> Result<T, ProviderError> {
    match deadline {
        None => Ok(work.await),
        Some(deadline) => tokio::time::timeout_at(deadline, work)
            .await
            .map_err(|_| ProviderError::Timeout("the deadline passed before the response was complete".to_owned())),
    }
}

/// Converts an error of the engine: a request that it cannot serve.
fn refused(error: &offline_chat::Error) -> ProviderError {
    ProviderError::Refused { message: error.message.clone(), field: Some(error.field.clone()) }
}

fn usage(prompt_tokens: u64, completion_tokens: u64) -> pb::Usage {
    pb::Usage {
        prompt_tokens,
        completion_tokens,
        total_tokens: prompt_tokens + completion_tokens,
        ..pb::Usage::default()
    }
}

fn finish_reason(finish: FinishReason) -> String {
    match finish {
        FinishReason::Stop => "stop",
        FinishReason::Length => "length",
        FinishReason::ToolCalls => "tool_calls",
    }
    .to_owned()
}

fn complete_choice(choice: Choice, index: u32) -> pb::ChatChoice {
    let content = (choice.tool_calls.is_empty()).then(|| Content::Text(choice.pieces.concat()));
    let tool_calls = choice.tool_calls.into_iter().map(|call| pb::ToolCall {
        id: call.id,
        r#type: "function".to_owned(),
        function: Some(pb::FunctionCall { name: call.name, arguments: call.arguments, extra_json: String::new() }),
        extra_json: String::new(),
    });
    pb::ChatChoice {
        index,
        message: Some(pb::ChatMessage {
            role: "assistant".to_owned(),
            content,
            tool_calls: tool_calls.collect(),
            ..pb::ChatMessage::default()
        }),
        finish_reason: finish_reason(choice.finish_reason),
        ..pb::ChatChoice::default()
    }
}

/// Returns the streamed chunks of one choice: role, text or tool calls, finish reason.
fn chunks(choice: Choice, index: u32) -> Vec<pb::StreamChatResponse> {
    let first = if choice.tool_calls.is_empty() { Some(String::new()) } else { None };
    let mut deltas =
        vec![pb::ChatDelta { role: Some("assistant".to_owned()), content: first, ..pb::ChatDelta::default() }];
    deltas.extend(
        choice.pieces.into_iter().map(|text| pb::ChatDelta { content: Some(text), ..pb::ChatDelta::default() }),
    );
    for (call, call_index) in choice.tool_calls.into_iter().zip(0..) {
        let first =
            pb::FunctionCallDelta { name: Some(call.name), arguments: Some(String::new()), extra_json: String::new() };
        deltas.push(tool_delta(pb::ToolCallDelta {
            index: call_index,
            id: Some(call.id),
            r#type: Some("function".to_owned()),
            function: Some(first),
            extra_json: String::new(),
        }));
        deltas.extend(call.pieces.into_iter().map(|text| {
            let next = pb::FunctionCallDelta { name: None, arguments: Some(text), extra_json: String::new() };
            tool_delta(pb::ToolCallDelta { index: call_index, function: Some(next), ..pb::ToolCallDelta::default() })
        }));
    }
    let last = (pb::ChatDelta::default(), Some(finish_reason(choice.finish_reason)));
    let create_time = Some(time::now());
    let steps = deltas.into_iter().map(|delta| (delta, None)).chain(std::iter::once(last));
    let steps = steps.map(|(delta, finish_reason)| pb::StreamChatResponse {
        create_time,
        choices: vec![pb::ChatChunkChoice {
            index,
            delta: Some(delta),
            finish_reason,
            ..pb::ChatChunkChoice::default()
        }],
        ..pb::StreamChatResponse::default()
    });
    steps.collect()
}

fn tool_delta(call: pb::ToolCallDelta) -> pb::ChatDelta {
    pb::ChatDelta { tool_calls: vec![call], ..pb::ChatDelta::default() }
}

/// Translates a request into the engine's types.
fn translate(chat: pb::ChatRequest) -> Result<offline_chat::Request, ProviderError> {
    Ok(offline_chat::Request {
        turns: chat.messages.into_iter().map(turn).collect(),
        tools: chat.tools.into_iter().filter_map(|tool| tool.function).map(tool).collect::<Result<_, _>>()?,
        tool_choice: match chat.tool_choice.and_then(|choice| choice.choice) {
            Some(tool_choice::Choice::Mode(mode)) if mode == "none" => ToolChoice::None,
            Some(tool_choice::Choice::Mode(mode)) if mode == "required" => ToolChoice::Required,
            Some(tool_choice::Choice::FunctionName(name)) => ToolChoice::Named(name),
            Some(tool_choice::Choice::Mode(_) | tool_choice::Choice::OtherJson(_)) | None => ToolChoice::Auto,
        },
        parallel_tool_calls: chat.parallel_tool_calls.unwrap_or(true),
        format: format(chat.response_format)?,
        n: chat.n.unwrap_or(1),
        max_tokens: chat.max_completion_tokens.or(chat.max_tokens),
        stop: chat.stop,
        seed: chat.seed,
        temperature: chat.temperature,
    })
}

/// Converts a message; of an attachment, the engine only needs the type.
fn turn(message: pb::ChatMessage) -> Turn {
    let (text, attachments) = match message.content {
        None => (message.refusal.unwrap_or_default(), Vec::new()),
        Some(Content::Text(text)) => (text, Vec::new()),
        Some(Content::Parts(parts)) => {
            let (mut texts, mut attachments) = (Vec::new(), Vec::new());
            for part in parts.parts.into_iter().filter_map(|part| part.part) {
                match part {
                    Part::Text(text) | Part::Refusal(text) => texts.push(text),
                    Part::ImageUrl(_) => attachments.push("image".to_owned()),
                    Part::InputAudio(_) => attachments.push("audio".to_owned()),
                    Part::File(_) | Part::OtherJson(_) => attachments.push("file".to_owned()),
                }
            }
            (texts.join("\n"), attachments)
        }
    };
    let role = match message.role.as_str() {
        "system" | "developer" => Role::System,
        "assistant" => Role::Assistant,
        "tool" | "function" => Role::Tool,
        _ => Role::User,
    };
    let past = message.tool_calls.into_iter().map(|call| {
        let function = call.function.unwrap_or_default();
        PastCall { id: call.id, name: function.name, arguments: function.arguments }
    });
    Turn { role, text, attachments, tool_calls: past.collect(), tool_call_id: message.tool_call_id }
}

fn tool(function: pb::FunctionTool) -> Result<Tool, ProviderError> {
    let parameters = match function.parameters_json.as_str() {
        "" => serde_json::Value::Null,
        schema => parse(schema, "tools.function.parameters")?,
    };
    Ok(Tool { name: function.name, description: function.description.unwrap_or_default(), parameters })
}

fn format(format: Option<pb::ResponseFormat>) -> Result<Format, ProviderError> {
    let Some(format) = format else { return Ok(Format::Text) };
    Ok(match (format.r#type.as_str(), format.json_schema) {
        ("json_schema", Some(schema)) => {
            Format::JsonSchema(parse(&schema.schema_json, "response_format.json_schema.schema")?)
        }
        ("json_object", _) => Format::JsonObject,
        _ => Format::Text,
    })
}

fn parse(json: &str, field: &str) -> Result<serde_json::Value, ProviderError> {
    serde_json::from_str(json)
        .map_err(|error| ProviderError::Refused { message: error.to_string(), field: Some(field.to_owned()) })
}
