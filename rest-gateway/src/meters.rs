//! What is measured, and its text for Prometheus.
//!
//! Handles are kept per route, so that counting a request is a few atomic additions and no look-up by name.

use std::{
    collections::HashMap,
    sync::{LazyLock, OnceLock},
    time::Duration,
};

use http::{Method, StatusCode};
use metrics::{Counter, Gauge, Histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use triptych_proto::v1 as pb;

use crate::models;

/// Upper bounds of the duration histogram, in seconds.
const SECONDS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 300.0];
/// Each status we answer with; any other one counts as `other`.
const STATUSES: [u16; 21] =
    [200, 204, 206, 304, 400, 401, 403, 404, 405, 408, 409, 413, 415, 416, 429, 500, 501, 502, 503, 504, 0];
const METHODS: [&str; 5] = ["GET", "POST", "DELETE", "HEAD", "other"];

static STREAMS: LazyLock<Gauge> = LazyLock::new(|| metrics::gauge!("triptych_rest_streams_open"));

/// The process's recorder. The first use installs it for all that is counted anywhere in the process; where another
/// recorder was there before, that one keeps counting and this text stays empty.
pub fn prometheus() -> &'static PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        let name = Matcher::Full("triptych_rest_request_seconds".to_owned());
        let builder = PrometheusBuilder::new();
        let builder = builder.set_buckets_for_metric(name, &SECONDS).unwrap_or_else(|_| PrometheusBuilder::new());
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("another metrics recorder is installed already; /metrics stays empty");
        }
        describe();
        handle
    })
}

fn describe() {
    metrics::describe_counter!("triptych_rest_requests_total", "Answers, by route, method and status.");
    metrics::describe_histogram!("triptych_rest_request_seconds", "Time to the head of the answer, by route.");
    metrics::describe_gauge!("triptych_rest_requests_in_flight", "Requests that wait for the head of their answer.");
    metrics::describe_gauge!("triptych_rest_streams_open", "Event streams being sent.");
}

/// The meters of all routes.
#[derive(Debug)]
pub(crate) struct Meters {
    routes: HashMap<&'static str, Route>,
    other: Route,
    in_flight: Gauge,
}

struct Route {
    path: &'static str,
    seconds: Histogram,
    answers: [[OnceLock<Counter>; STATUSES.len()]; METHODS.len()],
}

impl Meters {
    pub(crate) fn new(paths: impl Iterator<Item = &'static str>) -> Self {
        prometheus();
        Self {
            routes: paths.map(|path| (path, Route::new(path))).collect(),
            other: Route::new("other"),
            in_flight: metrics::gauge!("triptych_rest_requests_in_flight"),
        }
    }

    /// Counts a request as under way.
    pub(crate) fn begin(&self, route: &str, method: &Method) -> Running<'_> {
        self.in_flight.increment(1.0);
        let method = METHODS.iter().position(|&known| known == method.as_str()).unwrap_or(METHODS.len() - 1);
        Running { route: self.routes.get(route).unwrap_or(&self.other), method, in_flight: &self.in_flight }
    }
}

impl Route {
    fn new(path: &'static str) -> Self {
        let seconds = metrics::histogram!("triptych_rest_request_seconds", "route" => path);
        Self { path, seconds, answers: Default::default() }
    }

    fn count(&self, method: usize, status: StatusCode) {
        let place = STATUSES.iter().position(|&known| known == status.as_u16()).unwrap_or(STATUSES.len() - 1);
        let counter = self.answers[method][place].get_or_init(|| {
            let status = if STATUSES[place] == 0 { "other".to_owned() } else { STATUSES[place].to_string() };
            let (route, method) = (self.path, METHODS[method]);
            metrics::counter!("triptych_rest_requests_total", "route" => route, "method" => method, "status" => status)
        });
        counter.increment(1);
    }
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.path)
    }
}

/// A request under way; given up when its client is gone.
#[derive(Debug)]
pub(crate) struct Running<'a> {
    route: &'a Route,
    method: usize,
    in_flight: &'a Gauge,
}

impl Running<'_> {
    pub(crate) fn end(self, status: StatusCode, took: Duration) {
        self.route.count(self.method, status);
        self.route.seconds.record(took);
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.in_flight.decrement(1.0);
    }
}

/// Writes how the targets of all models stand. Asked for at each scrape and not kept: nothing here grows stale.
pub(crate) fn write_targets(text: &mut String, models: &[pb::Model]) {
    use pb::model::target::State::{Closed, HalfOpen, Open};
    let targets = || models.iter().flat_map(|model| model.targets.iter().map(move |target| (model, target)));
    let labels = |model: &pb::Model, target: &pb::model::Target| {
        let [model, name, theirs] = [&model.id, &target.name, &target.upstream_model].map(|text| escaped(text));
        format!(r#"model="{model}",target="{name}",upstream_model="{theirs}""#)
    };
    let mut lines = Vec::new();
    for (model, target) in targets() {
        let labels = labels(model, target);
        for state in [Closed, HalfOpen, Open] {
            let (word, value) = (models::state(state), u8::from(target.state() == state));
            lines.push(format!("triptych_target_state{{{labels},state=\"{word}\"}} {value}\n"));
        }
    }
    if lines.is_empty() {
        return;
    }
    text.push_str("# HELP triptych_target_state 1 for the state that the target's circuit breaker is in.\n");
    text.push_str("# TYPE triptych_target_state gauge\n");
    text.extend(lines);
    text.push_str("# HELP triptych_target_in_flight Calls that the target is answering.\n");
    text.push_str("# TYPE triptych_target_in_flight gauge\n");
    text.extend(targets().map(|(model, target)| {
        format!("triptych_target_in_flight{{{}}} {}\n", labels(model, target), target.in_flight)
    }));
}

/// A label's value as the text format wants it.
fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

/// Counts an event stream as open for as long as it lives.
#[derive(Debug)]
pub(crate) struct OpenStream(());

impl OpenStream {
    pub(crate) fn new() -> Self {
        STREAMS.increment(1.0);
        Self(())
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        STREAMS.decrement(1.0);
    }
}
