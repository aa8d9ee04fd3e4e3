//! Reading JSON objects: known members into their fields, all others into `extra_json` as raw text.
//!
//! A document is read in strict mode first, in which a value of an unexpected type is an error. If that fails, it is
//! read again in lenient mode, which keeps such a value as raw text.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, Visitor};

use super::{
    error::ReadError, extra::append_member, field::Field, mode::Mode, one_value::OneValue, raw::ValidatedRaw,
    sanitize::sanitized,
};

/// A type that is represented by a JSON object.
pub(crate) trait Object: Default {
    /// Returns the object before its first member is read.
    fn initial() -> Self
    where
        Self: Default,
    {
        Self::default()
    }

    /// Reads one member: its value into a field or, as raw text, into `extra_json`.
    fn read_member<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error>;

    /// Validates and completes the object after its last member.
    fn finish(&mut self) -> Result<(), &'static str> {
        Ok(())
    }
}

/// A member whose name has been read and whose value is next.
pub(crate) struct Member<'m, 'de, A> {
    name: &'m str,
    map: &'m mut A,
    mode: Mode,
    lifetime: PhantomData<&'de ()>,
}

impl<'de, A: MapAccess<'de>> Member<'_, 'de, A> {
    pub(crate) fn name(&self) -> &str {
        self.name
    }

    pub(crate) fn mode(&self) -> Mode {
        self.mode
    }

    /// Reads the value into `field`. A value that the field cannot represent (`null`, `[]`, `{}`, in lenient mode also one
    /// of another type) is appended to `extra`.
    pub(crate) fn read_into(self, field: &mut impl Field, extra: &mut String) -> Result<(), A::Error> {
        let name = self.name;
        if let Some(json) = self.read(field)? {
            append_member(extra, name, json);
        }
        Ok(())
    }

    /// Reads the value into `field`; `null` and empty values leave the field unchanged. A value of another type is
    /// appended to `extra` in lenient mode. For members that the writer always writes.
    pub(crate) fn read_or_keep(self, field: &mut impl Field, extra: &mut String) -> Result<(), A::Error> {
        let name = self.name;
        match self.read(field)? {
            None | Some("null" | "[]" | "{}") => {}
            Some(json) => append_member(extra, name, json),
        }
        Ok(())
    }

    /// Reads the value into `field`; `null` leaves the field unchanged, and so does a value of another type in lenient mode.
    pub(crate) fn read_or_skip(self, field: &mut impl Field) -> Result<(), A::Error> {
        self.read(field).map(drop)
    }

    /// Reads the value into `field`; `null` leaves the field unchanged. A value of another type is an error in both modes,
    /// because a message without this member does not represent the object.
    pub(crate) fn read_required_into(self, field: &mut impl Field) -> Result<(), A::Error> {
        field.read_from(self.map, self.mode).map(drop)
    }

    /// Reads a string into `field`; `null` leaves the field unchanged. In lenient mode, a value of another type becomes its
    /// JSON text.
    pub(crate) fn read_text_into(self, field: &mut impl TextValue) -> Result<(), A::Error> {
        if let Some(json) = self.read(field)?
            && json != "null"
        {
            field.set_text(json.to_owned());
        }
        Ok(())
    }

    /// Reads the value into `field`, or returns its text if the field cannot represent it.
    fn read(self, field: &mut impl Field) -> Result<Option<&'de str>, A::Error> {
        let mode = self.mode;
        if mode == Mode::Strict {
            return field.read_from(self.map, mode);
        }
        // Read twice, because a value that the field has refused must still be available as text.
        let raw = self.raw_value(|_| Ok(()))?;
        Ok(field.read_from(&mut OneValue(raw), mode).unwrap_or(Some(raw)))
    }

    /// Appends the member to `extra` as raw text.
    pub(crate) fn keep_in(self, extra: &mut String) -> Result<(), A::Error> {
        let name = self.name;
        let raw = self.raw_value(|_| Ok(()))?;
        append_member(extra, name, raw);
        Ok(())
    }

    /// Returns the value as raw text, after `validate` has accepted it.
    pub(crate) fn raw_value(self, validate: fn(&str) -> Result<(), &'static str>) -> Result<&'de str, A::Error> {
        self.map.next_value_seed(ValidatedRaw(validate))
    }

    /// Skips the value.
    pub(crate) fn skip(self) -> Result<(), A::Error> {
        self.map.next_value::<de::IgnoredAny>().map(drop)
    }
}

