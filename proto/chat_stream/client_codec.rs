//! The codec of a client of streamed chat responses: it reads complete messages as delta-encoded chunks.

use bytes::Buf as _;
use prost::Message as _;
use tonic::{
    Status,
    codec::{Codec, DecodeBuf, Decoder},
};
use tonic_prost::{ProstCodec, ProstEncoder};

use super::{ChatChunk, DeltaEncoder, TextField, template::Template};
use crate::v1 as pb;

/// The codec of a client of `ChatService.StreamChat` that passes on delta-encoded chunks.
#[derive(Debug, Clone, Copy, Default)]
pub struct StreamChatClientCodec;

impl Codec for StreamChatClientCodec {
    type Encode = pb::StreamChatRequest;
    type Decode = ChatChunk;
    type Encoder = ProstEncoder<pb::StreamChatRequest>;
    type Decoder = ChunkDecoder;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<_, pb::StreamChatResponse>::default().encoder()
    }

    fn decoder(&mut self) -> ChunkDecoder {
        ChunkDecoder::default()
    }
}

/// Decodes the messages of one response. Of a message that a [`ChunkEncoder`](super::ChunkEncoder) has written for a
/// [`ChatChunk::Text`], only the text is decoded. All other messages are decoded, and compared with the chunk before them.
#[derive(Debug, Default)]
pub struct ChunkDecoder {
    deltas: DeltaEncoder,
    /// The template of the last complete chunk; `None` if that chunk has no [`TextField`].
    template: Option<Template>,
}

impl ChunkDecoder {
    fn read(&mut self, message: &[u8]) -> Result<ChatChunk, prost::DecodeError> {
        if let Some(text) = self.template.as_ref().and_then(|template| template.read(message)) {
            return Ok(ChatChunk::Text(text.to_owned()));
        }
        let chunk = self.deltas.encode(pb::StreamChatResponse::decode(message)?);
        if let ChatChunk::Full(response) = &chunk {
            let field = TextField::find(response);
            self.template = field.and_then(|field| Template::new(field, pb::StreamChatResponse::clone(response)));
        }
        Ok(chunk)
    }
}

impl Decoder for ChunkDecoder {
    type Item = ChatChunk;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<ChatChunk>, Status> {
        let length = message.remaining();
        let chunk = if message.chunk().len() == length {
            let chunk = self.read(message.chunk());
            message.advance(length);
            chunk
        } else {
            self.read(&message.copy_to_bytes(length))
        };
        chunk.map(Some).map_err(|error| Status::internal(format!("a chunk of a chat response is invalid: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::DeltaDecoder, *};

    fn chunk(id: &str, text: &str) -> pb::StreamChatResponse {
        let delta = pb::ChatDelta { content: Some(text.to_owned()), ..pb::ChatDelta::default() };
        pb::StreamChatResponse {
            id: id.to_owned(),
            choices: vec![pb::ChatChunkChoice { delta: Some(delta), ..pb::ChatChunkChoice::default() }],
            ..pb::StreamChatResponse::default()
        }
    }

    #[test]
    fn messages_of_any_encoder_are_restored_from_the_decoded_chunks() {
        let responses = ["", "a", "", "b", "\u{1F600}", "c"].map(|text| chunk("1", text)).into_iter();
        let responses = responses.chain([chunk("2", "d"), pb::StreamChatResponse::default(), chunk("2", "e")]);
        let (mut decoder, mut restored) = (ChunkDecoder::default(), DeltaDecoder::default());
        for response in responses {
            // `encode_to_vec` writes the fields in the order of their numbers, unlike a template, which writes the text last.
            let chunk = decoder.read(&response.encode_to_vec()).unwrap();
            assert_eq!(restored.decode(chunk), response);
        }
    }

    #[test]
    fn text_of_a_template_is_decoded_alone_and_a_damaged_message_is_an_error() {
        let mut decoder = ChunkDecoder::default();
        let first = chunk("1", "a");
        assert_eq!(decoder.read(&first.encode_to_vec()).unwrap(), ChatChunk::from(first.clone()));
        let mut message = Vec::new();
        Template::new(TextField::Content, first).unwrap().write("text", &mut message);
        assert_eq!(decoder.read(&message).unwrap(), ChatChunk::Text("text".to_owned()));
        assert!(decoder.read(&message[..message.len() - 1]).is_err());
    }
}
