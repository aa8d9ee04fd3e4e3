//! Where the first token came soonest of late.

use std::time::Duration;

use super::{Policy, Target, Weighted, least};

/// One call in this many goes anywhere: a target that was slow once would never be seen to have recovered.
const CURIOSITY: u32 = 20;

/// Chooses the target with the lowest observed time to the first token, by weighted chance among equals; those never
/// observed come first, and whole answers show nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct FirstToken;

impl Policy for FirstToken {
    fn choose(&self, candidates: &[&Target]) -> usize {
        if fastrand::u32(..CURIOSITY) == 0 {
            return Weighted.choose(candidates);
        }
        least(candidates, |target| target.first_token().unwrap_or(Duration::ZERO))
    }
}
