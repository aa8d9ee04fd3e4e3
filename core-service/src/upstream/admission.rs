//! Admission of calls to one target, which is one model at an upstream: concurrency limit, circuit breaker, number of calls in
//! flight. Decides which failures count against the health of a target, for chat, images and videos alike.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, timeout_at};
use triptych_proto::{
    error_info::{reason_code, reason_name},
    v1 as pb,
};
use triptych_telemetry::{
    Modality,
    trace::{self, OpenSpan},
};

use super::{
    breaker::{Breaker, BreakerSettings, BreakerState, CallKind, OpenCause},
    concurrency_limit::{ConcurrencyLimit, Full, Permit},
};
use crate::{context::RequestContext, error::ProviderError, metrics::UpstreamMetrics};

/// The `Retry-After` of a call that found the queue full: it is unknown when a place in it becomes free.
pub(crate) const RETRY_AFTER_FULL: Duration = Duration::from_secs(1);

/// Admits calls to one target.
#[derive(Debug)]
pub(crate) struct UpstreamAdmission {
    limit: Arc<ConcurrencyLimit>,
    breaker: Breaker,
    in_flight: AtomicUsize,
    metrics: UpstreamMetrics,
    /// The address of the upstream, for the log.
    address: Option<String>,
}

/// A call that a target is serving. Dropping it ends the call; if no result was recorded before, the call does not count for
/// the health of the target.
#[derive(Debug)]
pub(crate) struct AdmittedCall {
    admission: Arc<UpstreamAdmission>,
    /// The kind of the call; regular once the result of a probe is recorded.
    kind: CallKind,
    /// The caller's deadline.
    deadline: Option<Instant>,
    started_at: Instant,
    span: Option<OpenSpan>,
    _permit: Permit,
}

/// Acquires a permit of `limit` for the call with this context, before its deadline.
///
/// # Errors
/// [`ProviderError::Overloaded`] if the queue is full; [`ProviderError::Timeout`] at the deadline.
pub(crate) async fn acquire(limit: &ConcurrencyLimit, context: &RequestContext) -> Result<Permit, ProviderError> {
    let acquire = limit.acquire(context.caller.priority());
    let acquired = match context.deadline {
        Some(deadline) => timeout_at(deadline, acquire)
            .await
            .map_err(|_| ProviderError::Timeout("the deadline passed while the call was queued".to_owned()))?,
        None => acquire.await,
    };
    acquired.map_err(|Full| ProviderError::Overloaded { retry_after: RETRY_AFTER_FULL })
}

impl UpstreamAdmission {
    /// Creates the admission of one target of the upstream with this name and address. Targets of one upstream share its `limit`.
    pub(crate) fn new(
        upstream: &str,
        address: Option<&str>,
        limit: Arc<ConcurrencyLimit>,
        breaker: BreakerSettings,
    ) -> Self {
        let (breaker, metrics) = (Breaker::new(breaker), UpstreamMetrics::new(upstream));
        Self { limit, breaker, in_flight: AtomicUsize::new(0), metrics, address: address.map(str::to_owned) }
    }

    /// Returns the state of the circuit breaker.
    pub(crate) fn state(&self) -> BreakerState {
        self.breaker.state()
    }

    /// Returns the number of calls in flight.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Returns whether a call would be admitted, after waiting in the queue if necessary.
    pub(crate) fn is_available(&self) -> bool {
        self.breaker.allows_call() && self.limit.has_room()
    }

    /// Counts a call that was not sent, because the target is not available.
    pub(crate) fn count_refusal(&self) {
        self.metrics.refused(if self.breaker.allows_call() { "queue_full" } else { "breaker" });
    }

    /// Returns whether a call would get a permit without waiting.
    pub(crate) fn has_permit(&self) -> bool {
        self.limit.has_permit()
    }

    /// Acquires a permit for a call. See [`acquire`].
    pub(crate) async fn acquire(&self, context: &RequestContext) -> Result<Permit, ProviderError> {
        let acquired = acquire(&self.limit, context).await;
        if matches!(acquired, Err(ProviderError::Overloaded { .. })) {
            self.metrics.refused("queue_full");
        }
        acquired
    }

    /// Starts a call, or returns `None` if the breaker is open; it may have opened while the call was queued. `deadline` is
    /// the caller's own.
    pub(crate) fn start(self: &Arc<Self>, permit: Permit, deadline: Option<Instant>) -> Option<AdmittedCall> {
        let Some(kind) = self.breaker.try_pass() else {
            self.metrics.refused("breaker");
            return None;
        };
        self.metrics.started();
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        let admission = Arc::clone(self);
        Some(AdmittedCall { admission, kind, deadline, started_at: Instant::now(), span: None, _permit: permit })
    }

