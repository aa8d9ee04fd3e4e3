//! Choice by the number of calls in flight.

use super::{choice::Policy, lowest::choose_lowest};
use crate::chat::routing::target::Target;

/// Chooses the target with the fewest calls in flight in proportion to its weight; at random by weight among equals.
#[derive(Debug, Clone, Copy, Default)]
pub struct LeastInFlight;

impl Policy for LeastInFlight {
    fn choose(&self, candidates: &[&Target]) -> usize {
        choose_lowest(candidates, |target| {
            // The new call is counted, so that of two idle targets the one with the higher weight has the lower load.
            let calls = u32::try_from(target.in_flight()).unwrap_or(u32::MAX).saturating_add(1);
            f64::from(calls) / f64::from(target.weight.max(1))
        })
    }
}
