//! Where the least is under way.

use super::{Policy, Target, least};

/// Chooses the target with the fewest calls under way for its weight; by weighted chance among equals.
#[derive(Debug, Clone, Copy, Default)]
pub struct LeastInFlight;

impl Policy for LeastInFlight {
    fn choose(&self, candidates: &[&Target]) -> usize {
        least(candidates, |target| {
            // With the call that is to come: an idle target of double weight is emptier than one of single weight.
            let calls = u32::try_from(target.in_flight()).unwrap_or(u32::MAX).saturating_add(1);
            f64::from(calls) / f64::from(target.weight.max(1))
        })
    }
}
