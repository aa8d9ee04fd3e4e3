//! The order in which waiting priorities are served: the highest first, with a fixed share for the lower ones.

use super::Priority;

/// After this many turns of a priority while lower ones wait, the next turn belongs to the lower ones. They thereby have a fourth
/// of the turns: enough that they do not starve, and little enough that a higher priority hardly notices.
const TURNS_BEFORE_LOWER: u8 = 3;

/// Decides which waiting priority is served next, for one resource.
///
/// While several priorities wait, the highest has three of four turns, and the lower ones have the fourth, among which the same rule
/// applies. With all three priorities waiting, `high` has 12 of 16 turns, `normal` 3 and `low` 1. Turns while no lower priority waits
/// are not counted.
#[derive(Debug, Clone, Default)]
pub(crate) struct PrioritySchedule {
    /// For each priority: how often it was served while a lower one waited, since a lower one was last served while it waited itself.
    turns: [u8; Priority::COUNT],
}

impl PrioritySchedule {
    /// Returns the priority that is served next, of those that wait; `None` if none waits.
    pub(crate) fn next(&self, waits: impl Fn(Priority) -> bool) -> Option<Priority> {
        let mut waiting = Priority::DESCENDING.into_iter().filter(|priority| waits(*priority)).peekable();
        while let Some(priority) = waiting.next() {
            if waiting.peek().is_none() || self.turns[priority.index()] < TURNS_BEFORE_LOWER {
                return Some(priority);
            }
        }
        None
    }

    /// Records that this priority was served while those waited for which `waits` returns true. It need not be the one that
    /// [`next`](Self::next) returned: that one may have had nothing left to serve.
    pub(crate) fn record(&mut self, served: Priority, waits: impl Fn(Priority) -> bool) {
        for priority in Priority::DESCENDING.into_iter().filter(|priority| waits(*priority)) {
            let turns = &mut self.turns[priority.index()];
            if priority > served {
                *turns = 0;
            } else if priority < served {
                let turns = &mut self.turns[served.index()];
                *turns = (*turns + 1).min(TURNS_BEFORE_LOWER);
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Serves `count` turns, and returns the first letter of each priority that was served.
    fn serve(schedule: &mut PrioritySchedule, waiting: &[Priority], count: usize) -> String {
        let waits = |priority| waiting.contains(&priority);
        let turn = |_| {
            let next = schedule.next(waits).unwrap();
            schedule.record(next, waits);
            next.as_str().chars().next()
        };
        (0..count).filter_map(turn).collect()
    }

    #[test]
    fn every_fourth_turn_belongs_to_lower_priorities_while_they_wait() {
        use Priority::{High, Low, Normal};
        let mut schedule = PrioritySchedule::default();
        assert_eq!(serve(&mut schedule, &[Low, Normal, High], 32), "hhhnhhhnhhhnhhhlhhhnhhhnhhhnhhhl");
        assert_eq!(serve(&mut schedule, &[Low, High], 8), "hhhlhhhl");
        assert_eq!(serve(&mut schedule, &[Normal, Low], 8), "nnnlnnnl");
        assert_eq!(serve(&mut schedule, &[High, Normal], 8), "hhhnhhhn");
        assert_eq!(schedule.next(|_| false), None);
    }

    #[test]
    fn turns_without_lower_priorities_waiting_are_not_counted() {
        use Priority::{High, Low};
        let mut schedule = PrioritySchedule::default();
        assert_eq!(serve(&mut schedule, &[High], 9), "hhhhhhhhh");
        assert_eq!(serve(&mut schedule, &[High, Low], 2), "hh");
        assert_eq!(serve(&mut schedule, &[High], 5), "hhhhh");
        assert_eq!(serve(&mut schedule, &[Low], 2), "ll");
        // The third counted turn of `high`, and then the one for the lower priority.
        assert_eq!(serve(&mut schedule, &[High, Low], 3), "hlh");
    }
}
