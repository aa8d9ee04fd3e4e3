//! `content` of a message: a string or an array of content parts.

use std::{fmt, marker::PhantomData};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use triptych_proto::v1::{self as pb, chat_message::Content as MessageContent, content_part::Part};

use super::content_part::PartOrJson;
use crate::json::{
    extra::append_member,
    field::{Field, Unrepresented},
    mode::Mode,
    object::Member,
    value::{ArraySeed, Nullable},
    write::{Write, write_array, write_scalar},
};

/// Reads `content` into the field of a message.
pub(super) struct ContentField<'a>(pub(super) &'a mut Option<MessageContent>);

impl Field for ContentField<'_> {
    fn read_from<'de, A: MapAccess<'de>>(&mut self, map: &mut A, mode: Mode) -> Result<Unrepresented, A::Error> {
        Ok(match map.next_value_seed(Nullable(ContentSeed(mode)))? {
            Some(content) => {
                *self.0 = Some(content);
                None
            }
            None => Some("null"),
        })
    }
}

/// Reads a string or an array of content parts.
struct ContentSeed(Mode);

impl<'de> DeserializeSeed<'de> for ContentSeed {
    type Value = MessageContent;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<MessageContent, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ContentSeed {
    type Value = MessageContent;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or an array of content parts")
    }

    fn visit_str<E>(self, text: &str) -> Result<MessageContent, E> {
        Ok(MessageContent::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<MessageContent, E> {
        Ok(MessageContent::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<MessageContent, A::Error> {
        let parts: Vec<PartOrJson> = ArraySeed(self.0, PhantomData).visit_seq(seq)?;
        Ok(MessageContent::Parts(pb::ContentParts { parts: parts.into_iter().map(|PartOrJson(part)| part).collect() }))
    }
}

/// Reads the `content` of a message of a response. Of an array of parts, as Mistral sends it, the texts are joined.
pub(super) fn read_response_content<'de, A: MapAccess<'de>>(
    member: Member<'_, 'de, A>,
    message: &mut pb::ChatMessage,
) -> Result<(), A::Error> {
    member.read_or_keep(&mut ContentField(&mut message.content), &mut message.extra_json)?;
    // Matched twice, so that a text is not taken out.
    if let Some(MessageContent::Parts(_)) = &message.content
        && let Some(MessageContent::Parts(parts)) = message.content.take()
    {
        let text = join_parts(parts.parts, &mut message.reasoning_content, &mut message.extra_json);
        message.content = text.map(MessageContent::Text);
    }
    Ok(())
}

/// Reads the `content` of a delta, which in strict mode must be a string. See [`read_response_content`].
pub(super) fn read_delta_content<'de, A: MapAccess<'de>>(
    member: Member<'_, 'de, A>,
    delta: &mut pb::ChatDelta,
) -> Result<(), A::Error> {
    if member.mode() == Mode::Strict {
        return member.read_into(&mut delta.content, &mut delta.extra_json);
    }
    let mut content = None;
    member.read_into(&mut ContentField(&mut content), &mut delta.extra_json)?;
    delta.content = match content {
        Some(MessageContent::Text(text)) => Some(text),
        Some(MessageContent::Parts(parts)) => {
            join_parts(parts.parts, &mut delta.reasoning_content, &mut delta.extra_json)
        }
        None => None,
    };
    Ok(())
}

/// Joins the texts of parts. If there are parts of other types, they are kept in `extra` as `content_parts`, and the text of
/// thinking parts is also added to the reasoning.
fn join_parts(
    parts: Vec<pb::ContentPart>,
    reasoning_content: &mut Option<String>,
    extra: &mut String,
) -> Option<String> {
    /// Mistral's part with the reasoning of a model.
    #[derive(serde::Deserialize)]
    struct Thinking {
        r#type: String,
        thinking: Vec<ThinkingPart>,
    }
    #[derive(serde::Deserialize)]
    struct ThinkingPart {
        #[serde(default)]
        text: String,
    }

    let (mut text, mut others) = (None::<String>, Vec::new());
    for part in parts {
        match part.part {
            Some(Part::Text(more)) => text.get_or_insert_default().push_str(&more),
            Some(_) | None => others.push(part),
        }
    }
    for part in &others {
        if let Some(Part::OtherJson(json)) = &part.part
            && let Ok(Thinking { r#type, thinking }) = serde_json::from_str(json)
            && r#type == "thinking"
        {
            let reasoning = reasoning_content.get_or_insert_default();
            for part in thinking {
                reasoning.push_str(&part.text);
            }
        }
    }
    if !others.is_empty() {
        let mut json = Vec::new();
        write_array(&mut json, &others);
        append_member(extra, "content_parts", &String::from_utf8_lossy(&json));
    }
    text
}

impl Write for MessageContent {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => write_scalar(out, text),
            Self::Parts(parts) => write_array(out, &parts.parts),
        }
    }
}
