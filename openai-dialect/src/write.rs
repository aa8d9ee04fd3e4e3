//! Writing objects: typed members first, then the extras as they came.

use std::collections::BTreeMap;

use serde::Serialize;

/// Something that is written as a JSON value.
pub(crate) trait Write {
    fn write(&self, out: &mut Vec<u8>);
}

/// Writes a string, a number or a flag.
#[expect(
    clippy::expect_used,
    reason = "writing to a vector cannot fail, and the types written here have no failing form"
)]
pub(crate) fn scalar<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(out, value).expect("scalars are always writable");
}

/// Writes one object; `members` adds its members.
pub(crate) fn object(out: &mut Vec<u8>, members: impl FnOnce(&mut ObjectWriter<'_>)) {
    out.push(b'{');
    members(&mut ObjectWriter { out, empty: true });
    out.push(b'}');
}

/// An object under way.
pub(crate) struct ObjectWriter<'a> {
    out: &'a mut Vec<u8>,
    empty: bool,
}

impl ObjectWriter<'_> {
    /// Begins a member. `name` is one of ours: it needs no escapes.
    fn name(&mut self, name: &'static str) -> &mut Vec<u8> {
        if !std::mem::take(&mut self.empty) {
            self.out.push(b',');
        }
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    pub(crate) fn scalar<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) {
        scalar(self.name(name), value);
    }

    /// A member whose value is JSON text already.
    pub(crate) fn raw(&mut self, name: &'static str, json: &str) {
        self.name(name).extend_from_slice(json.as_bytes());
    }

    /// A member that is left out where there is nothing.
    pub(crate) fn optional<T: Serialize>(&mut self, name: &'static str, value: Option<&T>) {
        if let Some(value) = value {
            self.scalar(name, value);
        }
    }

    /// A member that is null where there is nothing.
    pub(crate) fn nullable<T: Serialize>(&mut self, name: &'static str, value: Option<&T>) {
        self.scalar(name, &value);
    }

    /// A list that is left out where it is empty.
    pub(crate) fn scalars<T: Serialize>(&mut self, name: &'static str, values: &[T]) {
        if !values.is_empty() {
            self.scalar(name, values);
        }
    }

    /// A map that is left out where it is empty.
    pub(crate) fn map<T: Serialize>(&mut self, name: &'static str, values: &BTreeMap<String, T>) {
        if !values.is_empty() {
            self.scalar(name, values);
        }
    }

    pub(crate) fn value(&mut self, name: &'static str, value: &impl Write) {
        value.write(self.name(name));
    }

    /// A value that is left out where there is nothing.
    pub(crate) fn optional_value(&mut self, name: &'static str, value: Option<&impl Write>) {
        if let Some(value) = value {
            self.value(name, value);
        }
    }

    /// A list that is left out where it is empty.
    pub(crate) fn values(&mut self, name: &'static str, values: &[impl Write]) {
        if !values.is_empty() {
            self.list(name, values);
        }
    }

    /// A list that is always written.
    pub(crate) fn list(&mut self, name: &'static str, values: &[impl Write]) {
        list(self.name(name), values);
    }

    /// A member that `members` writes as an object.
    pub(crate) fn object(&mut self, name: &'static str, members: impl FnOnce(&mut ObjectWriter<'_>)) {
        object(self.name(name), members);
    }

    /// A member whose value `write` writes.
    pub(crate) fn payload(&mut self, name: &'static str, write: impl FnOnce(&mut Vec<u8>)) {
        write(self.name(name));
    }

    /// The members of an `extra_json`. What is no object in braces is left out: the doors have refused it before.
    pub(crate) fn extra(&mut self, extra_json: &str) {
        if let Some(members) = extra_json.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}'))
            && !members.trim().is_empty()
        {
            if !std::mem::take(&mut self.empty) {
                self.out.push(b',');
            }
            self.out.extend_from_slice(members.as_bytes());
        }
    }
}

/// Writes a list.
pub(crate) fn list(out: &mut Vec<u8>, values: &[impl Write]) {
    out.push(b'[');
    for (place, value) in values.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        value.write(out);
    }
    out.push(b']');
}

/// Adds a member to an `extra_json`.
pub(crate) fn append_member(extra: &mut String, name: &str, json: &str) {
    if extra.pop().is_some() {
        extra.push(',');
    } else {
        extra.push('{');
    }
    // Most names need no escapes; those that do take the long way.
    if name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\') {
        extra.push('"');
        extra.push_str(name);
        extra.push('"');
    } else {
        let mut escaped = Vec::with_capacity(name.len() + 8);
        scalar(&mut escaped, name);
        extra.push_str(&String::from_utf8_lossy(&escaped));
    }
    extra.push(':');
    extra.push_str(json);
    extra.push('}');
}

/// Takes a member out of an `extra_json` and answers with its last value as spelled.
pub(crate) fn remove_member(extra: &mut String, name: &str) -> Option<String> {
    let (mut rest, mut removed) = (String::new(), None);
    for (other, value) in extra_members(extra)? {
        if other == name {
            removed = Some(value.to_owned());
        } else {
            append_member(&mut rest, &other, value);
        }
    }
    *extra = rest;
    removed
}

/// The members of an `extra_json`, each with its value as spelled. `None`: the text is no JSON object.
pub fn extra_members(text: &str) -> Option<Vec<(String, &str)>> {
    struct Members<'a>(Vec<(String, &'a str)>);

    impl<'de: 'a, 'a> serde::Deserialize<'de> for Members<'a> {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct MembersVisitor;

            impl<'de> serde::de::Visitor<'de> for MembersVisitor {
                type Value = Members<'de>;

                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("an object")
                }

                fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                    let mut members = Vec::new();
                    while let Some((name, value)) = map.next_entry::<String, &serde_json::value::RawValue>()? {
                        members.push((name, value.get()));
                    }
                    Ok(Members(members))
                }
            }

            deserializer.deserialize_map(MembersVisitor)
        }
    }

    serde_json::from_str::<Members<'_>>(text).ok().map(|Members(members)| members)
}
