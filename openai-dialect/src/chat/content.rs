//! What a message says: text, or parts.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use triptych_proto::v1::{self as pb, chat_message::Content as MessageContent, content_part::Part};

use crate::{
    object::{Json, Member, Object},
    value::{List, Slot},
    write::{Write, list, object, remove_member, scalar},
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

/// A part under way: its kind is known only once its `type` is read, which mostly comes first.
#[derive(Default)]
struct AnyPart {
    kind: String,
    part: pb::ContentPart,
}

impl Object for AnyPart {
    fn take<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        let Self { kind, part: pb::ContentPart { part, extra_json } } = self;
        match member.name() {
            "type" => member.fill_or_null(kind),
            name if name == kind && is_known(name) => member.fill_or_null(&mut Payload { kind, part }),
            // Another kind's member, or this one's before its `type`: `finish` looks for it.
            _ => member.keep(extra_json),
        }
    }

    fn finish(&mut self) -> Result<(), &'static str> {
        let Self { kind, part: pb::ContentPart { part, extra_json } } = self;
        if kind.is_empty() {
            return Err("a part needs a `type`");
        }
        if !is_known(kind) {
            let json = whole(kind, extra_json);
            self.part = pb::ContentPart { part: Some(Part::OtherJson(json)), extra_json: String::new() };
            return Ok(());
        }
        if part.is_none() {
            *part = take_payload(kind, extra_json);
        }
        match (part, kind.as_str()) {
            (Some(_), _) => Ok(()),
            (None, "text") => Err("a part of type `text` needs a string `text`"),
            (None, "refusal") => Err("a part of type `refusal` needs a string `refusal`"),
            (None, "image_url") => Err("a part of type `image_url` needs an object `image_url`"),
            (None, "input_audio") => Err("a part of type `input_audio` needs an object `input_audio`"),
            (None, _) => Err("a part of type `file` needs an object `file`"),
        }
    }
}

/// Whether a part of this `type` has a field.
fn is_known(kind: &str) -> bool {
    matches!(kind, "text" | "refusal" | "image_url" | "input_audio" | "file")
}

/// What a part holds, read in place by its kind. A null leaves it empty, and so gets the part refused.
struct Payload<'a> {
    kind: &'a str,
    part: &'a mut Option<Part>,
}

impl Slot for Payload<'_> {
    fn fill<'de, A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<Option<&'static str>, A::Error> {
        fn read<'de, T, A>(map: &mut A, part: fn(T) -> Part) -> Result<Option<Part>, A::Error>
        where
            Option<T>: Slot + Default,
            A: MapAccess<'de>,
        {
            let mut value = None::<T>;
            value.fill(map)?;
            Ok(value.map(part))
        }
        *self.part = match self.kind {
            "text" => read(map, Part::Text)?,
            "refusal" => read(map, Part::Refusal)?,
            "image_url" => read(map, Part::ImageUrl)?,
            "input_audio" => read(map, Part::InputAudio)?,
            _ => read(map, Part::File)?,
        };
        Ok(None)
    }
}

/// Finds the payload among members that came before their part's `type`, and takes it from there.
fn take_payload(kind: &str, extra: &mut String) -> Option<Part> {
    fn object<T: Object>(raw: &str) -> Option<T> {
        serde_json::from_str::<Json<T>>(raw).ok().map(|Json(object)| object)
    }
    let raw = remove_member(extra, kind)?;
    match kind {
        "text" => serde_json::from_str(&raw).ok().map(Part::Text),
        "refusal" => serde_json::from_str(&raw).ok().map(Part::Refusal),
        "image_url" => object(&raw).map(Part::ImageUrl),
        "input_audio" => object(&raw).map(Part::InputAudio),
        _ => object(&raw).map(Part::File),
    }
}

/// The part as one object, for kinds that have no field.
fn whole(kind: &str, extra: &str) -> String {
    let mut json = Vec::with_capacity(extra.len() + kind.len() + 16);
    object(&mut json, |o| {
        o.scalar("type", kind);
        o.extra(extra);
    });
    String::from_utf8_lossy(&json).into_owned()
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
            "url" => member.fill_or_null(&mut self.url),
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
            "data" => member.fill_or_null(&mut self.data),
            "format" => member.fill_or_null(&mut self.format),
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
