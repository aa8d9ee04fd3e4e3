//! Reading and writing the pieces of one stream.
//!
//! Between its first and its last piece, a streamed answer says the same over and over: the pieces differ in one text,
//! the content or the reasoning. Both sides remember what stood around that text, and where the next piece has the same
//! around it, only the text is read or written. What is remembered is proven first: by reading the piece, or writing
//! it, once more with another text in that place.

use triptych_proto::v1 as pb;

use super::chunk::{Chunk, read_chunk, write_chunk};
use crate::{object::ReadError, write::scalar};

/// Texts to prove a place with. Two, because a piece may happen to hold one of them.
const PROBES: [&str; 2] = ["probe", "other probe"];

/// Reads the events of one stream, each as [`read_chunk`] would.
#[derive(Debug, Default)]
pub struct ChunkReader {
    shape: Option<Shape>,
    budget: Budget,
}

/// Writes the pieces of one stream, each as [`write_chunk`] would.
#[derive(Debug)]
pub struct ChunkWriter {
    usage_member: bool,
    shape: Option<Shape>,
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

/// The text that changes from piece to piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Content,
    Reasoning,
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
    pub fn read(&mut self, text: &[u8]) -> Result<Chunk, ReadError> {
        if let Some(response) = self.shape.as_ref().and_then(|shape| shape.read(text)) {
            self.budget.earn();
            return Ok(Chunk { response, error: None });
        }
        let chunk = read_chunk(text)?;
        if let Some(place) = Place::of(&chunk.response)
            && chunk.error.is_none()
            && self.budget.spend()
        {
            self.shape = Shape::of_text(place, text, &chunk.response);
        }
        Ok(chunk)
    }
}

impl ChunkWriter {
    /// `usage_member`: as for [`write_chunk`].
    pub fn new(usage_member: bool) -> Self {
        Self { usage_member, shape: None, budget: Budget::default() }
    }

    /// Writes the next piece.
    pub fn write(&mut self, out: &mut Vec<u8>, mut response: pb::StreamChatResponse) {
        let Some(place) = Place::of(&response) else {
            return write_chunk(out, &response, self.usage_member);
        };
        let text = place.text(&mut response).map(std::mem::take).unwrap_or_default();
        if self.shape.as_ref().is_none_or(|shape| shape.place != place || shape.piece != response) {
            if !self.budget.spend() {
                place.put(&mut response, text);
                return write_chunk(out, &response, self.usage_member);
            }
            self.shape = Some(Shape::of_piece(place, response, self.usage_member));
        } else {
            self.budget.earn();
        }
        if let Some(shape) = &self.shape {
            out.extend_from_slice(&shape.before);
            scalar(out, &text);
            out.extend_from_slice(&shape.after);
        }
    }
}

impl Shape {
    /// The piece that a text stands for, if it differs from what is remembered in the one place alone.
    fn read(&self, text: &[u8]) -> Option<pb::StreamChatResponse> {
        let changed = text.strip_prefix(&*self.before)?.strip_suffix(&*self.after)?;
        let inner = changed.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        // Nothing is not the same as an empty text everywhere, so that one is read with care.
        if inner.is_empty() {
            return None;
        }
        let plain = inner.iter().all(|&byte| byte >= b' ' && byte != b'"' && byte != b'\\');
        let new = if plain { str::from_utf8(inner).ok()?.to_owned() } else { serde_json::from_slice(changed).ok()? };
        let mut piece = self.piece.clone();
        self.place.put(&mut piece, new);
        Some(piece)
    }

    /// What stands around the text of a piece that was read from `text`, if that can be told for sure.
    fn of_text(place: Place, text: &[u8], piece: &pb::StreamChatResponse) -> Option<Self> {
        let mut piece = piece.clone();
        let current = place.text(&mut piece).map(std::mem::take)?;
        let probe = PROBES.into_iter().find(|&probe| probe != current)?;
        let mut probed = piece.clone();
        place.put(&mut probed, probe.to_owned());
        let proven = |&(start, end): &(usize, usize)| {
            let again = [&text[..start], b"\"", probe.as_bytes(), b"\"", &text[end..]].concat();
            read_chunk(&again).is_ok_and(|read| read.error.is_none() && read.response == probed)
        };
        let (start, end) = place.candidates(text).find(proven)?;
        Some(Self { place, before: text[..start].to_vec(), after: text[end..].to_vec(), piece })
    }

    /// What stands around the text of a piece when it is written. The text is empty.
    fn of_piece(place: Place, mut piece: pb::StreamChatResponse, usage_member: bool) -> Self {
        let mut written = |text: &str| {
            let mut out = Vec::with_capacity(512);
            place.put(&mut piece, text.to_owned());
            write_chunk(&mut out, &piece, usage_member);
            out
        };
        let (longer, empty) = (written("x"), written(""));
        // The first difference is where the one has its text and the other its closing quote.
        let inside = longer.iter().zip(&empty).take_while(|(one, other)| one == other).count();
        Self { place, before: empty[..inside - 1].to_vec(), after: empty[inside + 1..].to_vec(), piece }
    }
}

