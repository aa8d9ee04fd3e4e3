//! Writing JSON objects: members with a field first, then those of `extra_json`, the raw text of members without a
//! field, unchanged.

use std::collections::BTreeMap;

use serde::Serialize;

/// A type that can be written as a JSON value.
pub(crate) trait Write {
    /// Appends the JSON to `out`.
    fn write(&self, out: &mut Vec<u8>);
}

/// Writes a string, a number or a Boolean, or a collection of them.
#[expect(clippy::expect_used, reason = "writing to a vector cannot fail, and all scalars are representable in JSON")]
pub(crate) fn write_scalar<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(out, value).expect("scalars are representable in JSON");
}

/// Writes an object whose members are written by `members`.
pub(crate) fn write_object(out: &mut Vec<u8>, members: impl FnOnce(&mut ObjectWriter<'_>)) {
    out.push(b'{');
    members(&mut ObjectWriter { out, empty: true });
    out.push(b'}');
}

/// Writes the members of one object.
pub(crate) struct ObjectWriter<'a> {
    out: &'a mut Vec<u8>,
    /// Whether no member has been written.
    empty: bool,
}

impl ObjectWriter<'_> {
    /// Starts a member. `name` must not need escapes.
    fn name(&mut self, name: &'static str) -> &mut Vec<u8> {
        if !std::mem::take(&mut self.empty) {
            self.out.push(b',');
        }
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    /// Writes a member whose value is a string, a number or a Boolean, or a collection of them.
    pub(crate) fn scalar<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) {
        write_scalar(self.name(name), value);
    }

    /// Writes a member whose value is JSON text.
    pub(crate) fn raw(&mut self, name: &'static str, json: &str) {
        self.name(name).extend_from_slice(json.as_bytes());
    }

    /// Writes a member unless `value` is `None`.
    pub(crate) fn optional<T: Serialize>(&mut self, name: &'static str, value: Option<&T>) {
        if let Some(value) = value {
            self.scalar(name, value);
        }
    }

    /// Writes a member, as `null` if `value` is `None`.
    pub(crate) fn nullable<T: Serialize>(&mut self, name: &'static str, value: Option<&T>) {
        self.scalar(name, &value);
    }

    /// Writes an array of scalars unless it is empty.
    pub(crate) fn scalars<T: Serialize>(&mut self, name: &'static str, values: &[T]) {
        if !values.is_empty() {
            self.scalar(name, values);
        }
    }

    /// Writes a map unless it is empty.
    pub(crate) fn map<T: Serialize>(&mut self, name: &'static str, values: &BTreeMap<String, T>) {
        if !values.is_empty() {
            self.scalar(name, values);
        }
    }

    /// Writes a member.
    pub(crate) fn value(&mut self, name: &'static str, value: &impl Write) {
        value.write(self.name(name));
    }

    /// Writes a value unless it is `None`.
    pub(crate) fn optional_value(&mut self, name: &'static str, value: Option<&impl Write>) {
        if let Some(value) = value {
            self.value(name, value);
        }
    }

    /// Writes an array unless it is empty.
    pub(crate) fn values(&mut self, name: &'static str, values: &[impl Write]) {
        if !values.is_empty() {
            self.array(name, values);
        }
    }

    /// Writes an array, even if it is empty.
    pub(crate) fn array(&mut self, name: &'static str, values: &[impl Write]) {
        write_array(self.name(name), values);
    }

    /// Writes an object whose members are written by `members`.
    pub(crate) fn object(&mut self, name: &'static str, members: impl FnOnce(&mut ObjectWriter<'_>)) {
        write_object(self.name(name), members);
    }

    /// Writes a member whose value is written by `write`.
    pub(crate) fn value_with(&mut self, name: &'static str, write: impl FnOnce(&mut Vec<u8>)) {
        write(self.name(name));
    }

    /// Writes the members of an `extra_json`. Text that is not in braces is ignored; request validation has rejected it
    /// before.
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

/// Writes an array.
pub(crate) fn write_array(out: &mut Vec<u8>, values: &[impl Write]) {
    out.push(b'[');
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        value.write(out);
    }
    out.push(b']');
}
