//! The error of a request that cannot be served.

use std::fmt;

/// Why a request was rejected. The API reports it as HTTP 400 with the type `invalid_request_error`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidRequest {
    /// Path of the invalid member, for example `input[2].content[0].image_url`. `None` if the error concerns the document.
    pub param: Option<String>,
    /// Description of the error: the member, its value, the rule, and how to satisfy it.
    pub message: String,
    /// A machine-readable code, where OpenAI has one for the error.
    pub code: Option<&'static str>,
}

impl InvalidRequest {
    /// Returns the error of a member; the message starts with its path.
    pub(super) fn at(path: &str, message: impl fmt::Display) -> Self {
        Self { param: Some(path.to_owned()), message: format!("{path}: {message}"), code: None }
    }

    /// Returns the error of a member or value that OpenAI serves and this API does not.
    pub(super) fn unsupported(path: &str, message: impl fmt::Display) -> Self {
        Self { code: Some("unsupported_parameter"), ..Self::at(path, message) }
    }
}

impl fmt::Display for InvalidRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for InvalidRequest {}
