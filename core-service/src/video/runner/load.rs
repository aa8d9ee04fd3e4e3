//! How busy the providers are, so that the stalled calls of one do not delay the jobs of the others.

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
    all: usize,
    submissions: usize,
}

/// A step in progress. Dropping it ends the step.
#[derive(Debug)]
pub(super) struct ActiveStep {
    load: Load,
    provider_id: String,
    is_submission: bool,
}

impl Load {
    /// Counts a step until the returned value is dropped.
    pub(super) fn begin(&self, provider_id: &str, is_submission: bool) -> ActiveStep {
        let mut counts = self.counts();
        let steps = counts.entry(provider_id.to_owned()).or_default();
        steps.all += 1;
        steps.submissions += usize::from(is_submission);
        ActiveStep { load: self.clone(), provider_id: provider_id.to_owned(), is_submission }
    }

    /// Returns the providers with at least so many steps in progress.
    pub(super) fn with_steps(&self, at_least: usize) -> Vec<String> {
        self.filter(|steps| steps.all >= at_least)
    }

    /// Returns the providers with at least so many submissions in progress.
    pub(super) fn with_submissions(&self, at_least: usize) -> Vec<String> {
        self.filter(|steps| steps.submissions >= at_least)
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
        steps.all -= 1;
        steps.submissions -= usize::from(self.is_submission);
        if steps.all == 0 {
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
        let steps = [load.begin("a", true), load.begin("a", false), load.begin("b", false)];
        assert_eq!((load.with_steps(2), load.with_submissions(1)), (vec!["a".to_owned()], vec!["a".to_owned()]));
        drop(steps);
        assert!(load.counts().is_empty());
    }
}
