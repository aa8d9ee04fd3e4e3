//! The record of one request, for the access log and the metrics of models.

use axum::extract::{MatchedPath, Request};
use http::{HeaderName, HeaderValue, Method};
use http_server::PeerAddress;
use triptych_telemetry::{
    CLIENT_CLOSED, CallEnd, CallReport, Client, Status,
    trace::{self, OpenSpan, TraceParent},
};

use crate::headers::{TRACEPARENT, TRACESTATE};

/// The addresses that proxies report.
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Stands for the paths that match no route: as labels of metrics, there could be any number of them.
pub(crate) const UNMATCHED: &str = "other";
/// The routes whose requests are logged at `debug`: those of probes and tools, and of assets, of which one view of a page requests many.
const PROBES: [&str; 5] = ["/healthz", "/readyz", "/metrics", "/openapi.json", "/assets/{digest}/{*name}"];

/// Begins the span of a request, within the trace of its client.
fn server_span(request: &Request) -> Option<OpenSpan> {
    let header = |name: HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
    let parent = header(TRACEPARENT).and_then(|parent| TraceParent::parse(parent, header(TRACESTATE)));
    let route = request.extensions().get::<MatchedPath>().map_or(UNMATCHED, MatchedPath::as_str);
    OpenSpan::server(&format!("{} {route}", request.method()), parent.as_ref())
}

/// Records the end of a request once: with its status, or as [`CLIENT_CLOSED`] when it is dropped before its end.
#[derive(Debug)]
pub(crate) struct AccessRecord {
    report: CallReport,
    request_id: HeaderValue,
    method: Method,
    path: Option<MatchedPath>,
    forwarded_for: Option<HeaderValue>,
    /// Sent so far of the response body.
    bytes: u64,
    is_finished: bool,
}

impl AccessRecord {
    /// Begins the record of a request with this id.
    pub(crate) fn new(request: &Request, request_id: HeaderValue) -> Self {
        let client = request.extensions().get().map(|peer| match peer {
            PeerAddress::Ip(address) => Client::Ip(*address),
            PeerAddress::UnixSocket => Client::UnixSocket,
        });
        let span = trace::is_enabled().then(|| server_span(request)).flatten();
        Self {
            report: CallReport::with_span(client, span),
            request_id,
            method: request.method().clone(),
            path: request.extensions().get::<MatchedPath>().cloned(),
            forwarded_for: request.headers().get(X_FORWARDED_FOR).cloned(),
            bytes: 0,
            is_finished: false,
        }
    }

    /// Returns the report, to which the core adds what it finds out.
    pub(crate) fn report(&self) -> &CallReport {
        &self.report
    }

    /// Returns the route.
    pub(crate) fn route(&self) -> &str {
        self.path.as_ref().map_or(UNMATCHED, MatchedPath::as_str)
    }

    /// Counts bytes of the response.
    pub(crate) fn sent(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// Records the end of the request, unless it was recorded before.
    pub(crate) fn finish(&mut self, status: u16) {
        if std::mem::replace(&mut self.is_finished, true) {
            return;
        }
        let end = CallEnd {
            request_id: self.request_id.to_str().unwrap_or_default(),
            method: self.method.as_str(),
            route: self.route(),
            status: Status::Http(status),
            bytes: self.bytes,
            forwarded_for: self.forwarded_for.as_ref().and_then(|value| value.to_str().ok()),
            is_probe: PROBES.contains(&self.route()),
        };
        end.finish(&self.report);
    }
}

impl Drop for AccessRecord {
    fn drop(&mut self) {
        self.finish(CLIENT_CLOSED);
    }
}
