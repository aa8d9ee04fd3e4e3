//! `content` of a message: a string or an array of content parts.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use triptych_proto::v1::{self as pb, chat_message::Content as MessageContent};

use super::content_part::PartReader;
use crate::json::{
    field::Field,
    value::JsonArray,
    write::{Write, write_array, write_scalar},
};

/// Reads `content` into the field of a message.
pub(super) struct ContentField<'a>(pub(super) &'a mut Option<MessageContent>);

impl Field for ContentField<'_> {
    fn read_from<'de, A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<Option<&'static str>, A::Error> {
        struct TextOrParts(MessageContent);

        impl<'de> Deserialize<'de> for TextOrParts {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct TextOrPartsVisitor;

                impl<'de> Visitor<'de> for TextOrPartsVisitor {
                    type Value = TextOrParts;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a string or an array of content parts")
                    }

                    fn visit_str<E>(self, text: &str) -> Result<TextOrParts, E> {
                        Ok(TextOrParts(MessageContent::Text(text.to_owned())))
                    }

                    fn visit_string<E>(self, text: String) -> Result<TextOrParts, E> {
                        Ok(TextOrParts(MessageContent::Text(text)))
                    }

                    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<TextOrParts, A::Error> {
                        let JsonArray(parts) = JsonArray::deserialize(de::value::SeqAccessDeserializer::new(seq))?;
                        Ok(TextOrParts(MessageContent::Parts(pb::ContentParts {
                            parts: parts.into_iter().map(PartReader::into_part).collect(),
                        })))
                    }
                }

                deserializer.deserialize_any(TextOrPartsVisitor)
            }
        }

        Ok(match map.next_value::<Option<TextOrParts>>()? {
            Some(TextOrParts(content)) => {
                *self.0 = Some(content);
                None
            }
            None => Some("null"),
        })
    }
}

impl Write for MessageContent {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => write_scalar(out, text),
            Self::Parts(parts) => write_array(out, &parts.parts),
        }
    }
}
