//! The response object.

use super::super::{echo::Echo, item::Item, usage::Usage};
use crate::json::write::write_object;

/// The error codes that a response may have, according to OpenAI's description.
const ERROR_CODES: [&str; 21] = [
    "server_error",
    "rate_limit_exceeded",
    "invalid_prompt",
    "data_residency_mismatch",
    "bio_policy",
    "misalignment_policy_violation",
    "vector_store_timeout",
    "invalid_image",
    "invalid_image_format",
    "invalid_base64_image",
    "invalid_image_url",
    "image_too_large",
    "image_too_small",
    "image_parse_error",
    "image_content_policy_violation",
    "invalid_image_mode",
    "image_file_too_large",
    "unsupported_image_media_type",
    "empty_image_file",
    "failed_to_download_image",
    "image_file_not_found",
];

/// The status of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Queued,
    InProgress,
    Completed,
    Incomplete,
    Failed,
    Cancelled,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Incomplete => "incomplete",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Returns whether the response has ended.
    pub(super) fn is_final(self) -> bool {
        match self {
            Self::Queued | Self::InProgress => false,
            Self::Completed | Self::Incomplete | Self::Failed | Self::Cancelled => true,
        }
    }
}

/// The members of a response except its output.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) id: String,
    pub(super) created_at: i64,
    /// The public model name; empty until the upstream has reported the default model.
    pub(super) model: String,
    pub(super) status: Status,
    pub(super) completed_at: Option<i64>,
    /// The code and the message of the error.
    error: Option<(&'static str, String)>,
    /// Why the output is incomplete: `max_output_tokens` or `content_filter`.
    pub(super) incomplete_reason: Option<&'static str>,
    /// The usage of the turns so far, which are the calls of the model for this response: it is called again with each image that it has
    /// generated. `None` before the first, and if one of them did not report any.
    pub(super) usage: Option<Usage>,
    pub(super) echo: Echo,
}

impl Document {
    pub(super) fn new(id: String, created_at: i64, model: String, echo: Echo) -> Self {
        Self {
            id,
            created_at,
            model,
            status: Status::InProgress,
            completed_at: None,
            error: None,
            incomplete_reason: None,
            usage: None,
            echo,
        }
    }

    /// Sets the error. A code that OpenAI's description does not list becomes `server_error`, because strict clients reject
    /// it, and precedes the message.
    pub(super) fn set_error(&mut self, code: &str, message: &str) {
        self.error = Some(match ERROR_CODES.iter().find(|known| **known == code) {
            Some(code) => (code, message.to_owned()),
            None => ("server_error", format!("{code}: {message}")),
        });
    }

    /// Writes the response object with these output items.
    pub(super) fn write<'a>(&self, out: &mut Vec<u8>, items: impl Iterator<Item = &'a Item>) {
        let Self { id, created_at, model, status, completed_at, error, incomplete_reason, usage, echo } = self;
        write_object(out, |o| {
            o.scalar("id", id);
            o.scalar("object", "response");
            o.scalar("created_at", created_at);
            o.scalar("status", status.name());
            o.scalar("background", &echo.background);
            o.nullable("completed_at", completed_at.as_ref());
            match error {
                Some((code, message)) => o.object("error", |o| {
                    o.scalar("code", code);
                    o.scalar("message", message);
                    // Newer members, of which the AI SDK requires the type.
                    o.scalar("type", error_type(code));
                    o.raw("param", "null");
                }),
                None => o.raw("error", "null"),
            }
            match incomplete_reason.filter(|_| *status == Status::Incomplete) {
                Some(reason) => o.object("incomplete_details", |o| o.scalar("reason", reason)),
                None => o.raw("incomplete_details", "null"),
            }
            o.raw("instructions", &echo.instructions);
            o.raw("max_output_tokens", &echo.max_output_tokens);
            o.raw("max_tool_calls", &echo.max_tool_calls);
            o.scalar("model", model);
            o.value_with("output", |out| write_items(out, items));
            o.scalar("parallel_tool_calls", &echo.parallel_tool_calls);
            o.nullable("previous_response_id", echo.previous_response_id.as_ref());
            o.raw("prompt_cache_key", &echo.prompt_cache_key);
            o.raw("reasoning", &echo.reasoning);
            o.raw("safety_identifier", &echo.safety_identifier);
            o.raw("service_tier", echo.service_tier());
            o.scalar("store", &echo.store);
            o.raw("temperature", &echo.temperature);
            o.raw("text", &echo.text);
            o.raw("tool_choice", &echo.tool_choice);
            o.raw("tools", &echo.tools);
            o.raw("top_logprobs", &echo.top_logprobs);
            o.raw("top_p", &echo.top_p);
            o.scalar("truncation", echo.truncation);
            // OpenAI's description allows no `null` for these two.
            o.optional_value("usage", usage.as_ref());
            if let Some(user) = &echo.user {
                o.raw("user", user);
            }
            o.raw("metadata", &echo.metadata);
        });
    }
}

/// Returns the error type for a code, as the errors of other endpoints have it.
fn error_type(code: &str) -> &'static str {
    match code {
        "server_error" => "server_error",
        "rate_limit_exceeded" => "rate_limit_error",
        _ => "invalid_request_error",
    }
}

fn write_items<'a>(out: &mut Vec<u8>, items: impl Iterator<Item = &'a Item>) {
    out.push(b'[');
    for (position, item) in items.enumerate() {
        if position > 0 {
            out.push(b',');
        }
        out.extend_from_slice(item.to_json().as_bytes());
    }
    out.push(b']');
}