    /// Admits a call to a provider with a single target.
    ///
    /// # Errors
    /// As [`acquire`]; while the breaker is open, [`ProviderError::Unavailable`] or [`ProviderError::RateLimited`] with the
    /// rest of the cooldown.
    pub(crate) async fn admit(self: &Arc<Self>, context: &RequestContext) -> Result<AdmittedCall, ProviderError> {
        // Checked before the queue as well: a call to a failing target must not wait.
        if !self.breaker.allows_call() {
            self.metrics.refused("breaker");
            return Err(rejection([self.state()]));
        }
        let permit = self.acquire(context).await?;
        self.start(permit, context.deadline).ok_or_else(|| rejection([self.state()]))
    }

    /// Records the result of a call that was not subject to admission, for example a poll of an accepted task.
    pub(crate) fn record<T>(&self, result: &Result<T, ProviderError>) {
        match result {
            Ok(_) => self.breaker.record_success(CallKind::Regular),
            Err(error) => {
                self.record_failure(CallKind::Regular, error, None);
            }
        }
    }

    /// Logs a failed attempt with its cause and the address of the upstream. No other place logs it.
    pub(crate) fn log(&self, error: &ProviderError, deadline: Option<Instant>) {
        let (name, upstream) = (self.metrics.upstream(), self.address.as_deref());
        let (reason, status) = (reason_name(error.reason()), error.details().and_then(|details| details.status));
        // As text, which log formats quote: the message is that of the upstream.
        let text = error.to_string();
        let error_text = text.as_str();
        match error.failure() {
            // The limit is our own; the client has logged that it cannot connect, with the cause.
            ProviderError::Overloaded { .. } | ProviderError::Unreachable(_) => {}
            ProviderError::Refused { .. } | ProviderError::ContentPolicy(_) | ProviderError::NotSupported(_) => {
                tracing::info!(
                    target.name = name,
                    upstream,
                    status,
                    reason,
                    error = error_text,
                    "an upstream refused a request"
                );
            }
            ProviderError::Timeout(_) if has_passed(deadline) => {
                tracing::info!(
                    target.name = name,
                    upstream,
                    reason,
                    error = error_text,
                    "the deadline of a call ended its attempt"
                );
            }
            // Only the operator can correct it.
            ProviderError::Credentials(_) => {
                tracing::error!(
                    target.name = name,
                    upstream,
                    status,
                    reason,
                    error = error_text,
                    "an upstream rejected the credentials"
                );
            }
            ProviderError::RateLimited { .. }
            | ProviderError::Unavailable { .. }
            | ProviderError::Timeout(_)
            | ProviderError::Broken(_)
            | ProviderError::Reported { .. }
            | ProviderError::LinkExpired(_)
            | ProviderError::Unreadable(_) => {
                tracing::warn!(
                    target.name = name,
                    upstream,
                    status,
                    reason,
                    error = error_text,
                    "an attempt at an upstream failed"
                );
            }
        }
    }

    /// Records and logs a failure; returns whether it counts for the health of the target, as a success or as a failure.
    fn record_failure(&self, kind: CallKind, error: &ProviderError, deadline: Option<Instant>) -> bool {
        self.log(error, deadline);
        match error.failure() {
            // The target is healthy: it processed the request and refused it.
            ProviderError::Refused { .. } | ProviderError::ContentPolicy(_) | ProviderError::NotSupported(_) => {
                self.breaker.record_success(kind);
            }
            // The limit is our own.
            ProviderError::Overloaded { .. } => return false,
            // The caller's deadline was too short.
            ProviderError::Timeout(_) if has_passed(deadline) => return false,
            ProviderError::RateLimited { retry_after, .. } => self.breaker.record_rate_limit(kind, *retry_after),
            ProviderError::Unavailable { retry_after, .. } => self.breaker.record_failure(kind, *retry_after),
            ProviderError::Credentials(_)
            | ProviderError::Timeout(_)
            | ProviderError::Unreachable(_)
            | ProviderError::Broken(_)
            | ProviderError::Reported { .. }
            | ProviderError::LinkExpired(_)
            | ProviderError::Unreadable(_) => self.breaker.record_failure(kind, None),
        }
        true
    }

    /// Returns the health of the target in the form of `ModelService`, with weight 1 and priority 0.
    pub(crate) fn to_target(&self, name: String, upstream_model: String) -> pb::model::Target {
        let state = match self.state() {
            BreakerState::Closed => pb::model::target::State::Closed,
            BreakerState::Open { .. } => pb::model::target::State::Open,
            BreakerState::HalfOpen => pb::model::target::State::HalfOpen,
        };
        let in_flight = u32::try_from(self.in_flight()).unwrap_or(u32::MAX);
        pb::model::Target { name, upstream_model, state: state.into(), in_flight, weight: 1, priority: 0 }
    }
}

