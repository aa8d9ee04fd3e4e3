//! Where the least is under way.

use super::{Policy, Target, Weighted};

/// Chooses the target with the fewest calls under way for its weight; by weighted chance among equals.
#[derive(Debug, Clone, Copy, Default)]
pub struct LeastInFlight;

impl Policy for LeastInFlight {
    fn choose(&self, candidates: &[&Target]) -> usize {
        // With the call that is to come: an idle target of double weight is emptier than one of single weight.
        let load = |target: &Target| {
            let calls = u32::try_from(target.in_flight()).unwrap_or(u32::MAX).saturating_add(1);
            f64::from(calls) / f64::from(target.weight.max(1))
        };
        let least = candidates.iter().map(|target| load(target)).fold(f64::INFINITY, f64::min);
        let (places, equals): (Vec<_>, Vec<_>) = candidates
            .iter()
            .enumerate()
            .filter(|(_, target)| load(target) <= least)
            .map(|(at, &target)| (at, target))
            .unzip();
        // Other calls begin and end meanwhile, so there may be none left.
        if equals.is_empty() { Weighted.choose(candidates) } else { places[Weighted.choose(&equals)] }
    }
}
