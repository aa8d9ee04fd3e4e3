//! The allowance of one key: money that its chat calls and image requests can reserve in memory, without a write to the database for
//! each call. One hold (a row of `ledger_holds`) covers it in the database.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use triptych_proto::v1::Modality;

use super::Payer;
use crate::{prices::Quantities, usd::Usd};

/// The allowance of one key, with the usage of its calls that is not in the database yet.
#[derive(Debug)]
pub(super) struct Allowance {
    /// The name of the hold in the database.
    item: String,
    key: String,
    team: String,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The amount of the hold in the database.
    granted: Usd,
    /// What further calls may reserve. Negative after calls that cost more than they had reserved.
    free: Usd,
    /// What the calls in flight have reserved.
    in_use: Usd,
    unsettled: Unsettled,
    last_use: Instant,
}

/// Usage and cost that are not in the database yet.
#[derive(Debug, Default)]
pub(super) struct Unsettled {
    pub(super) cost: Usd,
    pub(super) usage: HashMap<UsageKey, Usage>,
}

/// What to write to the database.
#[derive(Debug)]
pub(super) struct Settlement {
    pub(super) unsettled: Unsettled,
    /// By how much the hold shrinks.
    pub(super) released: Usd,
    /// How much of `released` was free before.
    returned: Usd,
}

/// The calls that one [`Usage`] sums up: those of one model.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UsageKey {
    /// The kind of the model.
    pub modality: Modality,
    /// Its public name.
    pub model: String,
}

/// The sum of calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// How many.
    pub calls: u64,
    /// How many of them failed.
    pub errors: u64,
    /// What they used.
    pub quantities: Quantities,
    /// What they cost.
    pub cost: Usd,
}

impl Usage {
    /// Returns the usage of one call.
    pub fn of_call(quantities: Quantities, cost: Usd, failed: bool) -> Self {
        Self { calls: 1, errors: u64::from(failed), quantities, cost }
    }

    fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.errors += other.errors;
        self.cost += other.cost;
        let Quantities { input_tokens, cached_tokens, output_tokens, reasoning_tokens, images, video_millis } =
            &mut self.quantities;
        let more = &other.quantities;
        // An upstream's figures may be absurd.
        for (sum, more) in [
            (input_tokens, more.input_tokens),
            (cached_tokens, more.cached_tokens),
            (output_tokens, more.output_tokens),
            (reasoning_tokens, more.reasoning_tokens),
            (images, more.images),
            (video_millis, more.video_millis),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}

impl Allowance {
    pub(super) fn new(item: String, payer: &Payer) -> Self {
        let state = State {
            granted: Usd::ZERO,
            free: Usd::ZERO,
            in_use: Usd::ZERO,
            unsettled: Unsettled::default(),
            last_use: Instant::now(),
        };
        Self { item, key: payer.key.clone(), team: payer.team.clone(), state: Mutex::new(state) }
    }

    pub(super) fn item(&self) -> &str {
        &self.item
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn team(&self) -> &str {
        &self.team
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in the critical sections panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reserves money for a call, if there is enough, and returns whether there was. Zero is always granted.
    pub(super) fn take(&self, amount: Usd) -> bool {
        let mut state = self.state();
        state.last_use = Instant::now();
        if amount == Usd::ZERO {
            return true;
        }
        if state.free < amount {
            return false;
        }
        state.free = state.free.minus(amount);
        state.in_use += amount;
        true
    }

    /// Returns by how much the allowance is too small for a call.
    pub(super) fn lacking(&self, amount: Usd) -> Usd {
        amount.minus(self.state().free).max(Usd::ZERO)
    }

    /// Adds money that the database has granted.
    pub(super) fn add(&self, granted: Usd) {
        let mut state = self.state();
        state.granted += granted;
        state.free += granted;
    }

    /// Ends a call that has reserved `held`, and adds its usage and cost to those that are still to be written.
    pub(super) fn end(&self, held: Usd, key: UsageKey, usage: Usage) {
        let mut state = self.state();
        state.in_use = state.in_use.minus(held);
        // Without a budget, nothing was reserved, and the cost is not taken from `free`.
        if held > Usd::ZERO {
            state.free = state.free.plus(held).minus(usage.cost);
        }
        state.unsettled.cost += usage.cost;
        state.unsettled.usage.entry(key).or_default().add(&usage);
    }

    pub(super) fn is_idle(&self, now: Instant, idle: Duration) -> bool {
        now.duration_since(self.state().last_use) >= idle
    }

    /// Takes the usage and cost to write, and the money that the hold no longer has to cover; `None` if there is neither. With
    /// `returns`, this includes the free money.
    pub(super) fn settlement(&self, returns: bool) -> Option<Settlement> {
        let mut state = self.state();
        let returned = if returns { state.free.max(Usd::ZERO) } else { Usd::ZERO };
        state.free = state.free.minus(returned);
        let needed = state.free.max(Usd::ZERO).plus(state.in_use);
        let released = state.granted.minus(needed);
        if released == Usd::ZERO && state.unsettled.usage.is_empty() {
            return None;
        }
        state.granted = needed;
        Some(Settlement { unsettled: std::mem::take(&mut state.unsettled), released, returned })
    }

    /// Undoes [`settlement`](Self::settlement), because it could not be written.
    pub(super) fn restore(&self, settlement: Settlement) {
        let Settlement { unsettled: Unsettled { cost, usage }, released, returned } = settlement;
        let mut state = self.state();
        state.granted += released;
        state.free += returned;
        state.unsettled.cost += cost;
        for (key, usage) in usage {
            state.unsettled.usage.entry(key).or_default().add(&usage);
        }
    }
}