fn has_passed(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| deadline <= Instant::now())
}

/// Returns the failure of a call for which no target could be tried, from the states of all targets.
pub(crate) fn rejection(states: impl IntoIterator<Item = BreakerState>) -> ProviderError {
    let mut earliest: Option<Instant> = None;
    let mut rate_limited = true;
    for state in states {
        match state {
            BreakerState::Open { until, cause } => {
                earliest = Some(earliest.map_or(until, |earliest| earliest.min(until)));
                rate_limited &= cause == OpenCause::RateLimit;
            }
            // A target whose breaker is closed was left out because of its concurrency limit.
            BreakerState::Closed => return ProviderError::Overloaded { retry_after: RETRY_AFTER_FULL },
            BreakerState::HalfOpen => rate_limited = false,
        }
    }
    let retry_after = earliest.map(|until| until.saturating_duration_since(Instant::now()));
    if rate_limited && retry_after.is_some() {
        let message = "the upstreams of this model have reached their rate limits".to_owned();
        return ProviderError::RateLimited { message, retry_after };
    }
    let message = "the upstreams of this model are failing; no call is sent until their cooldown ends".to_owned();
    ProviderError::Unavailable { message, retry_after }
}

impl AdmittedCall {
    /// Begins the trace span of the call, which becomes the parent of the upstream's spans.
    pub(crate) fn trace(&mut self, context: &mut RequestContext, modality: Modality, model: &str) {
        if trace::is_enabled() {
            let upstream = self.admission.metrics.upstream();
            self.span = OpenSpan::attempt(upstream, model, modality, context.trace.span_parent().as_ref());
            let header = self.span.as_ref().and_then(|span| span.as_parent().header().parse().ok());
            context.trace.parent = header.or(context.trace.parent.take());
        }
    }

    /// When the call was admitted.
    pub(crate) fn started_at(&self) -> Instant {
        self.started_at
    }

    /// Records the first part of a streamed response.
    pub(crate) fn record_start(&mut self) {
        self.admission.breaker.record_start(self.kind);
        self.kind = CallKind::Regular;
    }

    /// Records a complete response.
    pub(crate) fn record_success(&mut self) {
        self.admission.breaker.record_success(self.kind);
        self.kind = CallKind::Regular;
    }

    /// Records a failure, before or within the response.
    pub(crate) fn record_failure(&mut self, error: &ProviderError) {
        self.admission.metrics.failed(error.reason());
        if let Some(span) = &mut self.span {
            span.fail(reason_code(error.reason()));
        }
        if self.admission.record_failure(self.kind, error, self.deadline) {
            self.kind = CallKind::Regular;
        }
    }
}

impl Drop for AdmittedCall {
    fn drop(&mut self) {
        self.admission.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.admission.metrics.ended(self.started_at.elapsed());
        if self.kind == CallKind::Probe {
            self.admission.breaker.release_probe();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COOLDOWN: Duration = Duration::from_secs(10);

    fn admission() -> Arc<UpstreamAdmission> {
        Arc::new(UpstreamAdmission::new(
            "tested",
            None,
            // Without a limit.
            Arc::new(ConcurrencyLimit::new(0, 0)),
            BreakerSettings { failure_threshold: 1, cooldown: COOLDOWN },
        ))
    }

    async fn call(admission: &Arc<UpstreamAdmission>, deadline: Option<Instant>) -> Option<AdmittedCall> {
        admission.start(admission.acquire(&RequestContext::default()).await.unwrap(), deadline)
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_deadlines_and_dropped_calls_do_not_open_the_breaker() {
        let admission = admission();
        let timeout = ProviderError::Timeout(String::new());
        call(&admission, None).await.unwrap().record_failure(&ProviderError::ContentPolicy(String::new()));
        call(&admission, Some(Instant::now())).await.unwrap().record_failure(&timeout);
        drop(call(&admission, None).await.unwrap());
        assert_eq!((admission.state(), admission.in_flight()), (BreakerState::Closed, 0));
        call(&admission, None).await.unwrap().record_failure(&timeout);
        assert!(matches!(admission.state(), BreakerState::Open { .. }));
    }

    #[tokio::test(start_paused = true)]
    async fn dropped_probe_is_released() {
        let admission = admission();
        call(&admission, None).await.unwrap().record_failure(&ProviderError::Broken(String::new()));
        assert!(call(&admission, None).await.is_none());
        assert_eq!(admission.admit(&RequestContext::default()).await.unwrap_err().retry_after(), Some(COOLDOWN));
        tokio::time::advance(COOLDOWN).await;
        let probe = call(&admission, None).await.unwrap();
        assert!(call(&admission, None).await.is_none());
        drop(probe);
        assert!(call(&admission, None).await.is_some());
    }
}
