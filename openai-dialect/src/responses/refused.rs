//! Members that are refused: those of chat completions that the Responses API names otherwise, and features that are not
//! served.

use super::{error::InvalidRequest, fields::Fields};

/// The members, and what to do instead.
const REFUSED: [(&str, &str); 16] = [
    ("messages", "is a member of chat completions; send the conversation in `input`"),
    ("response_format", "is a member of chat completions; send the format in `text.format`"),
    ("max_tokens", "is a member of chat completions; send the limit in `max_output_tokens`"),
    ("max_completion_tokens", "is a member of chat completions; send the limit in `max_output_tokens`"),
    ("reasoning_effort", "is a member of chat completions; send the effort in `reasoning.effort`"),
    ("verbosity", "is a member of chat completions; send the verbosity in `text.verbosity`"),
    ("functions", "is a member of chat completions; send functions in `tools`"),
    ("function_call", "is a member of chat completions; send the choice in `tool_choice`"),
    ("logprobs", "is a member of chat completions; send `include: [\"message.output_text.logprobs\"]`"),
    ("n", "is a member of chat completions; a response has one output, so send several requests"),
    ("modalities", "is a member of chat completions; responses have text and generated images"),
    ("audio", "is a member of chat completions; responses have text and generated images"),
    ("conversation", "conversations are not served; continue a response with `previous_response_id`"),
    ("prompt", "prompt templates are not served; send the text in `instructions` and `input`"),
    ("context_management", "compaction is not served; shorten `input` and omit this member"),
    ("moderation", "moderation of responses is not served; omit this member"),
];

/// Returns an error if the request has one of the members.
pub(super) fn refuse_unserved(fields: &mut Fields<'_>) -> Result<(), InvalidRequest> {
    for (name, message) in REFUSED {
        if let Some(node) = fields.take(name) {
            return Err(node.unsupported(message));
        }
    }
    Ok(())
}
