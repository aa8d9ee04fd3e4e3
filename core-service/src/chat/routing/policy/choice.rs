//! The trait of load-balancing policies.

use crate::chat::routing::target::Target;

/// A load-balancing policy.
pub trait Policy: std::fmt::Debug + Send + Sync {
    /// Returns the index of the chosen target among the candidates, which must not be empty.
    fn choose(&self, candidates: &[&Target]) -> usize;
}
