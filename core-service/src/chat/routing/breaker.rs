//! Keeps calls away from a target that fails, and finds out with one call at a time whether it has recovered.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// When a target counts as failing, and for how long it then rests.
#[derive(Debug, Clone, Copy)]
pub struct BreakerSettings {
    /// After this many failures in a row, at least 1.
    pub failures: u32,
    /// How long it rests before one call may try it.
    pub cooldown: Duration,
}

/// Where a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// All calls pass.
    Closed,
    /// No call passes.
    Open {
        /// When one call may probe.
        until: Instant,
        /// The target asked for the rest itself, with a 429.
        asked: bool,
    },
    /// One call may probe, or is on its way.
    HalfOpen,
}

/// The breaker of one target.
#[derive(Debug)]
pub(super) struct Breaker {
    settings: BreakerSettings,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// Failures in a row while closed.
    failures: u32,
    rest: Option<Rest>,
}

#[derive(Debug)]
struct Rest {
    until: Instant,
    asked: bool,
    probing: bool,
}

impl Breaker {
    pub(super) fn new(settings: BreakerSettings) -> Self {
        Self { settings, inner: Mutex::new(Inner { failures: 0, rest: None }) }
    }

    pub(super) fn state(&self) -> State {
        match &self.inner().rest {
            None => State::Closed,
            Some(rest) if rest.asked && rest.until <= Instant::now() => State::Closed,
            Some(rest) if rest.probing || rest.until <= Instant::now() => State::HalfOpen,
            Some(rest) => State::Open { until: rest.until, asked: rest.asked },
        }
    }

    /// Whether a call would pass now.
    pub(super) fn admits(&self) -> bool {
        self.inner().rest.as_ref().is_none_or(|rest| !rest.probing && rest.until <= Instant::now())
    }

    /// Lets a call pass, if it may: `Some(true)` makes it the probe, which must end in one of the three below.
    pub(super) fn enter(&self) -> Option<bool> {
        let rest = &mut self.inner().rest;
        // It said when it would be well again, so nobody needs to find out.
        rest.take_if(|rest| rest.asked && rest.until <= Instant::now());
        match rest {
            None => Some(false),
            Some(rest) if rest.probing || Instant::now() < rest.until => None,
            Some(rest) => {
                rest.probing = true;
                Some(true)
            }
        }
    }

    /// The target works. Of calls that began before the rest only the probe's word counts.
    pub(super) fn succeeded(&self, probe: bool) {
        let mut inner = self.inner();
        if probe || inner.rest.is_none() {
            *inner = Inner { failures: 0, rest: None };
        }
    }

    /// The target failed; `retry_after` where it asked for a rest itself.
    pub(super) fn failed(&self, probe: bool, retry_after: Option<Duration>) {
        let mut inner = self.inner();
        inner.failures = inner.failures.saturating_add(1);
        let pause = match retry_after {
            Some(asked) => asked,
            None if probe || inner.rest.is_none() && inner.failures >= self.settings.failures => self.settings.cooldown,
            None => return,
        };
        let until = Instant::now() + pause;
        // A late failure never shortens a rest, nor ends somebody else's probe.
        let (until, probing) = match &inner.rest {
            Some(rest) if !probe => (rest.until.max(until), rest.probing),
            Some(_) | None => (until, false),
        };
        inner.rest = Some(Rest { until, asked: retry_after.is_some(), probing });
    }

    /// The probe ended without a word about the target: the next call probes.
    pub(super) fn abandoned(&self) {
        if let Some(rest) = &mut self.inner().rest {
            rest.probing = false;
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Never held over an await, and whole at every moment.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const COOLDOWN: Duration = Duration::from_secs(10);

    fn breaker() -> Breaker {
        Breaker::new(BreakerSettings { failures: 3, cooldown: COOLDOWN })
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_after_failures_in_a_row_and_closes_after_one_good_probe() {
        let breaker = breaker();
        for _ in 0..2 {
            breaker.failed(false, None);
        }
        breaker.succeeded(false);
        for _ in 0..2 {
            breaker.failed(false, None);
            assert_eq!(breaker.state(), State::Closed);
        }
        breaker.failed(false, None);
        assert!(matches!(breaker.state(), State::Open { asked: false, .. }) && breaker.enter().is_none());
        advance(COOLDOWN).await;
        assert_eq!(breaker.state(), State::HalfOpen);
        assert_eq!((breaker.enter(), breaker.enter()), (Some(true), None), "one probe at a time");
        breaker.succeeded(true);
        assert_eq!((breaker.state(), breaker.enter()), (State::Closed, Some(false)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_bad_probe_opens_it_again_and_an_abandoned_one_leaves_room_for_the_next() {
        let breaker = breaker();
        (0..3).for_each(|_| breaker.failed(false, None));
        advance(COOLDOWN).await;
        assert_eq!(breaker.enter(), Some(true));
        breaker.failed(true, None);
        assert!(!breaker.admits());
        advance(COOLDOWN).await;
        assert_eq!(breaker.enter(), Some(true));
        breaker.abandoned();
        assert_eq!(breaker.enter(), Some(true));
    }

    #[tokio::test(start_paused = true)]
    async fn a_rest_that_was_asked_for_begins_at_once_and_no_late_word_shortens_it() {
        let breaker = breaker();
        breaker.failed(false, Some(Duration::from_mins(1)));
        breaker.failed(false, Some(Duration::from_secs(1)));
        breaker.succeeded(false);
        advance(Duration::from_secs(59)).await;
        assert!(matches!(breaker.state(), State::Open { asked: true, .. }));
        advance(Duration::from_secs(1)).await;
        assert!(breaker.admits());
    }

    #[tokio::test(start_paused = true)]
    async fn one_failure_after_a_rest_that_was_asked_for_is_no_reason_for_another() {
        let breaker = breaker();
        breaker.failed(false, Some(Duration::from_secs(1)));
        advance(Duration::from_secs(1)).await;
        assert_eq!((breaker.state(), breaker.enter(), breaker.enter()), (State::Closed, Some(false), Some(false)));
        breaker.failed(false, None);
        assert_eq!(breaker.state(), State::Closed);
    }
}
