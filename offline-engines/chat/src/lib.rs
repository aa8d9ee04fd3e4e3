//! The offline chat engine: answers when no model is connected, and says so.
//!
//! It knows nothing and pretends nothing, but it behaves like a chat completion in every way a caller can rely on:
//! tokens are counted with a real tokenizer, limits cut where they should, tools are called with arguments that satisfy
//! their schema, and a JSON Schema gets a document that validates. One request always gives the same bytes: the seed and
//! the content decide, never a clock.
//!
//! ```
//! use offline_chat::{Request, Turn, answer};
//!
//! let reply = answer(&Request { turns: vec![Turn::user("Hello!")], ..Request::default() })?;
//! assert!(reply.choices[0].pieces.concat().contains("CHAT_BASE_URL"));
//! # Ok::<(), offline_chat::Error>(())
//! ```
//!
//! Reading order: `answer` decides what kind of reply it is; `tools` and `schema` write JSON, `text` writes prose out
//! of `phrases`; `reading` and `facts` are all that is understood of the user's words.

mod answer;
mod code;
mod facts;
mod phrases;
mod reading;
mod rng;
mod schema;
mod text;
mod tokens;
mod tools;

use serde_json::Value;

pub use tokens::count_tokens;

/// One chat request. Everything beside `turns` may stay at its default.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The conversation, oldest first. May be empty.
    pub turns: Vec<Turn>,
    /// The functions that may be called.
    pub tools: Vec<Tool>,
    /// Whether they may, must or must not.
    pub tool_choice: ToolChoice,
    /// Whether one answer may hold several calls.
    pub parallel_tool_calls: bool,
    /// What the content has to look like.
    pub format: Format,
    /// How many choices. Zero counts as one; the upper bound is the caller's business, cost is linear.
    pub n: u32,
    /// At most this many tokens per choice.
    pub max_tokens: Option<u64>,
    /// Texts the content ends before. Empty ones are ignored.
    pub stop: Vec<String>,
    /// Varies the answer. Without one the content alone decides.
    pub seed: Option<i64>,
    /// Zero switches the seed's influence off; no other value matters.
    pub temperature: Option<f64>,
}

/// One message of the conversation.
#[derive(Debug, Clone, Default)]
pub struct Turn {
    /// Who speaks.
    pub role: Role,
    /// All text parts, put together.
    pub text: String,
    /// What came with the text: `image`, `audio` or `file`, one entry each.
    pub attachments: Vec<String>,
    /// The calls an assistant turn made.
    pub tool_calls: Vec<PastCall>,
    /// The call a tool turn answers.
    pub tool_call_id: Option<String>,
}

impl Turn {
    /// A plain text turn of the user.
    pub fn user(text: impl Into<String>) -> Self {
        Self { role: Role::User, text: text.into(), ..Self::default() }
    }

    /// A plain text turn of the assistant.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self { role: Role::Assistant, text: text.into(), ..Self::default() }
    }
}

/// Who speaks. A `developer` message counts as [`System`](Self::System), a `function` message as [`Tool`](Self::Tool).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Role {
    /// Instructions of the application.
    System,
    /// The person.
    #[default]
    User,
    /// An earlier answer.
    Assistant,
    /// The result of a call.
    Tool,
}

/// A call made in an earlier turn.
#[derive(Debug, Clone, Default)]
pub struct PastCall {
    /// The id the result refers to.
    pub id: String,
    /// The function.
    pub name: String,
    /// Its arguments as they were sent; need not be JSON.
    pub arguments: String,
}

/// A function on offer.
#[derive(Debug, Clone, Default)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it does, in the application's words.
    pub description: String,
    /// JSON Schema of its arguments; null and `{}` mean none.
    pub parameters: Value,
}

/// Whether tools are called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ToolChoice {
    /// If the user's words fit one and no result is there yet.
    #[default]
    Auto,
    /// Never.
    None,
    /// Always one of them.
    Required,
    /// Always this one.
    Named(String),
}

/// What the content has to look like.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Format {
    /// Prose.
    #[default]
    Text,
    /// Some JSON object.
    JsonObject,
    /// A JSON document that satisfies this schema.
    JsonSchema(Value),
}

/// The finished reply.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// As many as asked for, no two texts alike.
    pub choices: Vec<Choice>,
    /// Tokens of the request, message overhead and tools included.
    pub prompt_tokens: u64,
    /// Tokens of all choices.
    pub completion_tokens: u64,
}

/// One of the alternatives.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// The content in the order it is streamed, about a token each; empty for tool calls.
    pub pieces: Vec<String>,
    /// The calls, if it is a reply of that kind.
    pub tool_calls: Vec<ToolCall>,
    /// Why it ended.
    pub finish: Finish,
}

/// Why a choice ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// It was complete or met a stop text.
    Stop,
    /// `max_tokens` cut it.
    Length,
    /// It asks for functions to be called.
    ToolCalls,
}

/// A function to call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// `call_` and 24 letters and digits, unique within the answer.
    pub id: String,
    /// One of the request's tools.
    pub name: String,
    /// JSON that satisfies the tool's schema, unless [`Finish::Length`] cut it short.
    pub arguments: String,
    /// The arguments in the order they are streamed.
    pub pieces: Vec<String>,
}

/// A request that cannot be answered as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct Error {
    /// Path of the offending part, spelled as in an OpenAI request: `tool_choice`,
    /// `response_format.json_schema.schema.properties.age`.
    pub field: String,
    /// What is wrong with it and, where there is one, the way out.
    pub message: String,
}

impl Error {
    pub(crate) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

/// Makes up the answer. Takes microseconds to milliseconds, does no I/O and never panics; the first call in a process
/// also unpacks the tokenizer.
///
/// # Errors
///
/// A schema that no document can satisfy or that uses a keyword beyond the supported ones, and a `tool_choice` that
/// points at no tool.
pub fn answer(request: &Request) -> Result<Answer, Error> {
    answer::answer(request)
}
