//! The JSON around the text of a chunk, as the events of a stream repeat it.

use triptych_proto::{chat_stream::TextField, v1 as pb};

use crate::chat::chunk::read_chunk;

/// Texts to verify a template with. Two, because the text of the chunk may equal one of them.
const PROBES: [&str; 2] = ["probe", "other probe"];

/// Maximum number of positions that are verified in one event.
const MAX_CANDIDATES: usize = 4;

/// An event split at its text, and the chunk that it represents.
#[derive(Debug)]
pub(super) struct EventTemplate {
    field: TextField,
    /// The JSON before the text, without the quotation mark.
    before: Vec<u8>,
    /// The JSON after the text, without the quotation mark.
    after: Vec<u8>,
    /// The chunk with an empty text.
    response: pb::StreamChatResponse,
}

impl EventTemplate {
    /// Learns the template of an event that was parsed as `response`.
    ///
    /// The name of the field may occur several times in the event. Each position is verified by parsing the event again
    /// with another text there. Returns `None` if no position passes.
    pub(super) fn learn(field: TextField, data: &[u8], response: &pb::StreamChatResponse) -> Option<Self> {
        let mut response = response.clone();
        let current = field.get_mut(&mut response).map(std::mem::take)?;
        let probe = PROBES.into_iter().find(|&probe| probe != current)?;
        let mut expected = response.clone();
        field.set(&mut expected, probe.to_owned());
        let is_verified = |&(start, end): &(usize, usize)| {
            let probed = [&data[..start], b"\"", probe.as_bytes(), b"\"", &data[end..]].concat();
            read_chunk(&probed).is_ok_and(|read| read.error.is_none() && read.response == expected)
        };
        let (start, end) = candidates(field, data).find(is_verified)?;
        Some(Self { field, before: data[..start].to_vec(), after: data[end..].to_vec(), response })
    }

    /// Returns the text of an event that equals the template in everything else.
    pub(super) fn match_text(&self, data: &[u8]) -> Option<String> {
        let quoted = data.strip_prefix(&*self.before)?.strip_suffix(&*self.after)?;
        let inner = quoted.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        // A chunk with an empty text has no `TextField`, so it must be read as a complete chunk.
        if inner.is_empty() {
            return None;
        }
        let needs_no_unescaping = inner.iter().all(|&byte| byte >= b' ' && byte != b'"' && byte != b'\\');
        if needs_no_unescaping {
            str::from_utf8(inner).ok().map(str::to_owned)
        } else {
            serde_json::from_slice(quoted).ok()
        }
    }

    /// Returns the complete chunk with `text`.
    pub(super) fn response_with(&self, text: String) -> pb::StreamChatResponse {
        let mut response = self.response.clone();
        self.field.set(&mut response, text);
        response
    }
}

/// Returns the positions of the string values that follow the name of `field`, quotation marks included.
fn candidates(field: TextField, data: &[u8]) -> impl Iterator<Item = (usize, usize)> {
    let name: &[u8] = match field {
        TextField::Content => b"\"content\"",
        TextField::ReasoningContent => b"\"reasoning_content\"",
    };
    let skip_whitespace = |at: usize| at + data[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let value_after_name = move |name_end: usize| {
        let colon = skip_whitespace(name_end);
        let start = skip_whitespace(data.get(colon).filter(|&&byte| byte == b':').map(|_| colon + 1)?);
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
    let occurrences = data.windows(name.len()).enumerate().filter(move |(_, window)| *window == name);
    let name_ends = occurrences.map(|(at, _)| at + name.len());
    name_ends.filter_map(value_after_name).take(MAX_CANDIDATES)
}
