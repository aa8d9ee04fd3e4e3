//! The request types of the mock chat engine, modelled on OpenAI's chat completions.

use serde_json::Value;

/// A chat completion request. All fields except `turns` can be left at their default.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The conversation, oldest message first. May be empty.
    pub turns: Vec<Turn>,
    /// The functions that the reply may call.
    pub tools: Vec<Tool>,
    /// Whether the reply may, must or must not call a tool.
    pub tool_choice: ToolChoice,
    /// Whether one choice may contain several tool calls.
    pub parallel_tool_calls: bool,
    /// Required format of the content.
    pub format: Format,
    /// Number of choices. Zero counts as one. There is no upper bound here; the cost is linear.
    pub n: u32,
    /// Maximum number of tokens per choice.
    pub max_tokens: Option<u64>,
    /// Stop sequences: the content ends before the first occurrence of any of them. Empty ones are ignored.
    pub stop: Vec<String>,
    /// Varies the reply. Without a seed the reply depends on the conversation alone.
    pub seed: Option<i64>,
    /// At `0.0` the seed is ignored; every other value has no effect.
    pub temperature: Option<f64>,
}

/// One message of the conversation.
#[derive(Debug, Clone, Default)]
pub struct Turn {
    /// Role of the author.
    pub role: Role,
    /// All text parts, concatenated.
    pub text: String,
    /// Kinds of the non-text parts, one entry per part: `image`, `audio` or `file`.
    pub attachments: Vec<String>,
    /// Tool calls of an assistant message.
    pub tool_calls: Vec<PastCall>,
    /// Id of the tool call to which a tool message responds.
    pub tool_call_id: Option<String>,
}

impl Turn {
    /// Creates a text message of the user.
    pub fn user(text: impl Into<String>) -> Self {
        Self { role: Role::User, text: text.into(), ..Self::default() }
    }

    /// Creates a text message of the assistant.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self { role: Role::Assistant, text: text.into(), ..Self::default() }
    }
}

/// Role of a message's author. A `developer` message counts as [`System`](Self::System), a `function` message as
/// [`Tool`](Self::Tool).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Role {
    /// Instructions of the application.
    System,
    /// The end user.
    #[default]
    User,
    /// An earlier reply.
    Assistant,
    /// The result of a tool call.
    Tool,
}

/// A tool call in an earlier assistant message.
#[derive(Debug, Clone, Default)]
pub struct PastCall {
    /// Id by which the tool message refers to the call.
    pub id: String,
    /// Name of the function.
    pub name: String,
    /// Arguments as sent; not necessarily valid JSON.
    pub arguments: String,
}

/// A function that the reply may call.
#[derive(Debug, Clone, Default)]
pub struct Tool {
    /// Name of the function.
    pub name: String,
    /// Description of the function, in the application's words.
    pub description: String,
    /// JSON Schema of the arguments; null and `{}` mean no arguments.
    pub parameters: Value,
}

/// Whether the reply calls tools.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ToolChoice {
    /// Calls a tool if one matches the last user message and no result has been returned since.
    #[default]
    Auto,
    /// Never calls a tool.
    None,
    /// Always calls one of the tools.
    Required,
    /// Always calls the tool of this name.
    Named(String),
}

/// Required format of the content.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Format {
    /// Prose.
    #[default]
    Text,
    /// Any JSON object.
    JsonObject,
    /// A JSON document that satisfies this schema.
    JsonSchema(Value),
}
