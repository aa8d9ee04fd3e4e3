//! The value of a field, in either encoding.

use bytes::Bytes;
use serde_json::value::RawValue;

/// The value of a field.
#[derive(Debug, Clone)]
pub(crate) enum Value<'a> {
    /// A JSON value, not parsed.
    Json(&'a RawValue),
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
}
