//! The error type of the mock chat engine.

/// A request that cannot be fulfilled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct Error {
    /// Path of the invalid field, spelled as in an OpenAI request, for example `tool_choice` or
    /// `response_format.json_schema.schema.properties.age`.
    pub field: String,
    /// The violated rule and, where there is one, the way to satisfy it.
    pub message: String,
}

impl Error {
    pub(crate) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}
