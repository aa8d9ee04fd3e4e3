//! The value of a field, in either encoding.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::error::GatewayError;

/// The value of a field.
#[derive(Debug, Clone)]
pub(crate) enum Value<'a> {
    /// A JSON value, not parsed.
    Json(Cow<'a, RawValue>),
    /// A multipart field without a file name.
    Text(String),
    /// A multipart field with a file name, or one that is not UTF-8.
    File(Bytes),
}

impl Value<'_> {
    /// Returns the length of the encoded value, in bytes.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Json(raw) => raw.get().len(),
            Self::Text(text) => text.len(),
            Self::File(bytes) => bytes.len(),
        }
    }

    /// Returns the text, a JSON value as it is spelled; empty for a file.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Json(raw) => raw.get(),
            Self::Text(text) => text,
            Self::File(_) => "",
        }
    }

    /// Returns the JSON text of the value if it is an object. In multipart, an object is a text field with JSON.
    pub(crate) fn object(&self) -> Option<&str> {
        Some(self.text().trim_ascii()).filter(|text| text.starts_with('{'))
    }

    /// Appends the value as JSON. A text that is a JSON number, boolean, null, object or list is written as that value, any other as
    /// a string.
    ///
    /// # Errors
    /// 400 for a file. `name` is the name of the field.
    pub(super) fn write_json(&self, name: &str, out: &mut String) -> Result<(), GatewayError> {
        match self {
            Self::Json(raw) => out.push_str(raw.get()),
            Self::Text(text) => out.push_str(&text_as_json(text)),
            Self::File(_) => {
                return Err(GatewayError::invalid(name, format!("{name}: expected text, not a file")));
            }
        }
        Ok(())
    }
}

/// Returns the JSON value of a text field of a form. Forms have no types: clients write Python's `True`, C#'s `False`,
/// and whole objects as JSON.
fn text_as_json(text: &str) -> Cow<'_, str> {
    match text {
        "null" => return Cow::Borrowed(text),
        _ if text.eq_ignore_ascii_case("true") => return Cow::Borrowed("true"),
        _ if text.eq_ignore_ascii_case("false") => return Cow::Borrowed("false"),
        _ => {}
    }
    let trimmed = text.trim_ascii();
    // Spaces around a number mark a text.
    let is_number = text.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    let may_be_json = trimmed.starts_with(['{', '[']) || (is_number && trimmed.len() == text.len());
    match serde_json::from_str::<&RawValue>(trimmed) {
        Ok(_) if may_be_json => Cow::Borrowed(trimmed),
        Ok(_) | Err(_) => Cow::Owned(to_json(text)),
    }
}

/// Returns a text as a JSON string.
pub(super) fn to_json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
