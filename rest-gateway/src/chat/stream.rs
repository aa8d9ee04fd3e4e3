//! The event stream of a chat completion.

use std::ops::ControlFlow;

use bytes::BytesMut;
use openai_dialect::chat::{ChunkWriter, MissingUsage};
use triptych_proto::chat_stream::ChatChunk;

use crate::{
    error::GatewayError,
    sse::{Event, EventEncoder},
};

/// Encodes each chunk as a `chat.completion.chunk`.
///
/// OpenAI's chat streams consist of `data:` lines alone: no event has a name, not even an error, and `[DONE]` ends the
/// stream.
pub(super) struct ChunkEncoder {
    writer: ChunkWriter,
    /// The JSON of one chunk. The buffer is reused for every chunk.
    json: Vec<u8>,
}

impl ChunkEncoder {
    /// Creates an encoder. `include_usage` is the client's `stream_options.include_usage`.
    pub(super) fn new(include_usage: bool) -> Self {
        let missing_usage = if include_usage { MissingUsage::Null } else { MissingUsage::Omit };
        Self { writer: ChunkWriter::new(missing_usage), json: Vec::with_capacity(512) }
    }
}

impl EventEncoder for ChunkEncoder {
    type Item = ChatChunk;

    fn encode(&mut self, chunk: ChatChunk, out: &mut BytesMut) -> ControlFlow<()> {
        self.json.clear();
        self.writer.write(&mut self.json, chunk);
        Event { name: None, id: None, data: &self.json }.write(out);
        ControlFlow::Continue(())
    }

    /// `[DONE]` does not follow, because it would declare the reply complete.
    fn encode_error(&mut self, error: &GatewayError, out: &mut BytesMut) {
        Event { name: None, id: None, data: &error.to_json() }.write(out);
    }

    fn encode_end(&mut self, out: &mut BytesMut) {
        Event { name: None, id: None, data: b"[DONE]" }.write(out);
    }
}
