//! The end of a response: finish reasons that stand for errors, and responses without content.

use crate::error::ProviderError;

/// Logs a response without content and tokens. LiteLLM sends one if an upstream of its own failed within a stream.
pub(super) fn warn_of_empty_response() {
    tracing::warn!("the upstream returned neither content nor tokens; it may have failed without reporting an error");
}

/// Returns the error that a finish reason stands for: `abort` (vLLM, SGLang), `error` (the provider behind OpenRouter failed),
/// `insufficient_system_resource` (DeepSeek is overloaded).
pub(super) fn failure_of_finish_reason(finish_reason: &str) -> Option<ProviderError> {
    let message = || format!("the upstream ended the response early (finish reason `{finish_reason}`)");
    match finish_reason {
        // The reasons of OpenAI's API, and none.
        "stop" | "length" | "tool_calls" | "content_filter" | "function_call" | "" => None,
        "abort" | "error" => Some(ProviderError::Broken(message())),
        "insufficient_system_resource" => Some(ProviderError::unavailable(message())),
        // Passed on unchanged: the client may know the upstream's extensions.
        _ => {
            tracing::warn!(finish_reason, "the upstream ended a response with an unknown finish reason");
            None
        }
    }
}
