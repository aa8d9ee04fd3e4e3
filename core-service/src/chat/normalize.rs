//! Normalises streamed responses: all chunks have the same id, time and model, and the usage comes as the client
//! requested it, whatever the upstream sends.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_util::{Stream, StreamExt, stream::empty};
use openai_dialect::extra_members;
use tonic::Status;
use triptych_proto::{
    chat_stream::ChatChunk,
    time::{self, Timestamp},
    v1 as pb,
};
use triptych_telemetry::{CallReport, Tokens};

use super::response::{new_id, provider_error_status};
use crate::call::Chunks;

/// A normalised stream.
pub(super) struct Normalized {
    chunks: Chunks<ChatChunk>,
    usage: UsageDelivery,
    id: String,
    create_time: Option<Timestamp>,
    model: String,
    report: CallReport,
}

/// When token usage is sent to the client. Upstreams send it in a chunk of its own, with the last text, or in every chunk.
pub(super) enum UsageDelivery {
    /// The client did not request it: a chunk without text is dropped. Usage beside text is passed on, as clients ignore it.
    NotRequested,
    /// Sent once, after all other chunks.
    AtEnd {
        /// The chunk for the end, with the latest usage of the upstream.
        chunk: Option<Box<pb::StreamChatResponse>>,
        /// The client also requested it in every chunk: `continuous_usage_stats`, an extension of vLLM.
        in_every_chunk: bool,
    },
}

/// Returns the tokens of a usage, for the report of the call.
pub(super) fn reported_tokens(usage: &pb::Usage) -> Tokens {
    let cached = usage.prompt_tokens_details.as_ref().and_then(|details| details.cached_tokens);
    let reasoning = usage.completion_tokens_details.as_ref().and_then(|details| details.reasoning_tokens);
    Tokens {
        input: usage.prompt_tokens,
        cached: cached.unwrap_or_default(),
        output: usage.completion_tokens,
        reasoning: reasoning.unwrap_or_default(),
    }
}

impl UsageDelivery {
    /// Returns the delivery that the stream options request.
    pub(super) fn from_options(options: Option<&pb::StreamOptions>) -> Self {
        let Some(options) = options.filter(|options| options.include_usage.unwrap_or_default()) else {
            return Self::NotRequested;
        };
        let members = extra_members(&options.extra_json).unwrap_or_default();
        let in_every_chunk = members.iter().any(|(name, value)| name == "continuous_usage_stats" && *value == "true");
        Self::AtEnd { chunk: None, in_every_chunk }
    }

    /// Returns whether the client requested the usage.
    pub(super) fn is_requested(&self) -> bool {
        matches!(self, Self::AtEnd { .. })
    }

    /// Takes the usage out of a chunk. Returns `None` if nothing else was in the chunk.
    fn extract(&mut self, mut received: Box<pb::StreamChatResponse>) -> Option<Box<pb::StreamChatResponse>> {
        match self {
            // Clients that request no usage read `choices[0]` of every chunk, which a chunk with only the usage does not have.
            Self::NotRequested => (!received.choices.is_empty()).then_some(received),
            Self::AtEnd { .. } if received.usage.is_none() => Some(received),
            Self::AtEnd { chunk, .. } if received.choices.is_empty() => {
                *chunk = Some(received);
                None
            }
            Self::AtEnd { chunk, in_every_chunk } => {
                let usage = if *in_every_chunk { received.usage.clone() } else { received.usage.take() };
                chunk.get_or_insert_default().usage = usage;
                Some(received)
            }
        }
    }
}

impl Normalized {
    /// Normalises the chunks of a response of the model with this public name. Output and tokens are reported to `report`.
    pub(super) fn new(chunks: Chunks<ChatChunk>, model: String, usage: UsageDelivery, report: CallReport) -> Self {
        Self { chunks, usage, id: String::new(), create_time: None, model, report }
    }

    fn normalize(&mut self, chunk: &mut pb::StreamChatResponse) {
        if self.id.is_empty() {
            self.id = if chunk.id.is_empty() { new_id() } else { chunk.id.clone() };
            self.create_time = Some(chunk.create_time.unwrap_or_else(time::now));
        }
        if chunk.id != self.id {
            chunk.id.clone_from(&self.id);
        }
        chunk.create_time = self.create_time;
        if chunk.model != self.model {
            chunk.model.clone_from(&self.model);
        }
    }

    /// Reports the time of the first output, and the tokens.
    fn observe(&self, chunk: &pb::StreamChatResponse) {
        if !chunk.choices.is_empty() {
            self.report.mark_output();
        }
        if let Some(usage) = &chunk.usage {
            self.report.set_tokens(reported_tokens(usage));
        }
    }

    /// Returns the usage chunk after the end of the stream.
    fn usage_chunk(&mut self) -> Option<ChatChunk> {
        let UsageDelivery::AtEnd { chunk, .. } = &mut self.usage else { return None };
        let mut chunk = chunk.take()?;
        self.normalize(&mut chunk);
        // Not every stream may be polled again after its end.
        self.chunks = empty().boxed();
        Some(ChatChunk::Full(chunk))
    }
}

impl Stream for Normalized {
    type Item = Result<ChatChunk, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            return Poll::Ready(match ready!(this.chunks.as_mut().poll_next(cx)) {
                Some(Ok(ChatChunk::Full(chunk))) => {
                    this.observe(&chunk);
                    let Some(mut chunk) = this.usage.extract(chunk) else { continue };
                    this.normalize(&mut chunk);
                    Some(Ok(ChatChunk::Full(chunk)))
                }
                // `Text` carries only new text; its id, time and model are those of the preceding chunk, which is normalised.
                Some(Ok(text @ ChatChunk::Text(_))) => {
                    this.report.mark_output();
                    Some(Ok(text))
                }
                Some(Err(error)) => Some(Err(provider_error_status(error))),
                None => this.usage_chunk().map(Ok),
            });
        }
    }
}
