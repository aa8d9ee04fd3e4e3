//! Writes the chunks of a stream for a client.

use triptych_proto::{
    chat_stream::{ChatChunk, TextField},
    v1 as pb,
};

use crate::{
    chat::chunk::{MissingUsage, write_chunk},
    json::write::write_scalar,
};

/// Writes the chunks of one stream, with the same result as [`write_chunk`] for each of them.
#[derive(Debug)]
pub struct ChunkWriter {
    missing_usage: MissingUsage,
    last: LastChunk,
}

/// The last complete chunk.
#[derive(Debug)]
enum LastChunk {
    /// There is none, or it has no [`TextField`].
    None,
    /// The chunk. It is not converted into a template before the first [`ChatChunk::Text`] follows.
    Full(TextField, Box<pb::StreamChatResponse>),
    /// The JSON around its text, without the quotation marks.
    Template { before: Vec<u8>, after: Vec<u8> },
}

impl ChunkWriter {
    /// Creates a writer; `missing_usage` is the parameter of [`write_chunk`].
    pub fn new(missing_usage: MissingUsage) -> Self {
        Self { missing_usage, last: LastChunk::None }
    }

    /// Writes the next chunk.
    pub fn write(&mut self, out: &mut Vec<u8>, chunk: ChatChunk) {
        let text = match chunk {
            ChatChunk::Full(response) => {
                write_chunk(out, &response, self.missing_usage);
                self.last =
                    TextField::find(&response).map_or(LastChunk::None, |field| LastChunk::Full(field, response));
                return;
            }
            ChatChunk::Text(text) => text,
        };
        if let LastChunk::Full(field, response) = &mut self.last {
            self.last = LastChunk::template(*field, response, self.missing_usage);
        }
        if let LastChunk::Template { before, after } = &self.last {
            out.extend_from_slice(before);
            write_scalar(out, &text);
            out.extend_from_slice(after);
        }
    }
}

impl LastChunk {
    /// Finds the JSON around the text by writing the chunk with two texts. `response` has the second one then, which is empty.
    fn template(field: TextField, response: &mut pb::StreamChatResponse, missing_usage: MissingUsage) -> Self {
        let mut json_with = |text: &str| {
            let mut out = Vec::with_capacity(512);
            field.set(response, text.to_owned());
            write_chunk(&mut out, response, missing_usage);
            out
        };
        let (with_text, without_text) = (json_with("x"), json_with(""));
        // They differ first where one has the text and the other the closing quotation mark. Neither quotation mark is kept.
        let text_start = with_text.iter().zip(&without_text).take_while(|(one, other)| one == other).count();
        Self::Template {
            before: without_text[..text_start - 1].to_vec(),
            after: without_text[text_start + 1..].to_vec(),
        }
    }
}
