//! The response types of the mock chat engine, modelled on OpenAI's chat completions.

/// A finished chat completion.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    /// The requested number of choices; no two of them have the same text.
    pub choices: Vec<Choice>,
    /// Tokens of the request, including message overhead and tools.
    pub prompt_tokens: u64,
    /// Tokens of all choices together.
    pub completion_tokens: u64,
}

/// One of the alternative replies.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// The content in streaming order, about one token per piece; empty for tool calls.
    pub pieces: Vec<String>,
    /// The tool calls; empty for content.
    pub tool_calls: Vec<ToolCall>,
    /// Why the choice ended.
    pub finish_reason: FinishReason,
}

/// Why a choice ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// The reply was complete, or a stop sequence ended it.
    Stop,
    /// `max_tokens` cut the reply.
    Length,
    /// The reply consists of tool calls.
    ToolCalls,
}

/// A function call that the client is to perform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// `call_` and 24 letters and digits, unique within the completion.
    pub id: String,
    /// Name of one of the request's tools.
    pub name: String,
    /// JSON that satisfies the tool's schema, unless [`FinishReason::Length`] cut it short.
    pub arguments: String,
    /// The arguments in streaming order.
    pub pieces: Vec<String>,
}
