//! The number of steps in progress of each provider, so that the stalled calls of one do not delay the jobs of the others. A step
//! is one piece of work on a job: a submission, a poll, a copy, a clean-up. A parked render is one between two polls.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The steps in progress of all providers. Clones share the counts.
#[derive(Debug, Clone, Default)]
pub(super) struct Load(Arc<Mutex<HashMap<String, Steps>>>);

/// The steps in progress of one provider.
#[derive(Debug, Clone, Copy, Default)]
struct Steps {
    /// Submissions and others, which count against `jobs.concurrency`.
    all: usize,
    submissions: usize,
    /// Polls of parked renders, which are not counted in `all`.
    polls: usize,
}

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StepKind {
    /// It submits a queued job.
    Submission,
    /// It polls a parked render.
    Poll,
    /// Anything else, above all a copy.
    Other,
}

impl Steps {
    /// Counts a step of this kind `by` times more, or less.
    fn count(&mut self, kind: StepKind, by: isize) {
        let add = |count: &mut usize| *count = count.saturating_add_signed(by);
        match kind {
            StepKind::Poll => add(&mut self.polls),
            StepKind::Other => add(&mut self.all),
            StepKind::Submission => {
                add(&mut self.all);
                add(&mut self.submissions);
            }
        }
    }
}

/// A step in progress. Dropping it ends the step.
#[derive(Debug)]
pub(super) struct ActiveStep {
    load: Load,
    provider_id: String,
    kind: StepKind,
}

impl Load {
    /// Counts a step until the returned value is dropped.
    pub(super) fn begin(&self, provider_id: &str, kind: StepKind) -> ActiveStep {
        self.counts().entry(provider_id.to_owned()).or_default().count(kind, 1);
        ActiveStep { load: self.clone(), provider_id: provider_id.to_owned(), kind }
    }

    /// Returns the providers with at least `at_least` steps in progress, not counting polls of parked renders.
    pub(super) fn with_steps(&self, at_least: usize) -> Vec<String> {
        self.filter(|steps| steps.all >= at_least)
    }

    /// Returns how many steps can start at once without exceeding a limit, whichever providers they are for. Each provider may have
    /// `max_steps` steps in progress, of which `max_submissions` may be submissions. Providers that already have `max_steps` do not count.
    pub(super) fn least_room(&self, max_steps: usize, max_submissions: usize) -> usize {
        // A provider with all of its submissions in progress gets no further one, so only the limit of all steps counts.
        let room = |steps: &Steps| match max_submissions.saturating_sub(steps.submissions) {
            0 => max_steps - steps.all,
            submissions => submissions.min(max_steps - steps.all),
        };
        let counts = self.counts();
        let rooms = counts.values().filter(|steps| steps.all < max_steps).map(room);
        rooms.min().unwrap_or_else(|| max_steps.min(max_submissions))
    }

    /// Returns the providers with at least `at_least` submissions in progress.
    pub(super) fn with_submissions(&self, at_least: usize) -> Vec<String> {
        self.filter(|steps| steps.submissions >= at_least)
    }

    /// Returns the providers with at least `at_least` polls of parked renders in progress.
    pub(super) fn with_polls(&self, at_least: usize) -> Vec<String> {
        self.filter(|steps| steps.polls >= at_least)
    }

    fn filter(&self, is_busy: impl Fn(&Steps) -> bool) -> Vec<String> {
        self.counts().iter().filter(|(_, steps)| is_busy(steps)).map(|(id, _)| id.clone()).collect()
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<String, Steps>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ActiveStep {
    fn drop(&mut self) {
        let mut counts = self.load.counts();
        let Some(steps) = counts.get_mut(&self.provider_id) else { return };
        steps.count(self.kind, -1);
        if steps.all + steps.polls == 0 {
            counts.remove(&self.provider_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn provider_is_busy_until_its_steps_are_dropped() {
        let load = Load::default();
        let kinds = [StepKind::Submission, StepKind::Other, StepKind::Poll];
        let steps = kinds.map(|kind| load.begin("a", kind));
        let other = load.begin("b", StepKind::Poll);
        let a = vec!["a".to_owned()];
        assert_eq!(
            (load.with_steps(2), load.with_submissions(1), load.with_steps(3)),
            (a, vec!["a".to_owned()], vec![])
        );
        assert_eq!(load.with_polls(1).len(), 2);
        let rooms = [(8, 4), (8, 1), (4, 4), (2, 2)].map(|(steps, submissions)| load.least_room(steps, submissions));
        assert_eq!(rooms, [3, 1, 2, 2], "the least of the rooms of `a`, with two counted steps, and of `b`, with none");
        drop((steps, other));
        assert!(load.counts().is_empty());
    }
}
