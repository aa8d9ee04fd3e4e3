//! The JSON document in which a state is stored.

use serde::{Deserialize, Serialize};

use super::JobState;

/// The version of the document that [`JobState::to_json`] writes.
const DOCUMENT_VERSION: u32 = 1;

impl JobState {
    /// Returns the state as a JSON document with a version.
    pub fn to_json(&self) -> Result<String, DocumentError> {
        #[derive(Serialize)]
        struct Document<'a> {
            version: u32,
            #[serde(flatten)]
            state: &'a JobState,
        }
        Ok(serde_json::to_string(&Document { version: DOCUMENT_VERSION, state: self })?)
    }

    /// Parses a document that [`to_json`](Self::to_json) wrote, in this release or an earlier one. Documents from before
    /// the version was introduced count as version 0.
    ///
    /// # Errors
    /// The document was written by a later release, or is not valid.
    pub fn from_json(text: &str) -> Result<Self, DocumentError> {
        #[derive(Deserialize)]
        struct Version {
            #[serde(default)]
            version: u32,
        }
        let Version { version } = serde_json::from_str(text)?;
        if version > DOCUMENT_VERSION {
            return Err(DocumentError::LaterVersion(version));
        }
        Ok(serde_json::from_str(text)?)
    }
}

/// A stored job state cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// A later release wrote it.
    #[error("the document has version {0}, this release reads versions up to {DOCUMENT_VERSION}")]
    LaterVersion(u32),
    /// It is not valid JSON, or not a state.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}
