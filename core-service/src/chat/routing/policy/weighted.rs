//! Random choice by weight.

use super::choice::Policy;
use crate::chat::routing::target::Target;

/// Chooses at random, in proportion to the weights.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weighted;

impl Policy for Weighted {
    fn choose(&self, candidates: &[&Target]) -> usize {
        let total: u64 = candidates.iter().map(|target| u64::from(target.weight)).sum();
        let mut left = fastrand::u64(..total.max(1));
        for (index, target) in candidates.iter().enumerate() {
            match left.checked_sub(target.weight.into()) {
                Some(rest) => left = rest,
                None => return index,
            }
        }
        // Only without candidates: every weight is at least 1.
        0
    }
}
