//! What a message says: text, or parts.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use triptych_proto::v1::{self as pb, chat_message::Content as MessageContent, content_part::Part};

use crate::{
    object::{Member, Object},
    value::{List, Slot},
    write::{Write, append_member, list, object, scalar},
};

/// The content of a message, read in place.
pub(super) struct Content<'a>(pub(super) &'a mut Option<MessageContent>);

impl Slot for Content<'_> {
    fn fill<'de, A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<Option<&'static str>, A::Error> {
        struct TextOrParts(MessageContent);

        impl<'de> Deserialize<'de> for TextOrParts {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct TextOrPartsVisitor;

                impl<'de> Visitor<'de> for TextOrPartsVisitor {
                    type Value = TextOrParts;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a string or a list of parts")
                    }

                    fn visit_str<E>(self, text: &str) -> Result<TextOrParts, E> {
                        Ok(TextOrParts(MessageContent::Text(text.to_owned())))
                    }

                    fn visit_string<E>(self, text: String) -> Result<TextOrParts, E> {
                        Ok(TextOrParts(MessageContent::Text(text)))
                    }

                    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<TextOrParts, A::Error> {
                        let List(parts) = List::deserialize(de::value::SeqAccessDeserializer::new(seq))?;
                        Ok(TextOrParts(MessageContent::Parts(pb::ContentParts {
                            parts: parts.into_iter().map(|AnyPart { part, .. }| part).collect(),
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

/// A part under way: its kind is known only once all members are read.
#[derive(Default)]
struct AnyPart {
    kind: String,
    part: pb::ContentPart,
}

impl Object for AnyPart {
    fn take<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        let extra = &mut self.part.extra_json;
        let slot = &mut self.part.part;
        let mut text = String::new();
        match member.name() {
            "type" => member.fill(&mut self.kind, extra),
            "text" => member.fill(&mut text, extra).map(|()| *slot = Some(Part::Text(text))),
            "refusal" => member.fill(&mut text, extra).map(|()| *slot = Some(Part::Refusal(text))),
            "image_url" => {
                let mut image = pb::ImagePart::default();
                member.fill(&mut image, extra).map(|()| *slot = Some(Part::ImageUrl(image)))
            }
            "input_audio" => {
                let mut audio = pb::AudioPart::default();
                member.fill(&mut audio, extra).map(|()| *slot = Some(Part::InputAudio(audio)))
            }
            "file" => {
                let mut file = pb::FilePart::default();
                member.fill(&mut file, extra).map(|()| *slot = Some(Part::File(file)))
            }
            _ => member.keep(extra),
        }
    }

    fn finish(&mut self) -> Result<(), &'static str> {
        let expected = match &self.part.part {
            Some(part) => kind(part),
            None => "",
        };
        match self.kind.as_str() {
            known if known == expected && !known.is_empty() => Ok(()),
            "" => Err("a part needs a `type`"),
            "text" => Err("a part of type `text` needs a string `text`"),
            "image_url" => Err("a part of type `image_url` needs an object `image_url`"),
            "input_audio" => Err("a part of type `input_audio` needs an object `input_audio`"),
            "file" => Err("a part of type `file` needs an object `file`"),
            "refusal" => Err("a part of type `refusal` needs a string `refusal`"),
            _ => {
                self.part = pb::ContentPart { part: Some(Part::OtherJson(self.whole())), extra_json: String::new() };
                Ok(())
            }
        }
    }
}

impl AnyPart {
    /// The part as one object, for kinds that have no field.
    fn whole(&self) -> String {
        let mut value = Vec::new();
        scalar(&mut value, &self.kind);
        let mut json = String::new();
        append_member(&mut json, "type", &String::from_utf8_lossy(&value));
        if let Some(part) = &self.part.part {
            value.clear();
            write_payload(&mut value, part);
            append_member(&mut json, kind(part), &String::from_utf8_lossy(&value));
        }
        for (name, value) in crate::extra_members(&self.part.extra_json).unwrap_or_default() {
            append_member(&mut json, &name, value);
        }
        json
    }
}

/// The `type` of a part, which is also the name of the member that holds it.
fn kind(part: &Part) -> &'static str {
    match part {
        Part::Text(_) => "text",
        Part::ImageUrl(_) => "image_url",
        Part::InputAudio(_) => "input_audio",
        Part::File(_) => "file",
        Part::Refusal(_) => "refusal",
        Part::OtherJson(_) => "",
    }
}

fn write_payload(out: &mut Vec<u8>, part: &Part) {
    match part {
        Part::Text(text) | Part::Refusal(text) => scalar(out, text),
        Part::ImageUrl(image) => image.write(out),
        Part::InputAudio(audio) => audio.write(out),
        Part::File(file) => file.write(out),
        Part::OtherJson(json) => out.extend_from_slice(json.as_bytes()),
    }
}

impl Write for MessageContent {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => scalar(out, text),
            Self::Parts(parts) => list(out, &parts.parts),
        }
    }
}

impl Write for pb::ContentPart {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { part, extra_json } = self;
        match part {
            Some(Part::OtherJson(json)) => out.extend_from_slice(json.as_bytes()),
            Some(part) => object(out, |o| {
                o.scalar("type", kind(part));
                o.payload(kind(part), |out| write_payload(out, part));
                o.extra(extra_json);
            }),
            None => object(out, |o| o.extra(extra_json)),
        }
    }
}

impl Object for pb::ImagePart {
    fn take<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        match member.name() {
            "url" => member.fill(&mut self.url, &mut self.extra_json),
            "detail" => member.fill(&mut self.detail, &mut self.extra_json),
            _ => member.keep(&mut self.extra_json),
        }
    }
}

impl Write for pb::ImagePart {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { url, detail, extra_json } = self;
        object(out, |o| {
            o.scalar("url", url);
            o.optional("detail", detail.as_ref());
            o.extra(extra_json);
        });
    }
}

impl Object for pb::AudioPart {
    fn take<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        match member.name() {
            "data" => member.fill(&mut self.data, &mut self.extra_json),
            "format" => member.fill(&mut self.format, &mut self.extra_json),
            _ => member.keep(&mut self.extra_json),
        }
    }
}

impl Write for pb::AudioPart {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { data, format, extra_json } = self;
        object(out, |o| {
            o.scalar("data", data);
            o.scalar("format", format);
            o.extra(extra_json);
        });
    }
}

impl Object for pb::FilePart {
    fn take<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        match member.name() {
            "file_data" => member.fill(&mut self.file_data, &mut self.extra_json),
            "file_id" => member.fill(&mut self.file_id, &mut self.extra_json),
            "filename" => member.fill(&mut self.filename, &mut self.extra_json),
            _ => member.keep(&mut self.extra_json),
        }
    }
}

impl Write for pb::FilePart {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { file_data, file_id, filename, extra_json } = self;
        object(out, |o| {
            o.optional("file_data", file_data.as_ref());
            o.optional("file_id", file_id.as_ref());
            o.optional("filename", filename.as_ref());
            o.extra(extra_json);
        });
    }
}
