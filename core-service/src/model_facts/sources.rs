//! The videos that a model can edit, extend or remix.

use serde::Deserialize;

use super::Durations;

/// The videos that an operation of a model starts from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SourceFacts {
    /// Whether the model's own render can be named to the provider, which still has it.
    pub native: bool,
    /// Whether a file is accepted.
    pub file: bool,
    /// Whether a URL in place of the file is refused.
    pub no_url: bool,
    /// The durations of an extension in seconds.
    pub seconds: Durations,
    /// Whether the provider gets the duration of the whole video rather than that of the extension.
    pub counts_source: bool,
}

impl SourceFacts {
    /// Returns whether the operation is possible for any video.
    pub fn is_possible(&self) -> bool {
        self.native || self.file
    }
}
