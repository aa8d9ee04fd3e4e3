//! The codec of a server of streamed chat responses: it writes complete messages from delta-encoded chunks.

use bytes::BufMut;
use prost::Message as _;
use tonic::{
    Status,
    codec::{Codec, EncodeBuf, Encoder},
};
use tonic_prost::{ProstCodec, ProstDecoder};

use super::{ChatChunk, TextField, template::Template};
use crate::v1 as pb;

/// The codec of a server of `ChatService.StreamChat` that has delta-encoded chunks. Clients receive complete messages, as
/// with the generated server.
#[derive(Debug, Clone, Copy, Default)]
pub struct StreamChatCodec;

impl Codec for StreamChatCodec {
    type Encode = ChatChunk;
    type Decode = pb::StreamChatRequest;
    type Encoder = ChunkEncoder;
    type Decoder = ProstDecoder<pb::StreamChatRequest>;

    fn encoder(&mut self) -> ChunkEncoder {
        ChunkEncoder::default()
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<pb::StreamChatResponse, _>::default().decoder()
    }
}

/// Encodes the chunks of one response as complete messages. Of a [`ChatChunk::Text`], only the text is encoded; the fields
/// around it are copied from the chunk before it.
#[derive(Debug, Default)]
pub struct ChunkEncoder {
    base: Base,
}

/// The last complete chunk.
#[derive(Debug, Default)]
enum Base {
    /// There is none yet, or it has no [`TextField`].
    #[default]
    None,
    /// Not followed by a text yet. A response that has only complete chunks never needs a template.
    Chunk(TextField, Box<pb::StreamChatResponse>),
    /// Followed by at least one text.
    Template(Template),
}

impl ChunkEncoder {
    /// Appends a complete message.
    fn write(&mut self, chunk: ChatChunk, out: &mut impl BufMut) {
        match chunk {
            ChatChunk::Full(response) => {
                // Fails only if `out` is full, and it grows.
                let _ = response.encode(out);
                self.base = TextField::find(&response).map_or(Base::None, |field| Base::Chunk(field, response));
            }
            ChatChunk::Text(text) => {
                self.base = match std::mem::take(&mut self.base) {
                    Base::Chunk(field, response) => Template::new(field, *response).map_or(Base::None, Base::Template),
                    base @ (Base::None | Base::Template(_)) => base,
                };
                // Without a template, the invariant of `ChatChunk::Text` is violated, and the message stays empty.
                if let Base::Template(template) = &self.base {
                    template.write(&text, out);
                }
            }
        }
    }
}

impl Encoder for ChunkEncoder {
    type Item = ChatChunk;
    type Error = Status;

    fn encode(&mut self, chunk: ChatChunk, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        self.write(chunk, out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{super::DeltaDecoder, *};

    /// Returns a chunk in which every field around the text is set.
    fn chunk(delta: pb::ChatDelta) -> pb::StreamChatResponse {
        pb::StreamChatResponse {
            id: "chatcmpl-1".to_owned(),
            model: "m".repeat(200),
            choices: vec![pb::ChatChunkChoice {
                index: 1,
                delta: Some(pb::ChatDelta { role: Some("assistant".to_owned()), extra_json: "{}".to_owned(), ..delta }),
                logprobs: Some(pb::Logprobs::default()),
                extra_json: r#"{"a": 1}"#.to_owned(),
                ..pb::ChatChunkChoice::default()
            }],
            usage: Some(pb::Usage { prompt_tokens: 3, ..pb::Usage::default() }),
            system_fingerprint: Some("fp".to_owned()),
            service_tier: Some("default".to_owned()),
            create_time: Some(prost_types::Timestamp { seconds: 1_767_225_600, nanos: 0 }),
            extra_json: r#"{"provider": "p"}"#.to_owned(),
        }
    }

    #[test]
    fn encoded_chunks_are_the_messages_of_the_delta_decoder() {
        let content = chunk(pb::ChatDelta { content: Some("Hi".to_owned()), ..pb::ChatDelta::default() });
        let reasoning = chunk(pb::ChatDelta {
            reasoning_content: Some("Hm".to_owned()),
            // Empty, so that the reasoning is the text field.
            content: Some(String::new()),
            ..pb::ChatDelta::default()
        });
        let no_text = chunk(pb::ChatDelta::default());
        let mut chunks = Vec::new();
        for full in [content.clone(), reasoning, no_text, content] {
            let has_text = TextField::find(&full).is_some();
            chunks.push(ChatChunk::from(full));
            if has_text {
                // Lengths around the sizes of a length prefix.
                let texts = [1, 0, 127, 128, 16_383, 16_384, 5].map(|length| ChatChunk::Text("x".repeat(length)));
                chunks.extend(texts);
            }
        }
        let (mut encoder, mut decoder) = (ChunkEncoder::default(), DeltaDecoder::default());
        for chunk in chunks {
            let mut message = Vec::new();
            encoder.write(chunk.clone(), &mut message);
            assert_eq!(pb::StreamChatResponse::decode(&*message).unwrap(), decoder.decode(chunk));
        }
    }

    #[test]
    fn text_without_a_chunk_before_it_is_an_empty_message() {
        let mut message = Vec::new();
        ChunkEncoder::default().write(ChatChunk::Text("lost".to_owned()), &mut message);
        assert!(message.is_empty());
    }
}
