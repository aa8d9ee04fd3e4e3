//! Replies in one piece: those that were asked for, and those that come in place of a stream.

use http::{HeaderMap, header};
use openai_dialect::chat::{read_response, split_response};
use triptych_proto::{
    chat_stream::ChatChunk,
    v1::{self as pb, chat_message::Content},
};

use super::{broken_off, warn_of_nothing};
use crate::{
    error::ProviderError,
    upstream::{Reply, failure_in_reply},
};

/// What a whole answer says.
pub(super) fn read(body: &[u8]) -> Result<pb::CreateChatResponse, ProviderError> {
    // DeepSeek keeps the connection alive with blank lines before the JSON.
    let reply = read_response(body.trim_ascii())
        .map_err(|error| ProviderError::Unreadable(format!("the upstream's answer is no chat completion: {error}")))?;
    if let Some(error) = reply.error {
        return Err(failure_in_reply(&error));
    }
    match reply.response.choices.iter().find_map(|choice| broken_off(&choice.finish_reason)) {
        Some(error) => Err(error),
        None if reply.response.choices.is_empty() => {
            Err(ProviderError::Unreadable("the upstream's answer has no choices".to_owned()))
        }
        None => {
            let counts_nothing = reply.response.usage.as_ref().is_some_and(|usage| usage.completion_tokens == 0);
            if counts_nothing && !reply.response.choices.iter().filter_map(|choice| choice.message.as_ref()).any(says) {
                warn_of_nothing();
            }
            Ok(reply.response)
        }
    }
}

fn says(message: &pb::ChatMessage) -> bool {
    let spoken = match &message.content {
        Some(Content::Text(text)) => !text.is_empty(),
        Some(Content::Parts(_)) => true,
        None => false,
    };
    let texts = [&message.refusal, &message.reasoning_content];
    spoken || !message.tool_calls.is_empty() || texts.into_iter().flatten().any(|text| !text.is_empty())
}

/// The pieces of a stream in whose place this answer came.
pub(super) fn read_in_pieces(body: &[u8]) -> Result<impl Iterator<Item = ChatChunk> + Send + use<>, ProviderError> {
    let pieces = split_response(read(body)?).ok_or_else(|| {
        ProviderError::Unreadable("the upstream answered whole, and with what no stream can say".to_owned())
    })?;
    Ok(pieces.into_iter().map(ChatChunk::from))
}

/// The first that an answer says, blank lines aside, unless it calls itself a stream of events: nothing then.
pub(super) async fn beginning(reply: &mut Reply) -> Vec<u8> {
    let mut said = Vec::new();
    if calls_itself_a_stream(&reply.headers) {
        return said;
    }
    // At its end, and where it breaks, whoever reads on learns the same.
    while said.is_empty()
        && let Ok(Some(bytes)) = reply.chunk().await
    {
        said.extend_from_slice(bytes.trim_ascii_start());
    }
    said
}

/// Whether what begins like this is a document, JSON or a page. Servers that stream under another name, or none, begin
/// with a field's name or a comment.
pub(super) fn is_document(beginning: &[u8]) -> bool {
    matches!(beginning.first(), Some(b'{' | b'[' | b'<'))
}

fn calls_itself_a_stream(headers: &HeaderMap) -> bool {
    const STREAM: &[u8] = b"text/event-stream";
    let name = headers.get(header::CONTENT_TYPE).and_then(|name| name.as_bytes().get(..STREAM.len()));
    name.is_some_and(|name| name.eq_ignore_ascii_case(STREAM))
}
