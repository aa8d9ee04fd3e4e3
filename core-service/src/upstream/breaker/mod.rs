//! Circuit breaker of one target: no calls while it fails, one probe call at a time to find out whether it has recovered.
//!
//! Written here because the usual crates know neither `Retry-After` nor streams: an upstream that names a delay is left
//! alone for exactly that long and then trusted, and a stream that breaks in the middle counts as a failure although it
//! started well (`docs/DESIGN.md`).

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::config::GuardSettings;

/// When a breaker opens, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct BreakerSettings {
    /// Consecutive failures that open it, at least 1.
    pub failure_threshold: u32,
    /// How long it stays open before a probe.
    pub cooldown: Duration,
}

impl GuardSettings {
    /// Returns the settings of the circuit breaker.
    pub fn breaker(&self) -> BreakerSettings {
        BreakerSettings { failure_threshold: self.failure_threshold, cooldown: self.cooldown }
    }
}

/// The state of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// All calls pass.
    Closed,
    /// No call passes.
    Open {
        /// When the cooldown ends.
        until: Instant,
        /// Why it opened.
        cause: OpenCause,
    },
    /// One probe call may pass, or is in flight.
    HalfOpen,
}

/// Why a breaker opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenCause {
    /// Consecutive failures. After the cooldown a probe decides.
    Failures,
    /// Rate limits. The target works, so the breaker closes when the cooldown ends.
    RateLimit,
    /// The target announced with `Retry-After` for how long it is unavailable. The breaker closes when that time ends.
    Unavailable,
}

/// The part that a call has for the breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallKind {
    /// It passed while the breaker was closed, or without asking the breaker.
    Regular,
    /// Its result decides whether the breaker closes.
    Probe,
}

/// The circuit breaker of one target.
#[derive(Debug)]
pub(super) struct Breaker {
    settings: BreakerSettings,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// Failures since the last complete response.
    failures: u32,
    /// `None` while the breaker is closed.
    cooldown: Option<Cooldown>,
}

/// Why and until when no call passes. After an expired one of [`OpenCause::Failures`], only a probe passes.
#[derive(Debug)]
struct Cooldown {
    until: Instant,
    cause: OpenCause,
    /// Whether a probe is in flight.
    probing: bool,
}

impl Cooldown {
    /// Returns whether the breaker closes without a probe.
    fn has_expired(&self) -> bool {
        self.cause != OpenCause::Failures && self.until <= Instant::now()
    }
}

impl Breaker {
    pub(super) fn new(settings: BreakerSettings) -> Self {
        Self { settings, inner: Mutex::new(Inner { failures: 0, cooldown: None }) }
    }

    pub(super) fn state(&self) -> BreakerState {
        match &self.lock().cooldown {
            None => BreakerState::Closed,
            Some(cooldown) if cooldown.has_expired() => BreakerState::Closed,
            Some(cooldown) if cooldown.probing || cooldown.until <= Instant::now() => BreakerState::HalfOpen,
            Some(cooldown) => BreakerState::Open { until: cooldown.until, cause: cooldown.cause },
        }
    }

    /// Returns whether a call would pass now.
    pub(super) fn allows_call(&self) -> bool {
        self.lock().cooldown.as_ref().is_none_or(|cooldown| !cooldown.probing && cooldown.until <= Instant::now())
    }

    /// Lets a call pass, or returns `None`. A probe must end in one of the `record_` methods or in
    /// [`release_probe`](Self::release_probe).
    pub(super) fn try_pass(&self) -> Option<CallKind> {
        match &mut self.lock_current().cooldown {
            None => Some(CallKind::Regular),
            Some(cooldown) if cooldown.probing || Instant::now() < cooldown.until => None,
            Some(cooldown) => {
                cooldown.probing = true;
                Some(CallKind::Probe)
            }
        }
    }

    /// Records a complete response. While the breaker is open, only the probe's success counts, because other calls began
    /// before it opened.
    pub(super) fn record_success(&self, kind: CallKind) {
        let mut inner = self.lock_current();
        if kind == CallKind::Probe || inner.cooldown.is_none() {
            *inner = Inner { failures: 0, cooldown: None };
        }
    }

    /// Records the start of a response: a probe closes the breaker, so that other calls need not wait for the end of a long
    /// stream. The count of failures remains until a response is complete, so that streams that break in the middle, one
    /// after the other, open the breaker.
    pub(super) fn record_start(&self, kind: CallKind) {
        if kind == CallKind::Probe {
            self.lock().cooldown = None;
        }
    }

    /// Records a failure. With `retry_after` the breaker opens at once, for that long.
    pub(super) fn record_failure(&self, kind: CallKind, retry_after: Option<Duration>) {
        let cause = if retry_after.is_some() { OpenCause::Unavailable } else { OpenCause::Failures };
        self.record(kind, cause, retry_after);
    }

    /// Records a rate limit. With `retry_after` the breaker opens at once, for that long.
    pub(super) fn record_rate_limit(&self, kind: CallKind, retry_after: Option<Duration>) {
        self.record(kind, OpenCause::RateLimit, retry_after);
    }

    /// Records a failure, which opens the breaker at once with `retry_after`, otherwise at the threshold or if it is the probe's.
    fn record(&self, kind: CallKind, cause: OpenCause, retry_after: Option<Duration>) {
        let mut inner = self.lock_current();
        let pause = if let Some(retry_after) = retry_after {
            retry_after
        } else {
            inner.failures = inner.failures.saturating_add(1);
            if kind == CallKind::Regular
                && (inner.cooldown.is_some() || inner.failures < self.settings.failure_threshold)
            {
                return;
            }
            self.settings.cooldown
        };
        let until = Instant::now() + pause;
        // A late failure neither shortens a cooldown, nor ends the probe of another call, nor makes one unnecessary.
        let (until, cause, probing) = match &inner.cooldown {
            Some(cooldown) if kind == CallKind::Regular => {
                let cause = if cooldown.cause == OpenCause::Failures { OpenCause::Failures } else { cause };
                (cooldown.until.max(until), cause, cooldown.probing)
            }
            Some(_) | None => (until, cause, false),
        };
        inner.cooldown = Some(Cooldown { until, cause, probing });
    }

    /// Ends a probe without a result: the next call is the probe.
    pub(super) fn release_probe(&self) {
        if let Some(cooldown) = &mut self.lock().cooldown {
            cooldown.probing = false;
        }
    }

    /// Locks the state without a cooldown that has expired.
    fn lock_current(&self) -> MutexGuard<'_, Inner> {
        let mut inner = self.lock();
        inner.cooldown.take_if(|cooldown| cooldown.has_expired());
        inner
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Never held across an await, and consistent at every moment.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
