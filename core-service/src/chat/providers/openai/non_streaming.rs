//! Non-streaming responses: those that were requested, and those that arrive in place of a stream.

use http::{HeaderMap, header};
use openai_dialect::chat::{read_response, split_response};
use triptych_proto::{
    chat_stream::ChatChunk,
    v1::{self as pb, chat_message::Content},
};

use super::finish::{failure_of_finish_reason, warn_of_empty_response};
use crate::{
    error::ProviderError,
    upstream::{UpstreamResponse, parse_error_member},
};

/// Reads a complete response.
pub(super) fn read(body: &[u8]) -> Result<pb::CreateChatResponse, ProviderError> {
    // DeepSeek keeps the connection alive with blank lines before the JSON.
    let reply = read_response(body.trim_ascii()).map_err(|error| {
        ProviderError::Unreadable(format!("the upstream's response is not a chat completion: {error}"))
    })?;
    if let Some(error) = reply.error {
        return Err(parse_error_member(&error));
    }
    match reply.response.choices.iter().find_map(|choice| failure_of_finish_reason(&choice.finish_reason)) {
        Some(error) => Err(error),
        None if reply.response.choices.is_empty() => {
            Err(ProviderError::Unreadable("the upstream's response has no choices".to_owned()))
        }
        None if reply.response.choices.iter().all(|choice| choice.message.is_none()) => {
            Err(ProviderError::Unreadable("the upstream's response has no message".to_owned()))
        }
        None => {
            let no_tokens = reply.response.usage.as_ref().is_some_and(|usage| usage.completion_tokens == 0);
            let mut messages = reply.response.choices.iter().filter_map(|choice| choice.message.as_ref());
            if no_tokens && !messages.any(has_content) {
                warn_of_empty_response();
            }
            Ok(reply.response)
        }
    }
}

/// Returns whether a message has any text or tool call.
fn has_content(message: &pb::ChatMessage) -> bool {
    let has_text = match &message.content {
        Some(Content::Text(text)) => !text.is_empty(),
        Some(Content::Parts(_)) => true,
        None => false,
    };
    let texts = [&message.refusal, &message.reasoning_content];
    has_text || !message.tool_calls.is_empty() || texts.into_iter().flatten().any(|text| !text.is_empty())
}

/// Reads a complete response that arrived in place of a stream, and returns it as the chunks of that stream.
pub(super) fn read_as_chunks(body: &[u8]) -> Result<impl Iterator<Item = ChatChunk> + Send + use<>, ProviderError> {
    let chunks = split_response(read(body)?).ok_or_else(|| {
        ProviderError::Unreadable(
            "the upstream's non-streaming response contains members that a stream cannot carry".to_owned(),
        )
    })?;
    Ok(chunks.into_iter().map(ChatChunk::from))
}

/// Removes leading whitespace and a byte order mark.
pub(super) fn trim_start_and_bom(body: &[u8]) -> &[u8] {
    let body = body.trim_ascii_start();
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start()
}

/// Returns whether a body begins like an event stream: with the name of a field or with a comment.
pub(super) fn starts_with_event(body: &[u8]) -> bool {
    [b"data:".as_slice(), b"event:", b"id:", b"retry:", b":"].iter().any(|start| body.starts_with(start))
}

/// Reads a body up to its first non-blank chunk, and returns that chunk without leading whitespace and byte order mark. Returns an
/// empty vector, and reads nothing, if the content type is `text/event-stream`. An empty or broken body is an empty vector as well:
/// the caller then reads it as an event stream, and finds its end or the failure there.
pub(super) async fn read_start(reply: &mut UpstreamResponse) -> Vec<u8> {
    let mut start = Vec::new();
    if is_event_stream(&reply.headers) {
        return start;
    }
    // The end of the body, or the loss of the connection, is reported again by the next read.
    while start.is_empty()
        && let Ok(Some(bytes)) = reply.chunk().await
    {
        start.extend_from_slice(trim_start_and_bom(&bytes));
    }
    start
}

/// Returns whether a body begins like JSON, or like HTML, the error page of a proxy. An event stream never matches: its lines
/// start with a field name or a colon.
pub(super) fn is_document(start: &[u8]) -> bool {
    matches!(start.first(), Some(b'{' | b'[' | b'<'))
}

pub(super) fn is_event_stream(headers: &HeaderMap) -> bool {
    const STREAM: &[u8] = b"text/event-stream";
    let name = headers.get(header::CONTENT_TYPE).and_then(|name| name.as_bytes().get(..STREAM.len()));
    name.is_some_and(|name| name.eq_ignore_ascii_case(STREAM))
}
