//! The parts of a message's content: text, refusal, image, audio, file, or any other type as raw text.

use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, MapAccess};
use triptych_proto::v1::{self as pb, content_part::Part};

use crate::json::{
    extra::remove_member,
    field::{Field, Unrepresented},
    mode::Mode,
    object::{Member, Object, ObjectSeed},
    raw::ValidatedRaw,
    value::Value,
    write::{Write, write_object, write_scalar},
};

/// A content part. In lenient mode, an object of an unexpected form is kept as raw JSON.
pub(super) struct PartOrJson(pub(super) pb::ContentPart);

impl Value for PartOrJson {
    fn read<'de, D: Deserializer<'de>>(deserializer: D, mode: Mode) -> Result<Self, D::Error> {
        if mode == Mode::Strict {
            return PartReader::read(deserializer, mode).map(|reader| Self(reader.part));
        }
        let raw = ValidatedRaw(|raw| if raw.starts_with('{') { Ok(()) } else { Err("expected an object") })
            .deserialize(deserializer)?;
        let reader = ObjectSeed(Mode::Lenient, PhantomData::<PartReader>)
            .deserialize(&mut serde_json::Deserializer::from_str(raw));
        Ok(Self(reader.map_or_else(
            |_| pb::ContentPart { part: Some(Part::OtherJson(raw.to_owned())), extra_json: String::new() },
            |reader| reader.part,
        )))
    }
}

/// Reads a content part. The member with its value has the name that `type` states; `type` usually comes first, but need
/// not.
#[derive(Default)]
struct PartReader {
    part_type: String,
    part: pb::ContentPart,
}

impl Object for PartReader {
    fn read_member<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        let Self { part_type, part: pb::ContentPart { part, extra_json } } = self;
        match member.name() {
            "type" => member.read_required_into(part_type),
            name if name == part_type && is_known(name) => {
                member.read_required_into(&mut PartValue { part_type, part })
            }
            // A vendor extension, or the value of a part whose `type` follows: `finish` moves the latter to its field.
            _ => member.keep_in(extra_json),
        }
    }

    fn finish(&mut self) -> Result<(), &'static str> {
        let Self { part_type, part: pb::ContentPart { part, extra_json } } = self;
        if part_type.is_empty() {
            return Err("a content part needs a string `type`");
        }
        if !is_known(part_type) {
            let json = complete_json(part_type, extra_json);
            self.part = pb::ContentPart { part: Some(Part::OtherJson(json)), extra_json: String::new() };
            return Ok(());
        }
        if part.is_none() {
            *part = remove_value(part_type, extra_json);
        }
        match (part, part_type.as_str()) {
            (Some(_), _) => Ok(()),
            (None, "text") => Err("a part of type `text` needs a string `text`"),
            (None, "refusal") => Err("a part of type `refusal` needs a string `refusal`"),
            (None, "image_url") => Err("a part of type `image_url` needs an object `image_url`"),
            (None, "input_audio") => Err("a part of type `input_audio` needs an object `input_audio`"),
            (None, _) => Err("a part of type `file` needs an object `file`"),
        }
    }
}

/// Returns whether the protobuf API has a field for parts of this type.
fn is_known(part_type: &str) -> bool {
    matches!(part_type, "text" | "refusal" | "image_url" | "input_audio" | "file")
}

/// Reads the value of a part into the field for its type. `null` leaves the field empty, and `finish` rejects the part.
struct PartValue<'a> {
    part_type: &'a str,
    part: &'a mut Option<Part>,
}

impl Field for PartValue<'_> {
    fn read_from<'de, A: MapAccess<'de>>(&mut self, map: &mut A, mode: Mode) -> Result<Unrepresented, A::Error> {
        fn read<'de, T, A>(map: &mut A, mode: Mode, part: fn(T) -> Part) -> Result<Option<Part>, A::Error>
        where
            Option<T>: Field + Default,
            A: MapAccess<'de>,
        {
            let mut value = None::<T>;
            value.read_from(map, mode)?;
            Ok(value.map(part))
        }
        *self.part = match self.part_type {
            "text" => read(map, mode, Part::Text)?,
            "refusal" => read(map, mode, Part::Refusal)?,
            "image_url" => read(map, mode, Part::ImageUrl)?,
            "input_audio" => read(map, mode, Part::InputAudio)?,
            _ => read(map, mode, Part::File)?,
        };
        Ok(None)
    }
}

