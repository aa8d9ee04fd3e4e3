//! The metrics of the core. `docs/telemetry.md` has the table of all metrics.

use std::{sync::OnceLock, time::Duration};

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use triptych_proto::{error_info::reason_code, v1::ErrorReason};

/// The metrics of the calls of one upstream. Each handle is looked up once.
#[derive(Default)]
pub(crate) struct UpstreamMetrics {
    upstream: String,
    attempts: OnceLock<Counter>,
    seconds: OnceLock<Histogram>,
}

impl UpstreamMetrics {
    /// Creates the metrics of the upstream with this name. It is a label, so it must come from the settings: each new value of a
    /// label adds a time series.
    pub(crate) fn new(upstream: &str) -> Self {
        Self { upstream: upstream.to_owned(), ..Self::default() }
    }

    /// Returns the name of the upstream.
    pub(crate) fn upstream(&self) -> &str {
        &self.upstream
    }

    /// Counts an attempt.
    pub(crate) fn started(&self) {
        let attempts = || counter!("triptych_upstream_attempts_total", "upstream" => self.upstream.clone());
        self.attempts.get_or_init(attempts).increment(1);
    }

    /// Records the time of an attempt, to the end of its response.
    pub(crate) fn ended(&self, elapsed: Duration) {
        let seconds = || histogram!("triptych_upstream_attempt_seconds", "upstream" => self.upstream.clone());
        self.seconds.get_or_init(seconds).record(elapsed);
    }

    /// Counts a failure of an attempt, before or within its response.
    pub(crate) fn failed(&self, reason: ErrorReason) {
        let upstream = self.upstream.clone();
        counter!("triptych_upstream_failures_total", "upstream" => upstream, "reason" => reason_code(reason))
            .increment(1);
    }

    /// Counts a call that was not sent. `cause` is `breaker`, for an open circuit breaker, or `queue_full`, for a queue of calls
    /// without room.
    pub(crate) fn refused(&self, cause: &'static str) {
        counter!("triptych_upstream_refusals_total", "upstream" => self.upstream.clone(), "cause" => cause)
            .increment(1);
    }
}

impl std::fmt::Debug for UpstreamMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.upstream)
    }
}

/// Returns the gauge of the calls that wait for a permit of an upstream.
pub(crate) fn queued() -> Gauge {
    gauge!("triptych_upstream_queued")
}

/// Counts an error that a client gets.
pub(crate) fn error(reason: ErrorReason) {
    counter!("triptych_errors_total", "reason" => reason_code(reason)).increment(1);
}

/// Counts a call that a limit of its key or team refuses. `limit` is the name of its setting, for example `requests_per_minute`.
pub(crate) fn limit_refused(limit: &'static str) {
    counter!("triptych_limit_refusals_total", "limit" => limit).increment(1);
}

/// Reports whether a store, `jobs` or `media`, can be written.
pub(crate) fn storage_writable(store: &'static str, is_writable: bool) {
    gauge!("triptych_storage_writable", "store" => store).set(if is_writable { 1.0 } else { 0.0 });
}

/// Records how late a poll of a job started.
pub(crate) fn poll_lag(lag: Duration) {
    histogram!("triptych_job_poll_lag_seconds").record(lag);
}

/// Counts an attempt to deliver a webhook. `outcome` is `delivered`, `retried` (a failed attempt that is not the last) or `failed`.
pub(crate) fn webhook_attempt(outcome: &'static str) {
    counter!("triptych_webhook_attempts_total", "outcome" => outcome).increment(1);
}

/// Counts a sweep of media files. `removed` is the number of files that it removed and their bytes; `None` for a failed sweep.
pub(crate) fn sweep(removed: Option<(u64, u64)>) {
    let result = if removed.is_some() { "completed" } else { "failed" };
    counter!("triptych_media_sweeps_total", "result" => result).increment(1);
    if let Some((files, bytes)) = removed {
        counter!("triptych_media_removed_files_total").increment(files);
        counter!("triptych_media_removed_bytes_total").increment(bytes);
    }
}

/// Describes the metrics of the core, and sets those that have a value from the start.
pub(crate) fn describe() {
    use metrics::{describe_counter as counter, describe_gauge as gauge, describe_histogram as histogram};
    counter!("triptych_grpc_requests_total", "gRPC calls, by method and code.");
    histogram!("triptych_grpc_request_seconds", "Time of a gRPC call to the end of its response, by method.");
    counter!("triptych_upstream_attempts_total", "Attempts at an upstream.");
    histogram!("triptych_upstream_attempt_seconds", "Time of an attempt, to the end of its response.");
    counter!("triptych_upstream_failures_total", "Failed attempts at an upstream, by reason.");
    counter!("triptych_upstream_refusals_total", "Calls not sent to an upstream: open breaker, or full queue.");
    gauge!("triptych_upstream_queued", "Calls that wait for a permit of an upstream.");
    counter!("triptych_errors_total", "Errors of the core, by reason.");
    counter!("triptych_limit_refusals_total", "Calls refused by a limit of their key or team.");
    gauge!("triptych_jobs", "Video jobs that are not final, by state.");
    gauge!("triptych_job_oldest_seconds", "How long the oldest job of a state has been in it; 0 without one.");
    counter!("triptych_job_events_total", "Changes of state of video jobs, by new state and provider.");
    histogram!("triptych_job_phase_seconds", "Time of finished jobs in queue, upstream, download, and in total.");
    histogram!("triptych_job_poll_lag_seconds", "How late polls of jobs start.");
    gauge!("triptych_ledger_reserved_usd", "US dollars reserved for calls and videos in progress, of all keys.");
    gauge!("triptych_ledger_spent_usd", "US dollars that all keys have spent, of all time.");
    gauge!("triptych_storage_writable", "1, or 0 while the disk of a store is full or read-only.");
    gauge!("triptych_media_files", "Stored media files.");
    gauge!("triptych_media_bytes", "Size of all stored media files.");
    counter!("triptych_media_sweeps_total", "Sweeps of media files.");
    counter!("triptych_media_removed_files_total", "Media files removed by sweeps.");
    counter!("triptych_media_removed_bytes_total", "Size of the media files removed by sweeps.");
    counter!("triptych_webhook_attempts_total", "Attempts to deliver webhooks, by outcome.");
    gauge!("triptych_webhook_pending", "Deliveries of webhooks that are not final.");
    queued().set(0.0);
}

/// Converts a number for a metric.
#[expect(clippy::cast_precision_loss, reason = "metrics are floating-point numbers")]
pub(crate) fn float(number: i64) -> f64 {
    number as f64
}
