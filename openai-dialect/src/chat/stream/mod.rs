//! Reading and writing the chunks of one stream, optimized for consecutive chunks that differ in one text only.
//!
//! Reader and writer remember the JSON around the text of the last chunk. If the next chunk has the same JSON around its
//! text, only the text is parsed or written, as a [`ChatChunk::Text`].
//!
//! [`ChatChunk::Text`]: triptych_proto::chat_stream::ChatChunk::Text

mod reader;
mod surrogates;
mod template;
mod writer;

pub use reader::{ChunkEvent, ChunkReader};
pub use writer::ChunkWriter;

#[cfg(test)]
mod tests;
