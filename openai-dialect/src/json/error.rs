//! The error of reading a document.

use std::fmt;

/// The reason why a JSON text was rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadError {
    /// Path of the invalid member, for example `messages[2].role`. Empty if the whole document is invalid, for example
    /// not JSON.
    pub path: String,
    /// Description of the error.
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
