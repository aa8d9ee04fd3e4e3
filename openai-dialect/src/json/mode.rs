//! How values of unexpected types are read.

/// What happens to a member whose value has an unexpected type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Reading fails. Documents are read in this mode first, because it needs one pass only.
    Strict,
    /// The member is kept in `extra_json` as raw text. Only members without which the document means nothing fail.
    Lenient,
}
