//! The id of a node.

use std::{fmt, sync::Arc};

use uuid::Uuid;

/// The id of a node: a UUID that each process generates at its start.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct NodeId(Arc<str>);

impl NodeId {
    /// Generates the id of this process.
    pub(super) fn generate() -> Self {
        Self(Uuid::new_v4().to_string().into())
    }

    #[cfg(test)]
    pub(crate) fn new(id: &str) -> Self {
        Self(id.into())
    }

    /// Returns the id as text: 36 characters.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
