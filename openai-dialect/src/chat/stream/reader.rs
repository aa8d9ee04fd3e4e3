//! What an upstream's events say.

use triptych_proto::{
    chat_stream::{Piece, Place},
    v1 as pb,
};

use crate::{
    chat::chunk::{Chunk, read_chunk},
    object::ReadError,
};

/// Texts to prove a place with. Two, because a piece may happen to hold one of them.
const PROBES: [&str; 2] = ["probe", "other probe"];

/// What stands in one event of an upstream's stream.
#[derive(Debug, Clone, PartialEq)]
pub enum ChunkEvent {
    /// A piece of the reply.
    Piece(Piece),
    /// The stream failed. The `error` member as it is spelled.
    Error(String),
}

/// Reads the events of one stream, each as [`read_chunk`] would.
#[derive(Debug, Default)]
pub struct ChunkReader {
    shape: Option<Shape>,
    /// The last piece had this shape.
    in_shape: bool,
    budget: Budget,
}

/// What stands around a text and its quotes, and the piece without it.
#[derive(Debug)]
struct Shape {
    place: Place,
    before: Vec<u8>,
    after: Vec<u8>,
    /// The text in it is empty.
    piece: pb::StreamChatResponse,
}

/// Learning costs about as much as two pieces: streams that never say the same twice must not pay it each time.
#[derive(Debug)]
struct Budget(u32);

impl Default for Budget {
    fn default() -> Self {
        Self(4 * Self::LEARNING)
    }
}

impl Budget {
    const LEARNING: u32 = 8;

    fn earn(&mut self) {
        self.0 = (self.0 + 1).min(4 * Self::LEARNING);
    }

    fn spend(&mut self) -> bool {
        let left = self.0.checked_sub(Self::LEARNING);
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }
}

impl ChunkReader {
    /// Reads the data of the next event.
    pub fn read(&mut self, data: &[u8]) -> Result<ChunkEvent, ReadError> {
        if let Some(shape) = &self.shape
            && let Some(text) = shape.read(data)
        {
            self.budget.earn();
            let again = std::mem::replace(&mut self.in_shape, true);
            return Ok(ChunkEvent::Piece(if again { Piece::Text(text) } else { shape.with(text).into() }));
        }
        self.in_shape = false;
        let Chunk { response, error } = read_chunk(data)?;
        if let Some(error) = error {
            return Ok(ChunkEvent::Error(error));
        }
        if let Some(place) = Place::of(&response)
            && self.budget.spend()
        {
            self.shape = Shape::of(place, data, &response);
            self.in_shape = self.shape.is_some();
        }
        Ok(ChunkEvent::Piece(response.into()))
    }

    /// Whether it still tries to learn what repeats.
    #[cfg(test)]
    pub(super) fn learns(&self) -> bool {
        self.budget.0 >= Budget::LEARNING
    }

    /// Whether it has learned what repeats.
    #[cfg(test)]
    pub(super) fn has_learned(&self) -> bool {
        self.shape.is_some()
    }
}

impl Shape {
    /// The text of an event that differs from what is remembered in the one place alone.
    fn read(&self, data: &[u8]) -> Option<String> {
        let changed = data.strip_prefix(&*self.before)?.strip_suffix(&*self.after)?;
        let inner = changed.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        // Nothing is not the same as an empty text everywhere, so that one is read with care.
        if inner.is_empty() {
            return None;
        }
        let plain = inner.iter().all(|&byte| byte >= b' ' && byte != b'"' && byte != b'\\');
        if plain { str::from_utf8(inner).ok().map(str::to_owned) } else { serde_json::from_slice(changed).ok() }
    }

    fn with(&self, text: String) -> pb::StreamChatResponse {
        let mut piece = self.piece.clone();
        self.place.put(&mut piece, text);
        piece
    }

    /// What stands around the text of a piece that was read from `data`, if that can be told for sure: it is proven by
    /// reading the event once more with another text in that place.
    fn of(place: Place, data: &[u8], piece: &pb::StreamChatResponse) -> Option<Self> {
        let mut piece = piece.clone();
        let current = place.text(&mut piece).map(std::mem::take)?;
        let probe = PROBES.into_iter().find(|&probe| probe != current)?;
        let mut probed = piece.clone();
        place.put(&mut probed, probe.to_owned());
        let proven = |&(start, end): &(usize, usize)| {
            let again = [&data[..start], b"\"", probe.as_bytes(), b"\"", &data[end..]].concat();
            read_chunk(&again).is_ok_and(|read| read.error.is_none() && read.response == probed)
        };
        let (start, end) = candidates(place, data).find(proven)?;
        Some(Self { place, before: data[..start].to_vec(), after: data[end..].to_vec(), piece })
    }
}

/// More names than this in one event, and it is not worth the trouble.
const CANDIDATES: usize = 4;

/// Where in an event the text may stand, quotes included: wherever its name is.
fn candidates(place: Place, data: &[u8]) -> impl Iterator<Item = (usize, usize)> {
    let name: &[u8] = match place {
        Place::Content => b"\"content\"",
        Place::Reasoning => b"\"reasoning_content\"",
    };
    let blank = |at: usize| at + data[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let value_behind = move |end: usize| {
        let colon = blank(end);
        let start = blank(data.get(colon).filter(|&&byte| byte == b':').map(|_| colon + 1)?);
        let mut rest = data.get(start..)?.strip_prefix(b"\"")?.iter();
        while let Some(&byte) = rest.next() {
            match byte {
                b'"' => return Some((start, data.len() - rest.len())),
                b'\\' => drop(rest.next()),
                _ => {}
            }
        }
        None
    };
    let named = data.windows(name.len()).enumerate().filter(move |(_, part)| *part == name);
    let ends = named.map(|(at, _)| at + name.len());
    ends.filter_map(value_behind).take(CANDIDATES)
}
