//! Choice by the time to the first token.

use std::time::Duration;

use super::{choice::Policy, lowest::choose_lowest, weighted::Weighted};
use crate::chat::routing::target::Target;

/// One call in this many is routed at random, so that a target that was slow once is measured again.
const EXPLORATION_INTERVAL: u32 = 20;

/// Chooses the target with the lowest moving average of the time to the first token; at random by weight among equals. A target
/// that was never measured comes first, until its first streamed response: non-streaming responses have no first token.
#[derive(Debug, Clone, Copy, Default)]
pub struct FirstToken;

impl Policy for FirstToken {
    fn choose(&self, candidates: &[&Target]) -> usize {
        if fastrand::u32(..EXPLORATION_INTERVAL) == 0 {
            return Weighted.choose(candidates);
        }
        choose_lowest(candidates, |target| target.first_token().unwrap_or(Duration::ZERO))
    }
}
