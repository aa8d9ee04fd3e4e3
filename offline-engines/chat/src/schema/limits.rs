//! Bounds that keep the JSON documents generated from a schema finite and small.

/// Maximum number of values in a document; a schema that needs more is rejected.
pub(crate) const MAX_VALUES: u32 = 5_000;
/// Maximum nesting depth of containers and references.
pub(crate) const MAX_DEPTH: usize = 64;
/// Depth beyond which only required members are written.
pub(crate) const OPTIONAL_DEPTH: usize = 10;
/// Number of nested occurrences of one reference beyond which only required members are written.
pub(crate) const OPTIONAL_REPEATS: usize = 2;
