//! In-process form of a streamed chat response: delta-encoded chunks.
//!
//! Most chunks of a response equal the previous chunk except for one text. Within a process they are passed on as this
//! text alone, so that a token costs one string instead of a complete message. [`ChatStream`] offers both forms: as a
//! [`Stream`] it yields the complete messages that the generated service trait requires, and
//! [`ChatStream::into_chunks`] returns the delta-encoded chunks.

mod client_codec;
mod codec;
mod template;

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use tonic::{
    Status,
    codegen::{BoxStream, tokio_stream::Stream},
};

pub use self::{
    client_codec::{ChunkDecoder, StreamChatClientCodec},
    codec::{ChunkEncoder, StreamChatCodec},
};
use crate::v1 as pb;

/// One chunk of a streamed chat response, complete or relative to the chunk before it.
#[derive(Debug, Clone, PartialEq)]
pub enum ChatChunk {
    /// A complete message.
    Full(Box<pb::StreamChatResponse>),
    /// A copy of the previous chunk with this text in its [`TextField`].
    ///
    /// Valid only after a chunk that has a `TextField`. Code that filters or edits a stream must therefore pass on every
    /// [`Full`](Self::Full) chunk that has one, with the same `TextField`.
    Text(String),
}

impl From<pb::StreamChatResponse> for ChatChunk {
    fn from(response: pb::StreamChatResponse) -> Self {
        Self::Full(Box::new(response))
    }
}

/// The field whose text changes from chunk to chunk. Only a chunk with exactly one choice and no tool calls has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextField {
    /// `content` of the delta.
    Content,
    /// `reasoning_content` of the delta.
    ReasoningContent,
}

impl TextField {
    /// Returns the field of `response` that holds a non-empty text; `content` if both do.
    pub fn find(response: &pb::StreamChatResponse) -> Option<Self> {
        let [choice] = &*response.choices else { return None };
        let delta = choice.delta.as_ref().filter(|delta| delta.tool_calls.is_empty())?;
        let has = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        (has(&delta.content).then_some(Self::Content))
            .or(has(&delta.reasoning_content).then_some(Self::ReasoningContent))
    }

    /// Returns the text of this field in the first choice, if it is present.
    pub fn get_mut(self, response: &mut pb::StreamChatResponse) -> Option<&mut String> {
        let delta = response.choices.first_mut()?.delta.as_mut()?;
        match self {
            Self::Content => delta.content.as_mut(),
            Self::ReasoningContent => delta.reasoning_content.as_mut(),
        }
    }

    /// Replaces the text of this field in the first choice; does nothing if it is absent.
    pub fn set(self, response: &mut pb::StreamChatResponse, text: String) {
        if let Some(field) = self.get_mut(response) {
            *field = text;
        }
    }
}

/// Delta-encodes the chunks of one response.
#[derive(Debug, Default)]
pub struct DeltaEncoder {
    /// The last complete chunk, its text replaced by an empty one; `None` if it had no text field.
    base: Option<(TextField, pb::StreamChatResponse)>,
}

impl DeltaEncoder {
    /// Encodes the next chunk: as [`ChatChunk::Text`] if it differs from the previous one only in the text.
    pub fn encode(&mut self, mut response: pb::StreamChatResponse) -> ChatChunk {
        let Some(field) = TextField::find(&response) else {
            self.base = None;
            return response.into();
        };
        let text = field.get_mut(&mut response).map(mem::take).unwrap_or_default();
        if self.base.as_ref().is_some_and(|(base_field, base)| *base_field == field && *base == response) {
            return ChatChunk::Text(text);
        }
        self.base = Some((field, response.clone()));
        field.set(&mut response, text);
        response.into()
    }
}

/// Restores the complete messages from the delta-encoded chunks of one response.
#[derive(Debug, Default)]
pub struct DeltaDecoder {
    /// The last complete chunk; `None` if it had no text field.
    base: Option<(TextField, Box<pb::StreamChatResponse>)>,
}

impl DeltaDecoder {
    /// Decodes the next chunk.
    pub fn decode(&mut self, chunk: ChatChunk) -> pb::StreamChatResponse {
        match (chunk, &self.base) {
            (ChatChunk::Full(response), _) => {
                self.base = TextField::find(&response).map(|field| (field, response.clone()));
                *response
            }
            (ChatChunk::Text(text), Some((field, base))) => {
                let mut response = pb::StreamChatResponse::clone(base);
                field.set(&mut response, text);
                response
            }
            // A violation of the invariant of `ChatChunk::Text`. No producer does this; an empty chunk is harmless.
            (ChatChunk::Text(_), None) => pb::StreamChatResponse::default(),
        }
    }
}

/// A streamed chat response. As a [`Stream`] it yields complete messages. Dropping it cancels the call.
pub struct ChatStream {
    chunks: BoxStream<ChatChunk>,
    decoder: DeltaDecoder,
}

impl ChatStream {
    /// Creates a response from delta-encoded chunks.
    pub fn new(chunks: impl Stream<Item = Result<ChatChunk, Status>> + Send + 'static) -> Self {
        Self { chunks: Box::pin(chunks), decoder: DeltaDecoder::default() }
    }

    /// Returns the delta-encoded chunks.
    pub fn into_chunks(self) -> BoxStream<ChatChunk> {
        self.chunks
    }
}

impl Stream for ChatStream {
    type Item = Result<pb::StreamChatResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        this.chunks.as_mut().poll_next(cx).map(|next| next.map(|chunk| Ok(this.decoder.decode(chunk?))))
    }
}

impl std::fmt::Debug for ChatStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChatStream").finish_non_exhaustive()
    }
}