/// Removes the value of a part from `extra`, where it is if it came before `type`.
fn remove_value(part_type: &str, extra: &mut String) -> Option<Part> {
    fn read_object<T: Object>(raw: &str) -> Option<T> {
        let mut deserializer = serde_json::Deserializer::from_str(raw);
        ObjectSeed(Mode::Strict, PhantomData).deserialize(&mut deserializer).ok()
    }
    let raw = remove_member(extra, part_type)?;
    match part_type {
        "text" => serde_json::from_str(&raw).ok().map(Part::Text),
        "refusal" => serde_json::from_str(&raw).ok().map(Part::Refusal),
        "image_url" => read_object(&raw).map(Part::ImageUrl),
        "input_audio" => read_object(&raw).map(Part::InputAudio),
        _ => read_object(&raw).map(Part::File),
    }
}

/// Returns the JSON text of a complete part whose type has no field.
fn complete_json(part_type: &str, extra: &str) -> String {
    let mut json = Vec::with_capacity(extra.len() + part_type.len() + 16);
    write_object(&mut json, |o| {
        o.scalar("type", part_type);
        o.extra(extra);
    });
    String::from_utf8_lossy(&json).into_owned()
}

/// Returns the `type` of a part, which is also the name of the member with its value.
fn part_type(part: &Part) -> &'static str {
    match part {
        Part::Text(_) => "text",
        Part::ImageUrl(_) => "image_url",
        Part::InputAudio(_) => "input_audio",
        Part::File(_) => "file",
        Part::Refusal(_) => "refusal",
        Part::OtherJson(_) => "",
    }
}

fn write_value(out: &mut Vec<u8>, part: &Part) {
    match part {
        Part::Text(text) | Part::Refusal(text) => write_scalar(out, text),
        Part::ImageUrl(image) => image.write(out),
        Part::InputAudio(audio) => audio.write(out),
        Part::File(file) => file.write(out),
        Part::OtherJson(json) => out.extend_from_slice(json.as_bytes()),
    }
}

impl Write for pb::ContentPart {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { part, extra_json } = self;
        match part {
            Some(Part::OtherJson(json)) => out.extend_from_slice(json.as_bytes()),
            Some(part) => write_object(out, |o| {
                o.scalar("type", part_type(part));
                o.value_with(part_type(part), |out| write_value(out, part));
                o.extra(extra_json);
            }),
            None => write_object(out, |o| o.extra(extra_json)),
        }
    }
}

impl Object for pb::ImagePart {
    fn read_member<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        match member.name() {
            "url" => member.read_required_into(&mut self.url),
            "detail" => member.read_into(&mut self.detail, &mut self.extra_json),
            _ => member.keep_in(&mut self.extra_json),
        }
    }
}

impl Write for pb::ImagePart {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { url, detail, extra_json } = self;
        write_object(out, |o| {
            o.scalar("url", url);
            o.optional("detail", detail.as_ref());
            o.extra(extra_json);
        });
    }
}

impl Object for pb::AudioPart {
    fn read_member<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        match member.name() {
            "data" => member.read_required_into(&mut self.data),
            "format" => member.read_required_into(&mut self.format),
            _ => member.keep_in(&mut self.extra_json),
        }
    }
}

impl Write for pb::AudioPart {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { data, format, extra_json } = self;
        write_object(out, |o| {
            o.scalar("data", data);
            o.scalar("format", format);
            o.extra(extra_json);
        });
    }
}

impl Object for pb::FilePart {
    fn read_member<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        match member.name() {
            "file_data" => member.read_into(&mut self.file_data, &mut self.extra_json),
            "file_id" => member.read_into(&mut self.file_id, &mut self.extra_json),
            "filename" => member.read_into(&mut self.filename, &mut self.extra_json),
            "file_url" => member.read_into(&mut self.file_url, &mut self.extra_json),
            _ => member.keep_in(&mut self.extra_json),
        }
    }
}

impl Write for pb::FilePart {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { file_data, file_id, filename, file_url, extra_json } = self;
        write_object(out, |o| {
            o.optional("file_data", file_data.as_ref());
            o.optional("file_id", file_id.as_ref());
            o.optional("filename", filename.as_ref());
            o.optional("file_url", file_url.as_ref());
            o.extra(extra_json);
        });
    }
}
