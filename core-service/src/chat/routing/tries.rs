//! What a call has tried, and what is left for it to try.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    retry::{Again, RetrySettings, pause},
    target::Target,
};
use crate::error::ProviderError;

/// The tries of one call. Every target may be asked once; what goes beyond that is bounded, and so is whatever follows
/// a failure after which an upstream may be at work all the same.
pub(super) struct Tries<'a> {
    settings: RetrySettings,
    asked: Vec<Asked<'a>>,
    /// How many of the bounded tries are used up.
    spent: u32,
    /// The last failure may have been taken, so that whoever is asked next may do the same work again.
    unsafe_now: bool,
    told: Option<ProviderError>,
}

struct Asked<'a> {
    target: &'a Arc<Target>,
    failures: u32,
    /// When it may be asked again; `None`: not for this call.
    again: Option<Instant>,
}

impl<'a> Tries<'a> {
    pub(super) fn new(settings: RetrySettings) -> Self {
        Self { settings, asked: Vec::new(), spent: 0, unsafe_now: false, told: None }
    }

    /// Whether the target was not asked yet and may be.
    pub(super) fn is_fresh(&self, target: &Arc<Target>) -> bool {
        self.find(target).is_none() && (!self.unsafe_now || self.has_more())
    }

    /// Whether the target failed the call and may be asked again now.
    pub(super) fn is_ripe(&self, target: &Arc<Target>) -> bool {
        let again = self.find(target).and_then(|place| self.asked[place].again);
        self.has_more() && again.is_some_and(|again| again <= Instant::now())
    }

    /// When the next of those that failed may be asked again.
    pub(super) fn wake(&self) -> Option<Instant> {
        let now = Instant::now();
        let later = self.asked.iter().filter_map(|asked| asked.again).filter(|again| now < *again);
        later.min().filter(|_| self.has_more())
    }

    /// Notes that the target is asked.
    pub(super) fn begin(&mut self, target: &Arc<Target>) {
        if self.unsafe_now || self.find(target).is_some() {
            self.spent += 1;
        }
    }

    /// Notes that the target has failed the call, and whether that was the last word.
    pub(super) fn failed(&mut self, target: &'a Arc<Target>, error: &ProviderError) -> Again {
        let again = self.settings.again(error);
        let asked = self.asked(target);
        let wait = (again == Again::Anywhere).then(|| pause(error, asked.failures)).flatten();
        asked.failures += 1;
        asked.again = wait.map(|wait| Instant::now() + wait);
        self.unsafe_now = error.may_have_executed();
        self.tell(error);
        again
    }

    /// Notes that the target could not even be asked; why, if there is something to tell.
    pub(super) fn passed_over(&mut self, target: &'a Arc<Target>, why: Option<&ProviderError>) {
        self.asked(target).again = None;
        if let Some(error) = why {
            self.tell(error);
        }
    }

    /// What the caller is told where nothing is left to try; `None`: nobody was asked.
    pub(super) fn into_told(self) -> Option<ProviderError> {
        self.told
    }

    /// Of several failures the one that heals soonest is told: it says when it is worth coming back.
    fn tell(&mut self, error: &ProviderError) {
        let hope = |error: &ProviderError| match self.settings.again(error) {
            Again::Anywhere => 2,
            Again::Elsewhere if error.is_transient() => 1,
            Again::Elsewhere | Again::Never => 0,
        };
        if self.told.as_ref().is_none_or(|told| hope(told) <= hope(error)) {
            self.told = Some(error.clone());
        }
    }

    fn has_more(&self) -> bool {
        self.spent < self.settings.retries
    }

    fn asked(&mut self, target: &'a Arc<Target>) -> &mut Asked<'a> {
        let place = self.find(target).unwrap_or_else(|| {
            self.asked.push(Asked { target, failures: 0, again: None });
            self.asked.len() - 1
        });
        &mut self.asked[place]
    }

    fn find(&self, target: &Arc<Target>) -> Option<usize> {
        self.asked.iter().position(|asked| Arc::ptr_eq(asked.target, target))
    }
}
