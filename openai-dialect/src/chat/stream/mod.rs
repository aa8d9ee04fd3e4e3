//! Reading and writing the pieces of one stream.
//!
//! The pieces of an answer differ in one text, the content or the reasoning. Both sides remember what stood around that
//! text, and where the next piece has the same around it, only the text is read or written, as a [`Piece::Text`].
//!
//! [`Piece::Text`]: triptych_proto::chat_stream::Piece::Text

mod reader;
mod writer;

pub use reader::{ChunkEvent, ChunkReader};
pub use writer::ChunkWriter;

#[cfg(test)]
mod tests;
