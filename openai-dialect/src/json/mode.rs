//! How values of unexpected types are read.

/// How a member whose value has an unexpected type is handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Reading fails. Documents are read in this mode first, because it needs one pass only.
    Strict,
    /// The member is kept in `extra_json` as raw text. Reading fails only at required members.
    Lenient,
}
