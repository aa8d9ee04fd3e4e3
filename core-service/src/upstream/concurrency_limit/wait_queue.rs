//! The queue of calls that wait for a permit: by priority, and in the order of arrival within one.

use std::collections::BTreeMap;

use crate::priority::{Priority, PrioritySchedule};

/// A queue of waiting calls. Its operations take logarithmic time.
#[derive(Debug)]
pub(super) struct WaitQueue<T> {
    /// For each priority, the calls by the numbers of their tickets, which is the order of arrival.
    waiting: [BTreeMap<u64, T>; Priority::COUNT],
    schedule: PrioritySchedule,
    /// The number of the next ticket.
    next: u64,
}

/// The place of a call in the queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket {
    priority: Priority,
    number: u64,
}

impl<T> Default for WaitQueue<T> {
    fn default() -> Self {
        Self { waiting: [const { BTreeMap::new() }; Priority::COUNT], schedule: PrioritySchedule::default(), next: 0 }
    }
}

impl<T> WaitQueue<T> {
    /// Returns the number of waiting calls.
    pub(super) fn len(&self) -> usize {
        self.waiting.iter().map(BTreeMap::len).sum()
    }

    /// Adds a call after those of its priority.
    pub(super) fn push(&mut self, priority: Priority, call: T) -> Ticket {
        let number = self.next;
        self.next += 1;
        self.waiting[priority.index()].insert(number, call);
        Ticket { priority, number }
    }

    /// Removes a call; `None` if it is no longer in the queue.
    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<T> {
        self.waiting[ticket.priority.index()].remove(&ticket.number)
    }

    /// Removes the call that is next.
    pub(super) fn pop(&mut self) -> Option<T> {
        let waits = |priority: Priority| !self.waiting[priority.index()].is_empty();
        let priority = self.schedule.next(waits)?;
        self.schedule.record(priority, waits);
        self.waiting[priority.index()].pop_first().map(|(_, call)| call)
    }
}
