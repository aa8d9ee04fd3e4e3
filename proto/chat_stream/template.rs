//! The wire format of consecutive chunks that differ only in one text.

use bytes::BufMut;
use prost::{Message as _, length_delimiter_len};

use super::TextField;
use crate::v1 as pb;

/// The encoded fields of a chunk around its text.
///
/// A chunk is three nested messages: response, choice, delta. Protobuf's fields may have any order, so the nested field is
/// written last in each, and only the lengths and the text at the end vary.
#[derive(Debug)]
pub(super) struct Template {
    /// For response, choice and delta: the other fields, and the key of the nested field. The length of the nested field
    /// follows.
    messages: [Vec<u8>; 3],
}

impl Template {
    /// Creates the template of a chunk with this field. Returns `None` if the chunk does not have the field.
    pub(super) fn new(field: TextField, mut response: pb::StreamChatResponse) -> Option<Self> {
        let mut choice = response.choices.pop()?;
        let mut delta = choice.delta.take()?;
        // The numbers are those of the fields in `chat.proto`.
        let text_number = match field {
            TextField::Content => {
                delta.content = None;
                2
            }
            TextField::ReasoningContent => {
                delta.reasoning_content = None;
                4
            }
        };
        let with_key = |mut fields: Vec<u8>, number: u8| {
            fields.push(key(number));
            fields
        };
        Some(Self {
            messages: [
                with_key(response.encode_to_vec(), 4),
                with_key(choice.encode_to_vec(), 2),
                with_key(delta.encode_to_vec(), text_number),
            ],
        })
    }

    /// Appends the chunk with this text.
    pub(super) fn write(&self, text: &str, out: &mut impl BufMut) {
        // From the innermost field, the text, outwards.
        let [response, choice, delta] = &self.messages;
        let delta_length = delta.len() + length_delimiter_len(text.len()) + text.len();
        let choice_length = choice.len() + length_delimiter_len(delta_length) + delta_length;
        for (fields, nested_length) in [(response, choice_length), (choice, delta_length), (delta, text.len())] {
            out.put_slice(fields);
            // Fails only if `out` is full, and it grows.
            let _ = prost::encode_length_delimiter(nested_length, out);
        }
        out.put_slice(text.as_bytes());
    }

    /// Returns the text of a message that [`write`](Self::write) could have written: all its other fields are those of the chunk.
    /// `None` for any other message.
    pub(super) fn read<'a>(&self, message: &'a [u8]) -> Option<&'a str> {
        let mut rest = message;
        for fields in &self.messages {
            rest = rest.strip_prefix(fields.as_slice())?;
            let length = prost::decode_length_delimiter(&mut rest).ok()?;
            if length != rest.len() {
                return None;
            }
        }
        std::str::from_utf8(rest).ok()
    }
}

/// Returns the key of a length-delimited field with a number below 16, which is one byte: the number, and the wire type 2.
const fn key(number: u8) -> u8 {
    number << 3 | 2
}
