//! One upstream model that calls can be routed to.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;
use triptych_proto::v1 as pb;

use crate::{
    chat::ChatProvider,
    name_pattern,
    upstream::{AdmittedCall, BreakerSettings, BreakerState, ConcurrencyLimit, UpstreamAdmission},
};

/// Each measurement counts `1 / SMOOTHING` in the moving average of the time to the first token.
const SMOOTHING: u64 = 8;

/// An upstream model that calls can be routed to.
#[derive(Debug)]
pub struct Target {
    /// The upstream's name, as shown to clients.
    pub name: String,
    /// The upstream's name of the model. A pattern stands for the requested name.
    pub model: String,
    /// The share of calls among the targets of one priority, at least 1.
    pub weight: u32,
    /// Targets with a lower value are preferred.
    pub priority: u32,
    /// The longest duration of a call, streams to their end included. `None`: no limit.
    pub total_timeout: Option<Duration>,
    pub(super) provider: Arc<dyn ChatProvider>,
    pub(super) admission: Arc<UpstreamAdmission>,
    /// The moving average of the time to the first token in microseconds; 0: never measured.
    pub(super) first_token: AtomicU64,
}

impl Target {
    /// Creates a target of weight 1 and priority 0 without a total timeout. Targets of one upstream share its `limit`.
    pub fn new(
        name: impl Into<String>,
        model: impl Into<String>,
        provider: Arc<dyn ChatProvider>,
        limit: Arc<ConcurrencyLimit>,
        breaker: BreakerSettings,
    ) -> Self {
        let name = name.into();
        Self {
            admission: Arc::new(UpstreamAdmission::new(&name, provider.address(), limit, breaker)),
            name,
            model: model.into(),
            weight: 1,
            priority: 0,
            total_timeout: None,
            provider,
            first_token: AtomicU64::new(0),
        }
    }

    /// Returns the upstream's name of the model of a call that requests this name.
    pub(super) fn upstream_model(&self, requested: &str) -> String {
        if name_pattern::is_pattern(&self.model) { requested.to_owned() } else { self.model.clone() }
    }

    /// Returns the state of the circuit breaker.
    pub fn state(&self) -> BreakerState {
        self.admission.state()
    }

    /// Returns the number of calls in flight.
    pub fn in_flight(&self) -> usize {
        self.admission.in_flight()
    }

    /// Returns the average time to the first token; `None` before the first streamed response.
    pub fn first_token(&self) -> Option<Duration> {
        let micros = self.first_token.load(Ordering::Relaxed);
        (micros > 0).then(|| Duration::from_micros(micros))
    }

    /// Returns the deadline of a call that starts now: the earlier of the total timeout and the client's deadline.
    pub(super) fn deadline(&self, client_deadline: Option<Instant>) -> Option<Instant> {
        let total = self.total_timeout.and_then(|total| Instant::now().checked_add(total));
        total.into_iter().chain(client_deadline).min()
    }

    /// Records the first chunk of a streamed response.
    pub(super) fn response_started(&self, call: &mut AdmittedCall) {
        call.record_start();
        let measured = u64::try_from(call.started_at().elapsed().as_micros()).unwrap_or(u64::MAX).max(1);
        let average =
            |old: u64| Some(if old == 0 { measured } else { old - old / SMOOTHING + measured / SMOOTHING }.max(1));
        let _ = self.first_token.fetch_update(Ordering::Relaxed, Ordering::Relaxed, average);
    }

    /// Returns the target's health for `ModelService`.
    pub(super) fn to_proto(&self) -> pb::model::Target {
        let target = self.admission.to_target(self.name.clone(), self.model.clone());
        pb::model::Target { weight: self.weight, priority: self.priority, ..target }
    }
}
