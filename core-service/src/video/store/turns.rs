//! The order of claims: jobs in progress and queued jobs alternate; of queued jobs, those of a higher priority are first, with a
//! share for lower ones; within a priority, the owners take turns. Thus neither many queued jobs of one owner, nor those of a higher
//! priority, nor many polls of renders can starve the queued jobs of another owner.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{
    keys::Owner,
    priority::{Priority, PrioritySchedule},
    video::job::Job,
};

/// The round-robin position of this process. Clones share it. It is not stored.
#[derive(Debug, Clone, Default)]
pub(super) struct Turns(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    queued_first: bool,
    schedule: PrioritySchedule,
    /// For each priority, the owner whose queued job was claimed last. The next one in the order of names follows. With one position
    /// for all, the claims of a higher priority would set that of a lower one, which could skip an owner for ever.
    last: [Owner; Priority::COUNT],
}

impl Turns {
    /// Returns whether the next claim prefers a queued job, which alternates.
    pub(super) fn queued_first(&self) -> bool {
        let mut state = self.state();
        state.queued_first = !state.queued_first;
        state.queued_first
    }

    /// Returns the priority of the queued job that is claimed next, of those with a job that can be claimed.
    pub(super) fn next_priority(&self, waiting: &[Priority]) -> Option<Priority> {
        self.state().schedule.next(|priority| waiting.contains(&priority))
    }

    /// Returns the owner whose queued job of this priority was claimed last.
    pub(super) fn last_owner(&self, priority: Priority) -> Owner {
        self.state().last[priority.index()].clone()
    }

    /// Records that a queued job was claimed while jobs of these priorities could be.
    pub(super) fn record_claim(&self, job: &Job, waiting: &[Priority]) {
        let mut state = self.state();
        state.schedule.record(job.priority, |priority| waiting.contains(&priority));
        state.last[job.priority.index()] = job.owner.clone();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
