//! Counts the tokens of chat calls against the limit `tokens_per_minute` of the caller: an estimate when a call is admitted, and
//! after the response the tokens beyond the estimate (see [`crate::limits`]).

use std::sync::Arc;

use futures_util::StreamExt;
use triptych_proto::{
    chat_stream::ChatChunk,
    v1::{self as pb, chat_message::Content, content_part::Part},
};

use super::{ChatCall, ChatProvider};
use crate::{call::Chunks, error::ProviderError, limits::Admission};

/// Bytes of text for one token: OpenAI's rule of thumb for English; about right for Chinese, with three bytes for each character.
const BYTES_PER_TOKEN: usize = 4;

/// Estimates the tokens of a call: those of its texts, and the maximum that it sets for the response. Images, sounds and files
/// are not counted, nor is a response without a maximum: both are known only from the usage of the response.
pub(super) fn estimate(chat: &pb::ChatRequest) -> u32 {
    let texts = chat.messages.iter().map(|message| {
        let calls = message.tool_calls.iter().filter_map(|call| call.function.as_ref());
        text_bytes(message.content.as_ref()) + calls.map(|function| function.arguments.len()).sum::<usize>()
    });
    let tools = chat.tools.iter().map(prost::Message::encoded_len);
    let prompt = texts.chain(tools).sum::<usize>().div_ceil(BYTES_PER_TOKEN) as u64;
    let maximum = chat.max_completion_tokens.or(chat.max_tokens).unwrap_or_default();
    let total = prompt.saturating_add(maximum.saturating_mul(chat.n.unwrap_or(1).into()));
    // A limiter counts nothing for a call without tokens.
    u32::try_from(total).unwrap_or(u32::MAX).max(1)
}

/// Returns the length of the texts in the content of a message, in bytes.
fn text_bytes(content: Option<&Content>) -> usize {
    match content {
        Some(Content::Text(text)) => text.len(),
        Some(Content::Parts(parts)) => {
            let texts = parts.parts.iter().filter_map(|part| match &part.part {
                Some(Part::Text(text) | Part::Refusal(text) | Part::OtherJson(text)) => Some(text.len()),
                Some(Part::ImageUrl(_) | Part::InputAudio(_) | Part::File(_)) | None => None,
            });
            texts.sum()
        }
        None => 0,
    }
}

/// Completes a call and records its tokens. The call counts as in flight until then, because it owns its admission, even if its
/// client disconnects before.
pub(super) async fn complete(
    provider: Arc<dyn ChatProvider>,
    call: ChatCall,
    admission: Admission,
) -> Result<pb::CreateChatResponse, ProviderError> {
    let response = provider.complete(call).await?;
    admission.record_tokens(response.usage.as_ref().map_or(0, |usage| usage.total_tokens));
    Ok(response)
}

/// Returns the stream, which counts its call as in flight until it is dropped, and then records the tokens of the call.
pub(super) fn metered(chunks: Chunks<ChatChunk>, admission: Admission) -> Chunks<ChatChunk> {
    if !admission.is_limited() {
        return chunks;
    }
    let mut meter = Meter { admission, total: 0 };
    chunks.inspect(move |chunk| meter.observe(chunk.as_ref().ok())).boxed()
}

/// The tokens of a stream so far; recorded when the stream is dropped.
struct Meter {
    admission: Admission,
    total: u64,
}

impl Meter {
    fn observe(&mut self, chunk: Option<&ChatChunk>) {
        // Some upstreams send the usage so far in every chunk.
        if let Some(ChatChunk::Full(chunk)) = chunk
            && let Some(usage) = &chunk.usage
        {
            self.total = self.total.max(usage.total_tokens);
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.admission.record_tokens(self.total);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        call::Call,
        config::AccountLimits,
        context::RequestContext,
        error::Error,
        limits::{Limiter, admit},
    };

    #[test]
    fn estimate_has_the_texts_and_the_maximum() {
        let message = |content| pb::ChatMessage { content: Some(content), ..pb::ChatMessage::default() };
        let part = |part| pb::ContentPart { part: Some(part), ..pb::ContentPart::default() };
        let image = Part::ImageUrl(pb::ImagePart { url: "x".repeat(1000), ..pb::ImagePart::default() });
        let parts = Content::Parts(pb::ContentParts { parts: vec![part(Part::Text("x".repeat(10))), part(image)] });
        let mut chat = pb::ChatRequest {
            messages: vec![message(Content::Text("x".repeat(7))), message(parts)],
            ..pb::ChatRequest::default()
        };
        // 17 bytes of text, divided by 4 and rounded up; the URL of the image is not counted.
        assert_eq!(estimate(&chat), 5);
        (chat.max_tokens, chat.n) = (Some(100), Some(2));
        assert_eq!(estimate(&chat), 205);
        chat.max_completion_tokens = Some(u64::MAX);
        assert_eq!(estimate(&chat), u32::MAX);
        assert_eq!(estimate(&pb::ChatRequest::default()), 1);
    }

    /// Responds with this many tokens.
    #[derive(Debug)]
    struct Responds(u64);

    #[async_trait::async_trait]
    impl ChatProvider for Responds {
        async fn complete(&self, _: ChatCall) -> Result<pb::CreateChatResponse, ProviderError> {
            let usage = Some(pb::Usage { total_tokens: self.0, ..pb::Usage::default() });
            Ok(pb::CreateChatResponse { usage, ..pb::CreateChatResponse::default() })
        }

        async fn stream(&self, _: ChatCall, _: Option<pb::StreamOptions>) -> Result<Chunks<ChatChunk>, ProviderError> {
            Ok(futures_util::stream::empty().boxed())
        }
    }

    #[tokio::test]
    async fn tokens_are_counted_by_the_call_itself_and_not_by_its_client() {
        let settings = AccountLimits { tokens_per_minute: 1000, concurrent_calls: 1, ..AccountLimits::default() };
        let limiters = [Limiter::new("key `a`".to_owned(), &settings).unwrap()];
        let admission = admit(&limiters, "m", || 1).unwrap();
        let call = Call { model: "m".to_owned(), request: Arc::default(), context: RequestContext::default() };
        // As a task whose result is not awaited, such as that of a call whose client has disconnected.
        tokio::spawn(complete(Arc::new(Responds(900)), call, admission)).await.unwrap().unwrap();
        let refused = admit(&limiters, "m", || 500).unwrap_err();
        assert!(matches!(refused, Error::LimitExceeded(exceeded) if exceeded.limit == "tokens_per_minute"));
    }
}
