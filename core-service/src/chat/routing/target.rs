//! One upstream's model that calls can be sent to, and what is known of its health.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;
use triptych_proto::v1 as pb;

use super::{
    breaker::{Breaker, BreakerSettings, State},
    gate::{Gate, Permit},
};
use crate::{chat::ChatProvider, error::ProviderError};

/// Of how many calls the observed time to the first token is an average, roughly.
const MEMORY: u64 = 8;

/// Where calls can be sent.
#[derive(Debug)]
pub struct Target {
    /// The upstream's name, as callers may learn it.
    pub name: String,
    /// The upstream's name of the model.
    pub model: String,
    /// Its share of the calls among the targets of one priority, at least 1.
    pub weight: u32,
    /// Lower ones are served first.
    pub priority: u32,
    /// How long one call of it may take in all, streams to their end included.
    pub total: Option<Duration>,
    pub(super) provider: Arc<dyn ChatProvider>,
    pub(super) gate: Arc<Gate>,
    pub(super) breaker: Breaker,
    pub(super) in_flight: AtomicUsize,
    /// Microseconds to the first token, averaged; 0: never seen.
    pub(super) first_token: AtomicU64,
}

impl Target {
    /// A target of weight 1 and priority 0, without a bound in time. Targets at one upstream share its `gate`.
    pub fn new(
        name: impl Into<String>,
        model: impl Into<String>,
        provider: Arc<dyn ChatProvider>,
        gate: Arc<Gate>,
        breaker: BreakerSettings,
    ) -> Self {
        Self {
            name: name.into(),
            model: model.into(),
            weight: 1,
            priority: 0,
            total: None,
            provider,
            gate,
            breaker: Breaker::new(breaker),
            in_flight: AtomicUsize::new(0),
            first_token: AtomicU64::new(0),
        }
    }

    /// Where its breaker stands.
    pub fn state(&self) -> State {
        self.breaker.state()
    }

    /// How many calls it is answering.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// The observed time to the first token; `None` before the first streamed answer.
    pub fn first_token(&self) -> Option<Duration> {
        let micros = self.first_token.load(Ordering::Relaxed);
        (micros > 0).then(|| Duration::from_micros(micros))
    }

    /// When a call that is sent to it now must be over: by its own bound, or by the caller's if that comes first.
    pub(super) fn deadline(&self, callers: Option<Instant>) -> Option<Instant> {
        let own = self.total.and_then(|total| Instant::now().checked_add(total));
        own.into_iter().chain(callers).min()
    }

    /// How it stands now, for whoever watches.
    pub(super) fn shown(&self) -> pb::model::Target {
        let state = match self.state() {
            State::Closed => pb::model::target::State::Closed,
            State::Open { .. } => pb::model::target::State::Open,
            State::HalfOpen => pb::model::target::State::HalfOpen,
        };
        pb::model::Target {
            name: self.name.clone(),
            upstream_model: self.model.clone(),
            state: state.into(),
            in_flight: u32::try_from(self.in_flight()).unwrap_or(u32::MAX),
            weight: self.weight,
            priority: self.priority,
        }
    }

    /// Begins a call, if the breaker lets it pass. `deadline` is the caller's own.
    pub(super) fn begin(self: &Arc<Self>, place: Permit, deadline: Option<Instant>) -> Option<Pass> {
        let probe = self.breaker.enter()?;
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Some(Pass { target: self.clone(), probe, deadline, begun: Instant::now(), _place: place })
    }
}

/// A call under way at a target. Dropping it ends it; without a word before, it says nothing about the target.
#[derive(Debug)]
pub(super) struct Pass {
    target: Arc<Target>,
    /// It is the breaker's probe, and has not told it anything yet.
    probe: bool,
    deadline: Option<Instant>,
    begun: Instant,
    _place: Permit,
}

impl Pass {
    /// The first piece of a streamed answer has come.
    pub(super) fn begun_to_answer(&mut self) {
        self.target.breaker.began(self.probe);
        self.probe = false;
        let seen = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX).max(1);
        let average = |old: u64| Some(if old == 0 { seen } else { old - old / MEMORY + seen / MEMORY }.max(1));
        let _ = self.target.first_token.fetch_update(Ordering::Relaxed, Ordering::Relaxed, average);
    }

    /// The answer has come, to its end.
    pub(super) fn succeeded(&mut self) {
        self.target.breaker.succeeded(self.probe);
        self.probe = false;
    }

    /// The call failed; whose fault it was decides what it says about the target.
    pub(super) fn failed(&mut self, error: &ProviderError) {
        let breaker = &self.target.breaker;
        match error {
            // The target is well: it read the request and judged it.
            ProviderError::Refused { .. } | ProviderError::ContentPolicy(_) | ProviderError::NotSupported(_) => {
                breaker.succeeded(self.probe);
            }
            // Our own bound says nothing about it.
            ProviderError::Overloaded { .. } => return,
            // Nor does a caller who would not wait.
            ProviderError::Timeout(_) if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) => return,
            ProviderError::RateLimited { retry_after, .. } => breaker.paced(self.probe, *retry_after),
            ProviderError::Unavailable { retry_after, .. } => breaker.failed(self.probe, *retry_after),
            ProviderError::Credentials(_)
            | ProviderError::Timeout(_)
            | ProviderError::Unreachable(_)
            | ProviderError::Broken(_)
            | ProviderError::Unreadable(_) => breaker.failed(self.probe, None),
        }
        self.probe = false;
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.target.in_flight.fetch_sub(1, Ordering::Relaxed);
        if self.probe {
            self.target.breaker.abandoned();
        }
    }
}
