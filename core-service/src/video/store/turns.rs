//! Round-robin order of claims: between jobs in progress and queued jobs, and between the owners of queued jobs. Neither
//! many queued jobs of one owner nor many polls of renders can starve the queued jobs of another owner.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::keys::Owner;

/// The round-robin position of this process. Clones share it. It is not stored.
#[derive(Debug, Clone, Default)]
pub(super) struct Turns(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    queued_first: bool,
    /// The owner whose queued job was claimed last. The next one in the order of names follows.
    last: Owner,
}

impl Turns {
    /// Returns whether the next claim prefers a queued job, which alternates.
    pub(super) fn queued_first(&self) -> bool {
        let mut state = self.state();
        state.queued_first = !state.queued_first;
        state.queued_first
    }

    /// Returns the owner whose queued job was claimed last.
    pub(super) fn last_owner(&self) -> Owner {
        self.state().last.clone()
    }

    /// Records that a queued job of this owner was claimed.
    pub(super) fn record_claim(&self, owner: &Owner) {
        self.state().last = owner.clone();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