/// A field for a string.
pub(crate) trait TextValue: Field {
    /// Replaces the string.
    fn set_text(&mut self, text: String);
}

impl TextValue for String {
    fn set_text(&mut self, text: String) {
        *self = text;
    }
}

impl TextValue for Option<String> {
    fn set_text(&mut self, text: String) {
        *self = Some(text);
    }
}

/// Reads an [`Object`]. A seed, serde's form of a deserializer with parameters, because reading depends on the
/// [`Mode`].
pub(crate) struct ObjectSeed<T>(pub(crate) Mode, pub(crate) PhantomData<T>);

impl<'de, T: Object> DeserializeSeed<'de> for ObjectSeed<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        struct ObjectVisitor<T>(Mode, PhantomData<T>);

        impl<'de, T: Object> Visitor<'de> for ObjectVisitor<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
                let mut object = T::initial();
                while let Some(Name(name)) = map.next_key()? {
                    let member = Member { name: &name, map: &mut map, mode: self.0, lifetime: PhantomData };
                    object.read_member(member)?;
                }
                object.finish().map_err(de::Error::custom)?;
                Ok(object)
            }
        }

        deserializer.deserialize_map(ObjectVisitor(self.0, self.1))
    }
}

/// The name of a member, borrowed from the input unless it contains escapes.
struct Name<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;

        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member name")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }

        deserializer.deserialize_str(NameVisitor)
    }
}

/// Reads a request: a document that is one JSON object.
///
/// A member of an unexpected type is kept as raw text, because the upstream may know it. Only a document without its
/// required members is an error, which has the path of the member. Documents without such members are read once.
pub(crate) fn read_request_object<T: Object>(text: &[u8]) -> Result<T, ReadError> {
    match read_strictly(text) {
        Ok(object) => Ok(object),
        Err(error) if error.is_data() => read_leniently(text),
        Err(error) => Err(syntax_error(&error)),
    }
}

/// Reads a response of an upstream: a document that is one JSON object.
///
/// Like [`read_request_object`], and in addition tolerates what is not quite JSON: see [`sanitized`].
pub(crate) fn read_response_object<T: Object>(text: &[u8]) -> Result<T, ReadError> {
    read_strictly(text).or_else(|_| read_lenient_response(text))
}

/// Reads a response that [`read_exact_object`] cannot read: repairs its JSON, and keeps values of unexpected types.
pub(crate) fn read_lenient_response<T: Object>(text: &[u8]) -> Result<T, ReadError> {
    read_leniently(sanitized(text).as_bytes())
}

/// Reads a document that is one JSON object whose known members have the expected types; `None` for any other text.
pub(crate) fn read_exact_object<T: Object>(text: &[u8]) -> Option<T> {
    read_strictly(text).ok()
}

fn read_strictly<T: Object>(text: &[u8]) -> serde_json::Result<T> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let object = ObjectSeed(Mode::Strict, PhantomData).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(object)
}

fn read_leniently<T: Object>(text: &[u8]) -> Result<T, ReadError> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(&mut deserializer, &mut track);
    let read = ObjectSeed(Mode::Lenient, PhantomData).deserialize(tracked);
    let error = match read.and_then(|object| deserializer.end().map(|()| object)) {
        Ok(object) => return Ok(object),
        Err(error) => error,
    };
    if !error.is_data() {
        return Err(syntax_error(&error));
    }
    let path = track.path().to_string();
    let path = if path == "." { String::new() } else { path };
    Err(ReadError { path, message: without_position(&error) })
}

fn syntax_error(error: &serde_json::Error) -> ReadError {
    ReadError { path: String::new(), message: format!("is not valid JSON: {error}") }
}

/// Returns the error message without line and column, which the path replaces.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
