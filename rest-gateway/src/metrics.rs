//! Metrics, in the text format of Prometheus.
//!
//! Each route keeps the handles of its metrics: recording a request is a few atomic additions and no lookup by name.

use std::{
    sync::{LazyLock, Once, OnceLock},
    time::Duration,
};

use http::{Method, StatusCode};
use metrics::{Counter, Gauge, Histogram};
use metrics_exporter_prometheus::PrometheusHandle;
use tracing::Span;
use triptych_telemetry::{CLIENT_CLOSED, recorder};

use crate::access_log::UNMATCHED;

/// Statuses with a counter of their own. The last entry, 0, counts all others as `other`.
const STATUSES: [u16; 22] =
    [200, 204, 206, 304, 400, 401, 403, 404, 405, 408, 409, 413, 415, 416, 429, 499, 500, 501, 502, 503, 504, 0];
const METHODS: [&str; 5] = ["GET", "POST", "DELETE", "HEAD", "other"];

static STREAMS_OPEN: LazyLock<Gauge> = LazyLock::new(|| metrics::gauge!("triptych_rest_streams_open"));

/// Returns the handle of the process-wide recorder; see [`recorder::install`].
pub(crate) fn prometheus() -> &'static PrometheusHandle {
    static DESCRIBED: Once = Once::new();
    let handle = recorder::install();
    DESCRIBED.call_once(describe);
    handle
}

fn describe() {
    metrics::describe_counter!(
        "triptych_rest_requests_total",
        "Requests, by route, method and status. 499: the client disconnected before the response head."
    );
    metrics::describe_histogram!("triptych_rest_request_seconds", "Time to the response head, by route.");
    metrics::describe_gauge!("triptych_rest_requests_in_flight", "Requests whose response head has not been sent.");
    metrics::describe_gauge!("triptych_rest_streams_open", "Open event streams.");
}

/// The request metrics of all routes.
#[derive(Debug)]
pub(crate) struct RequestMetrics {
    routes: Vec<RouteMetrics>,
    other: RouteMetrics,
    in_flight: Gauge,
}

struct RouteMetrics {
    path: &'static str,
    seconds: Histogram,
    /// The counters of responses, by the positions of method and status in the lists above. Each is created by its first response.
    responses: [[OnceLock<Counter>; STATUSES.len()]; METHODS.len()],
}

impl RequestMetrics {
    /// Creates the metrics of these routes and installs the recorder.
    pub(crate) fn new(paths: impl Iterator<Item = &'static str>) -> Self {
        prometheus();
        let mut routes = Vec::<RouteMetrics>::new();
        for path in paths {
            if routes.iter().all(|route| route.path != path) {
                routes.push(RouteMetrics::new(path));
            }
        }
        Self {
            routes,
            other: RouteMetrics::new(UNMATCHED),
            in_flight: metrics::gauge!("triptych_rest_requests_in_flight"),
        }
    }

    /// Counts a request as in flight until the returned guard is dropped.
    pub(crate) fn begin(&self, route: &str, method: &Method, span: &Span) -> InFlight<'_> {
        self.in_flight.increment(1.0);
        let method = METHODS.iter().position(|&known| known == method.as_str()).unwrap_or(METHODS.len() - 1);
        InFlight {
            // Comparing a few paths costs less than hashing one.
            route: self.routes.iter().find(|known| known.path == route).unwrap_or(&self.other),
            method,
            gauge: &self.in_flight,
            span: span.clone(),
            answered: false,
        }
    }
}

impl RouteMetrics {
    fn new(path: &'static str) -> Self {
        let seconds = metrics::histogram!("triptych_rest_request_seconds", "route" => path);
        Self { path, seconds, responses: Default::default() }
    }

    fn count(&self, method: usize, status: u16) {
        let index = STATUSES.iter().position(|&known| known == status).unwrap_or(STATUSES.len() - 1);
        let counter = self.responses[method][index].get_or_init(|| {
            let status = match STATUSES[index] {
                0 => "other".to_owned(),
                status => status.to_string(),
            };
            let (route, method) = (self.path, METHODS[method]);
            metrics::counter!("triptych_rest_requests_total", "route" => route, "method" => method, "status" => status)
        });
        counter.increment(1);
    }
}

impl std::fmt::Debug for RouteMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.path)
    }
}

/// A request in flight. Dropped without [`finish`](Self::finish) if the client disconnects before the response head.
#[derive(Debug)]
pub(crate) struct InFlight<'a> {
    route: &'a RouteMetrics,
    method: usize,
    gauge: &'a Gauge,
    span: Span,
    answered: bool,
}

impl InFlight<'_> {
    /// Records the response and the time to its head.
    pub(crate) fn finish(mut self, status: StatusCode, elapsed: Duration) {
        self.answered = true;
        self.route.count(self.method, status.as_u16());
        self.route.seconds.record(elapsed);
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.gauge.decrement(1.0);
        if !self.answered {
            self.route.count(self.method, CLIENT_CLOSED);
            self.span.in_scope(|| tracing::debug!("client disconnected before the response"));
        }
    }
}

/// Counts an event stream as open until dropped.
#[derive(Debug)]
pub(crate) struct OpenStream(());

impl OpenStream {
    pub(crate) fn new() -> Self {
        STREAMS_OPEN.increment(1.0);
        Self(())
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        STREAMS_OPEN.decrement(1.0);
    }
}
