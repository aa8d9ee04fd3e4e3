//! The attempts of one call: which targets it has tried, and which it may still try.

use std::sync::Arc;

use tokio::time::Instant;

use super::target::Target;
use crate::{
    error::ProviderError,
    upstream::{RetryScope, RetrySettings, delay},
};

/// The attempts of one call. The first attempt at each target is not a retry, because a limit over all of them would end the call
/// before its fallbacks. Further attempts at the same target, and any attempt after the upstream may have executed the
/// request, count against `retries`.
pub(super) struct Attempts<'a> {
    settings: RetrySettings,
    tried: Vec<Tried<'a>>,
    /// How many of the `retries` of the settings are used.
    used: u32,
    /// The upstream may have executed the last attempt, so that another one may execute the request twice.
    may_have_executed: bool,
    /// The failure that the caller gets if no further attempt is possible.
    failure: Option<ProviderError>,
}

/// A target that was tried.
struct Tried<'a> {
    target: &'a Arc<Target>,
    /// Failed attempts of this call at the target.
    failures: u32,
    /// When this call may try the target again; `None`: never.
    retry_at: Option<Instant>,
}

impl<'a> Attempts<'a> {
    pub(super) fn new(settings: RetrySettings) -> Self {
        Self { settings, tried: Vec::new(), used: 0, may_have_executed: false, failure: None }
    }

    /// Returns whether the target may get its first attempt.
    pub(super) fn may_try(&self, target: &Arc<Target>) -> bool {
        self.find(target).is_none() && (!self.may_have_executed || self.has_retries())
    }

    /// Returns whether the target has failed this call and may be tried again now.
    pub(super) fn may_retry(&self, target: &Arc<Target>) -> bool {
        let retry_at = self.find(target).and_then(|index| self.tried[index].retry_at);
        self.has_retries() && retry_at.is_some_and(|retry_at| retry_at <= Instant::now())
    }

    /// Returns when the next target may be tried again.
    pub(super) fn next_retry_at(&self) -> Option<Instant> {
        let now = Instant::now();
        let future = self.tried.iter().filter_map(|tried| tried.retry_at).filter(|retry_at| now < *retry_at);
        future.min().filter(|_| self.has_retries())
    }

    /// Records that an attempt at the target starts.
    pub(super) fn start(&mut self, target: &Arc<Target>) {
        if self.may_have_executed || self.find(target).is_some() {
            self.used += 1;
        }
    }

    /// Records a failed attempt; returns where the call may be retried.
    pub(super) fn record_failure(&mut self, target: &'a Arc<Target>, error: &ProviderError) -> RetryScope {
        let scope = self.settings.scope(error);
        let tried = self.tried(target);
        tried.failures += 1;
        let wait = (scope == RetryScope::AnyTarget).then(|| delay(error, tried.failures)).flatten();
        tried.retry_at = wait.map(|wait| Instant::now() + wait);
        self.may_have_executed = error.may_have_executed();
        self.keep_failure(error);
        scope
    }

    /// Records that the target did not admit the call, and the reason if it is one for the caller.
    pub(super) fn record_rejection(&mut self, target: &'a Arc<Target>, error: Option<&ProviderError>) {
        self.tried(target).retry_at = None;
        if let Some(error) = error {
            self.keep_failure(error);
        }
    }

    /// Returns the failure for the caller; `None` if no target was tried.
    pub(super) fn into_failure(self) -> Option<ProviderError> {
        self.failure
    }

    /// Keeps the failure that is most likely to be temporary, the last one among equals: a 503 of one upstream tells the caller more
    /// than the rejected key of another.
    fn keep_failure(&mut self, error: &ProviderError) {
        let rank = |error: &ProviderError| match self.settings.scope(error) {
            RetryScope::AnyTarget => 2,
            RetryScope::OtherTargets if error.is_transient() => 1,
            RetryScope::OtherTargets | RetryScope::Never => 0,
        };
        if self.failure.as_ref().is_none_or(|kept| rank(kept) <= rank(error)) {
            self.failure = Some(error.clone());
        }
    }

    fn has_retries(&self) -> bool {
        self.used < self.settings.retries
    }

    /// Returns the record of a target; creates it for one that was not tried before.
    fn tried(&mut self, target: &'a Arc<Target>) -> &mut Tried<'a> {
        let index = self.find(target).unwrap_or_else(|| {
            self.tried.push(Tried { target, failures: 0, retry_at: None });
            self.tried.len() - 1
        });
        &mut self.tried[index]
    }

    fn find(&self, target: &Arc<Target>) -> Option<usize> {
        self.tried.iter().position(|tried| Arc::ptr_eq(tried.target, target))
    }
}
