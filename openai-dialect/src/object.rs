//! Reading objects: typed members into their fields, all others into `extra_json` as raw text.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::{value::Slot, write};

/// How deep a member that nobody reads may be nested. serde_json skips such values without a limit of its own, so this
/// is what keeps them from overrunning the stack of whoever parses them next.
const MAX_DEPTH: usize = 128;

/// Why a JSON text is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadError {
    /// Path of the offending member, `messages[2].role`. Empty when the text as a whole is at fault.
    pub path: String,
    /// What is wrong there.
    pub message: String,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.message),
            path => write!(f, "{path}: {}", self.message),
        }
    }
}

impl std::error::Error for ReadError {}

/// Something that is spelled as a JSON object.
pub(crate) trait Object: Default {
    /// Takes one member: its value goes into a field or among the extras.
    fn take<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error>;

    /// Runs after the last member, for what only the whole object can tell.
    fn finish(&mut self) -> Result<(), &'static str> {
        Ok(())
    }
}

/// One member under way: its name is read, its value is next.
pub(crate) struct Member<'m, 'de, A> {
    name: &'m str,
    map: &'m mut A,
    lifetime: PhantomData<&'de ()>,
}

impl<'de, A: MapAccess<'de>> Member<'_, 'de, A> {
    pub(crate) fn name(&self) -> &str {
        self.name
    }

    /// Reads the value into `field`. What the field cannot hold, an explicit null or an empty list, goes to `extra`.
    pub(crate) fn fill(self, field: &mut impl Slot, extra: &mut String) -> Result<(), A::Error> {
        if let Some(unheld) = field.fill(self.map)? {
            write::append_member(extra, self.name, unheld);
        }
        Ok(())
    }

    /// Reads the value into `field`; null leaves it as it is. For members that the writer always writes.
    pub(crate) fn fill_or_null(self, field: &mut impl Slot) -> Result<(), A::Error> {
        field.fill(self.map).map(drop)
    }

    /// Keeps the member among the extras.
    pub(crate) fn keep(self, extra: &mut String) -> Result<(), A::Error> {
        let name = self.name;
        let raw = self.raw(|_| Ok(()))?;
        write::append_member(extra, name, raw);
        Ok(())
    }

    /// The value as it is spelled, if `check` finds it right.
    pub(crate) fn raw(self, check: fn(&str) -> Result<(), &'static str>) -> Result<&'de str, A::Error> {
        self.map.next_value_seed(Checked(check))
    }

    /// Reads over the member.
    pub(crate) fn skip(self) -> Result<(), A::Error> {
        self.map.next_value::<de::IgnoredAny>().map(drop)
    }
}

/// Makes an [`Object`] deserialisable.
pub(crate) struct Json<T>(pub(crate) T);

impl<'de, T: Object> Deserialize<'de> for Json<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);

        impl<'de, T: Object> Visitor<'de> for ObjectVisitor<T> {
            type Value = Json<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut object = T::default();
                while let Some(Name(name)) = map.next_key()? {
                    object.take(Member { name: &name, map: &mut map, lifetime: PhantomData })?;
                }
                object.finish().map_err(de::Error::custom)?;
                Ok(Json(object))
            }
        }

        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

/// A member's name, borrowed from the text unless it is spelled with escapes.
struct Name<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;

        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member's name")
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

/// Reads a text that is one object. The path of an error is found by a second reading, which only failures pay for.
pub(crate) fn read<T: Object>(text: &[u8]) -> Result<T, ReadError> {
    match serde_json::from_slice::<Json<T>>(text) {
        Ok(Json(object)) => Ok(object),
        Err(error) if error.is_data() => {
            let mut again = serde_json::Deserializer::from_slice(text);
            let path = match serde_path_to_error::deserialize::<_, Json<T>>(&mut again) {
                Ok(_) => String::new(),
                Err(error) => error.path().to_string(),
            };
            Err(ReadError { path: if path == "." { String::new() } else { path }, message: plain(&error) })
        }
        Err(error) => Err(ReadError { path: String::new(), message: format!("is not valid JSON: {error}") }),
    }
}

/// The error without its place in the text, which the path tells better.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// Reads a value as it is spelled. The check is part of the reading, so that its error has the value's path.
struct Checked(fn(&str) -> Result<(), &'static str>);

impl<'de> DeserializeSeed<'de> for Checked {
    type Value = &'de str;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<&'de str, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        if deeper_than_allowed(raw) {
            return Err(de::Error::custom(format_args!("nested deeper than {MAX_DEPTH} levels")));
        }
        (self.0)(raw).map_err(de::Error::custom)?;
        Ok(raw)
    }
}

fn deeper_than_allowed(raw: &str) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in raw.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return true;
        }
    }
    false
}
