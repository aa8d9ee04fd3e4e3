//! The policy that selects those members of a generated document that its JSON Schema does not require.

/// The policy for optional members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OptionalMembers {
    /// All of them: for documents.
    All,
    /// Those for which the text contains a value: for tool arguments. The first `skip` names of the text are reserved for
    /// other calls.
    Mentioned { skip: usize },
}
