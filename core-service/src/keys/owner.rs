//! The owners of jobs, media files and idempotency keys.

use std::sync::Arc;

/// The owner of jobs, media and idempotency keys: the name of the caller's API key, or the empty name where no key is
/// required.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Owner(Arc<str>);

impl Owner {
    /// Returns the owner with this name.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// Returns the name; empty for the anonymous owner.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The owners whose jobs and media files a call may use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Owners {
    /// All: the caller is an administrator, or no keys are configured.
    #[default]
    All,
    /// Those of one owner. All others do not exist for the call.
    Only(Owner),
}

impl Owners {
    /// Returns whether the owner is one of them.
    pub fn include(&self, owner: &Owner) -> bool {
        self.only().is_none_or(|only| only == owner)
    }

    /// Returns the only owner, if there is one.
    pub fn only(&self) -> Option<&Owner> {
        match self {
            Self::All => None,
            Self::Only(owner) => Some(owner),
        }
    }
}
