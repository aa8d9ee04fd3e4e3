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
        /// What it rests from.
        cause: Cause,
    },
    /// One call may probe, or is on its way.
    HalfOpen,
}

/// What a target rests from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Failures in a row. After the rest one call finds out whether it is well again.
    Failures,
    /// It works, but paces us. After the rest all calls pass.
    Pace,
    /// It said for how long it cannot serve. After the rest all calls pass: if it still cannot, it will say so.
    Absence,
}

/// The breaker of one target.
#[derive(Debug)]
pub(super) struct Breaker {
    settings: BreakerSettings,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// Failures in a row, up to the last answer that was whole.
    failures: u32,
    rest: Option<Rest>,
}

#[derive(Debug)]
struct Rest {
    until: Instant,
    cause: Cause,
    probing: bool,
}

impl Rest {
    fn ended_by_itself(&self) -> bool {
        self.cause != Cause::Failures && self.until <= Instant::now()
    }
}

impl Breaker {
    pub(super) fn new(settings: BreakerSettings) -> Self {
        Self { settings, inner: Mutex::new(Inner { failures: 0, rest: None }) }
    }

    pub(super) fn state(&self) -> State {
        match &self.inner().rest {
            None => State::Closed,
            Some(rest) if rest.ended_by_itself() => State::Closed,
            Some(rest) if rest.probing || rest.until <= Instant::now() => State::HalfOpen,
            Some(rest) => State::Open { until: rest.until, cause: rest.cause },
        }
    }

    /// Whether a call would pass now.
    pub(super) fn admits(&self) -> bool {
        self.inner().rest.as_ref().is_none_or(|rest| !rest.probing && rest.until <= Instant::now())
    }

    /// Lets a call pass, if it may: `Some(true)` makes it the probe, which must end in one of the three below.
    pub(super) fn enter(&self) -> Option<bool> {
        let rest = &mut self.inner().rest;
        rest.take_if(|rest| rest.ended_by_itself());
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

    /// The target has begun an answer: the rest is over. How it ends counts all the same: what fails in the middle, call
    /// after call, fails in a row.
    pub(super) fn began(&self, probe: bool) {
        if probe {
            self.inner().rest = None;
        }
    }

    /// The target failed. It rests at once for as long as it asked to, if it did.
    pub(super) fn failed(&self, probe: bool, asked: Option<Duration>) {
        self.rest(probe, if asked.is_some() { Cause::Absence } else { Cause::Failures }, asked);
    }

    /// The target paces us.
    pub(super) fn paced(&self, probe: bool, asked: Option<Duration>) {
        self.rest(probe, Cause::Pace, asked);
    }

    fn rest(&self, probe: bool, cause: Cause, asked: Option<Duration>) {
        let mut inner = self.inner();
        let pause = if let Some(asked) = asked {
            asked
        } else {
            inner.failures = inner.failures.saturating_add(1);
            if !probe && (inner.rest.is_some() || inner.failures < self.settings.failures) {
                return;
            }
            self.settings.cooldown
        };
        let until = Instant::now() + pause;
        // A late failure never shortens a rest, nor ends somebody else's probe.
        let (until, probing) = match &inner.rest {
            Some(rest) if !probe => (rest.until.max(until), rest.probing),
            Some(_) | None => (until, false),
        };
        inner.rest = Some(Rest { until, cause, probing });
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
        assert!(matches!(breaker.state(), State::Open { cause: Cause::Failures, .. }) && breaker.enter().is_none());
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
        breaker.paced(false, Some(Duration::from_mins(1)));
        breaker.paced(false, Some(Duration::from_secs(1)));
        breaker.succeeded(false);
        advance(Duration::from_secs(59)).await;
        assert!(matches!(breaker.state(), State::Open { cause: Cause::Pace, .. }));
        advance(Duration::from_secs(1)).await;
        assert!(breaker.admits());
    }

    #[tokio::test(start_paused = true)]
    async fn one_failure_after_a_rest_that_was_asked_for_is_no_reason_for_another() {
        let breaker = breaker();
        for _ in 0..3 {
            breaker.paced(false, Some(Duration::from_secs(1)));
            advance(Duration::from_secs(1)).await;
        }
        assert_eq!((breaker.state(), breaker.enter(), breaker.enter()), (State::Closed, Some(false), Some(false)));
        breaker.failed(false, None);
        assert_eq!(breaker.state(), State::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn who_paces_without_a_word_of_how_long_rests_after_a_few_times_and_who_is_away_says_until_when() {
        let pacing = breaker();
        (0..3).for_each(|_| pacing.paced(false, None));
        assert!(matches!(pacing.state(), State::Open { cause: Cause::Pace, .. }));
        advance(COOLDOWN).await;
        assert_eq!((pacing.enter(), pacing.enter()), (Some(false), Some(false)), "it was never broken");

        let away = breaker();
        away.failed(false, Some(Duration::from_mins(1)));
        advance(Duration::from_secs(59)).await;
        assert!(matches!(away.state(), State::Open { cause: Cause::Absence, .. }));
        advance(Duration::from_secs(1)).await;
        assert_eq!((away.enter(), away.enter()), (Some(false), Some(false)), "it said when it would be back");
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_in_the_middle_of_every_answer_fails_in_a_row() {
        let breaker = breaker();
        for _ in 0..3 {
            assert_eq!(breaker.state(), State::Closed);
            breaker.began(false);
            breaker.failed(false, None);
        }
        advance(COOLDOWN).await;
        assert_eq!(breaker.enter(), Some(true));
        breaker.began(true);
        assert_eq!(breaker.state(), State::Closed, "others need not wait for a long answer to end");
        breaker.failed(false, None);
        assert!(!breaker.admits(), "but it has not proved itself yet");
        advance(COOLDOWN).await;
        assert_eq!(breaker.enter(), Some(true));
        breaker.began(true);
        breaker.succeeded(false);
        breaker.failed(false, None);
        assert_eq!(breaker.state(), State::Closed);
    }
}
