//! Reading JSON objects: known members into their fields, all others into `extra_json` as raw text.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

use super::{error::ReadError, extra::append_member, field::Field, raw::ValidatedRaw};

/// A type that is represented by a JSON object.
pub(crate) trait Object: Default {
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
    lifetime: PhantomData<&'de ()>,
}

impl<'de, A: MapAccess<'de>> Member<'_, 'de, A> {
    pub(crate) fn name(&self) -> &str {
        self.name
    }

    /// Reads the value into `field`. A value that the field cannot represent (`null`, `[]`, `{}`) is appended to `extra`.
    pub(crate) fn read_into(self, field: &mut impl Field, extra: &mut String) -> Result<(), A::Error> {
        if let Some(json) = field.read_from(self.map)? {
            append_member(extra, self.name, json);
        }
        Ok(())
    }

    /// Reads the value into `field`; `null` leaves the field unchanged. For members that the writer always writes.
    pub(crate) fn read_nullable_into(self, field: &mut impl Field) -> Result<(), A::Error> {
        field.read_from(self.map).map(drop)
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

/// Implements [`Deserialize`] for an [`Object`].
pub(crate) struct JsonObject<T>(pub(crate) T);

impl<'de, T: Object> Deserialize<'de> for JsonObject<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);

        impl<'de, T: Object> Visitor<'de> for ObjectVisitor<T> {
            type Value = JsonObject<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut object = T::default();
                while let Some(Name(name)) = map.next_key()? {
                    object.read_member(Member { name: &name, map: &mut map, lifetime: PhantomData })?;
                }
                object.finish().map_err(de::Error::custom)?;
                Ok(JsonObject(object))
            }
        }

        deserializer.deserialize_map(ObjectVisitor(PhantomData))
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

/// Reads a document that is one JSON object.
///
/// On a type error the document is read a second time to find the path of the member, so that valid documents do not
/// pay for path tracking.
pub(crate) fn read_object<T: Object>(text: &[u8]) -> Result<T, ReadError> {
    match serde_json::from_slice::<JsonObject<T>>(text) {
        Ok(JsonObject(object)) => Ok(object),
        Err(error) if error.is_data() => {
            let mut deserializer = serde_json::Deserializer::from_slice(text);
            let path = match serde_path_to_error::deserialize::<_, JsonObject<T>>(&mut deserializer) {
                Ok(_) => String::new(),
                Err(error) => error.path().to_string(),
            };
            let path = if path == "." { String::new() } else { path };
            Err(ReadError { path, message: without_position(&error) })
        }
        Err(error) => Err(ReadError { path: String::new(), message: format!("is not valid JSON: {error}") }),
    }
}

/// Returns the error message without line and column, which the path replaces.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
