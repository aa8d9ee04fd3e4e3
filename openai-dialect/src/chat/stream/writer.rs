//! Pieces as a client reads them.

use triptych_proto::{
    chat_stream::{Piece, Place},
    v1 as pb,
};

use crate::{chat::chunk::write_chunk, write::scalar};

/// Writes the pieces of one stream, each as [`write_chunk`] would.
#[derive(Debug)]
pub struct ChunkWriter {
    usage_member: bool,
    last: Last,
}

/// The last piece that was whole.
#[derive(Debug)]
enum Last {
    /// There is none with a text that could change.
    None,
    /// No piece has repeated it yet.
    Piece(Place, Box<pb::StreamChatResponse>),
    /// What stands around its text and the quotes.
    Shape { before: Vec<u8>, after: Vec<u8> },
}

impl ChunkWriter {
    /// `usage_member`: as for [`write_chunk`].
    pub fn new(usage_member: bool) -> Self {
        Self { usage_member, last: Last::None }
    }

    /// Writes the next piece.
    pub fn write(&mut self, out: &mut Vec<u8>, piece: Piece) {
        let text = match piece {
            Piece::Whole(piece) => {
                write_chunk(out, &piece, self.usage_member);
                self.last = Place::of(&piece).map_or(Last::None, |place| Last::Piece(place, piece));
                return;
            }
            Piece::Text(text) => text,
        };
        if let Last::Piece(place, piece) = &mut self.last {
            self.last = Last::shape(*place, piece, self.usage_member);
        }
        if let Last::Shape { before, after } = &self.last {
            out.extend_from_slice(before);
            scalar(out, &text);
            out.extend_from_slice(after);
        }
    }
}

impl Last {
    fn shape(place: Place, piece: &mut pb::StreamChatResponse, usage_member: bool) -> Self {
        let mut written = |text: &str| {
            let mut out = Vec::with_capacity(512);
            place.put(piece, text.to_owned());
            write_chunk(&mut out, piece, usage_member);
            out
        };
        let (longer, empty) = (written("x"), written(""));
        // The first difference is where the one has its text and the other its closing quote.
        let inside = longer.iter().zip(&empty).take_while(|(one, other)| one == other).count();
        Self::Shape { before: empty[..inside - 1].to_vec(), after: empty[inside + 1..].to_vec() }
    }
}
