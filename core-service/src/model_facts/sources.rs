//! Facts about the videos that a model can edit, extend or remix.

use serde::Deserialize;

use super::Durations;

/// The videos that one operation of a model (edit, extend or remix) accepts as its source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SourceFacts {
    /// Whether a render of the model itself can be the source, by its task at the provider, without its file.
    pub native: bool,
    /// Whether the file of any video can be the source.
    pub file: bool,
    /// Whether the file has to be sent itself, so that a URL is refused.
    pub no_url: bool,
    /// The durations of an extension in seconds.
    pub seconds: Durations,
    /// Whether `seconds`, and the duration that the provider gets, include the source rather than being those of the extension
    /// alone.
    pub counts_source: bool,
}

impl SourceFacts {
    /// Returns whether the model has the operation: whether it accepts a source of either kind.
    pub fn is_possible(&self) -> bool {
        self.native || self.file
    }
}