impl Place {
    /// Where a piece with one choice has a text.
    fn of(piece: &pb::StreamChatResponse) -> Option<Self> {
        let [choice] = &*piece.choices else { return None };
        let delta = choice.delta.as_ref()?;
        let has = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        (has(&delta.content).then_some(Self::Content)).or(has(&delta.reasoning_content).then_some(Self::Reasoning))
    }

    fn text(self, piece: &mut pb::StreamChatResponse) -> Option<&mut String> {
        let delta = piece.choices.first_mut()?.delta.as_mut()?;
        match self {
            Self::Content => delta.content.as_mut(),
            Self::Reasoning => delta.reasoning_content.as_mut(),
        }
    }

    fn put(self, piece: &mut pb::StreamChatResponse, text: String) {
        if let Some(place) = self.text(piece) {
            *place = text;
        }
    }

    /// Where in an event the text may stand, quotes included: wherever its name is.
    fn candidates(self, text: &[u8]) -> impl Iterator<Item = (usize, usize)> {
        let name: &[u8] = match self {
            Self::Content => b"\"content\"",
            Self::Reasoning => b"\"reasoning_content\"",
        };
        let blank = |at: usize| at + text[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let value_behind = move |end: usize| {
            let colon = blank(end);
            let start = blank(text.get(colon).filter(|&&byte| byte == b':').map(|_| colon + 1)?);
            let mut rest = text.get(start..)?.strip_prefix(b"\"")?.iter();
            while let Some(&byte) = rest.next() {
                match byte {
                    b'"' => return Some((start, text.len() - rest.len())),
                    b'\\' => drop(rest.next()),
                    _ => {}
                }
            }
            None
        };
        let named = text.windows(name.len()).enumerate().filter(move |(_, part)| *part == name);
        let ends = named.map(|(at, _)| at + name.len());
        ends.filter_map(value_behind).take(Self::CANDIDATES)
    }

    /// More names than this in one event, and it is not worth the trouble.
    const CANDIDATES: usize = 4;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(content: &str) -> String {
        format!(
            r#"{{"id":"c-1","object":"chat.completion.chunk","created":7,"model":"m","choices":[{{"index":0,"delta":{{"content":{content}}},"finish_reason":null,"logprobs":null}}]}}"#
        )
    }

    /// Reads and writes these events with and without a memory. Both must agree on each of them.
    fn compare(events: &[String]) -> ChunkReader {
        let (mut reader, mut writer) = (ChunkReader::default(), ChunkWriter::new(false));
        for event in events {
            let plain = read_chunk(event.as_bytes());
            let read = reader.read(event.as_bytes());
            assert_eq!(read, plain, "{event}");
            if let Ok(Chunk { response, error: None }) = read {
                let (mut plain, mut remembered) = (Vec::new(), Vec::new());
                write_chunk(&mut plain, &response, false);
                writer.write(&mut remembered, response);
                assert_eq!(String::from_utf8(remembered).unwrap(), String::from_utf8(plain).unwrap(), "{event}");
            }
        }
        reader
    }

    #[test]
    fn a_text_of_any_kind_is_read_and_written_as_without_a_memory() {
        let texts = [
            r#""a""#,
            r#"" b""#,
            r#""\n\"\\\u00e9\ud83d\ude00""#,
            r#""é世""#,
            r#""""#,
            "null",
            r#""\x""#,
            r#""a"b""#,
            "\"\u{1}\"",
            r#""\ud800""#,
            r#""","role":"x""#,
            "7",
            r#""probe""#,
            r#""}]}""#,
        ];
        compare(&texts.map(event));
        let mut torn = event(r#""a""#).into_bytes();
        let mut reader = ChunkReader::default();
        reader.read(&torn).unwrap();
        let at = torn.windows(3).position(|part| part == br#""a""#).unwrap();
        torn[at + 1] = 0xff;
        assert_eq!(reader.read(&torn), read_chunk(&torn));
    }

    #[test]
    fn a_name_that_stands_elsewhere_as_well_does_not_mislead() {
        let odd = |text: &str| {
            format!(
                r#"{{"x":{{"content":"a"}},"choices":[{{"content":"a","delta":{{"content":"{text}"}},"index":0}}],"content":"a"}}"#
            )
        };
        let reader = compare(&["a", "b", "a"].map(odd));
        assert!(reader.shape.is_some());
        let twice = |text: &str| format!(r#"{{"choices":[{{"delta":{{"content":"{text}","content":"last"}}}}]}}"#);
        compare(&["a", "b", "last"].map(twice));
    }

    #[test]
    fn reasoning_is_remembered_in_one_of_its_spellings_and_read_in_all() {
        let piece = |name: &str, text: &str| format!(r#"{{"choices":[{{"index":0,"delta":{{"{name}":"{text}"}}}}]}}"#);
        assert!(compare(&["a", "b", "", "c"].map(|text| piece("reasoning_content", text))).shape.is_some());
        compare(&["a", "b", "", "c"].map(|text| piece("reasoning", text)));
        compare(&["a", "b", "c"].map(|text| piece("reasoning_content\":\"b\",\"reasoning", text)));
    }

    #[test]
    fn what_never_repeats_is_soon_no_longer_learned() {
        let events: Vec<_> = (0..100).map(|n| event(r#""a""#).replace(":7,", &format!(":{n},"))).collect();
        let reader = compare(&events);
        assert!(reader.budget.0 < Budget::LEARNING);
    }
}
