//! The record of one call, for the access log and the metrics.

use std::{any::Any, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue, Response};
use tonic::{Code, Status, body::Body};
use tracing::Span;
use triptych_telemetry::{self as telemetry, CallEnd, CallReport};

use super::metrics::CallMetrics;
use crate::{context::REQUEST_ID_HEADER, error::Error};

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// Records the end of a call once: with its status, or as CANCELLED when it is dropped before its end.
#[derive(Debug)]
pub(super) struct CallRecord {
    span: Span,
    request_id: HeaderValue,
    report: CallReport,
    /// The service and the method.
    method: String,
    forwarded_for: Option<HeaderValue>,
    metrics: Arc<CallMetrics>,
    bytes: u64,
    is_logged: bool,
}

impl CallRecord {
    pub(super) fn new(
        span: Span,
        request_id: HeaderValue,
        report: CallReport,
        method: String,
        forwarded_for: Option<HeaderValue>,
        metrics: Arc<CallMetrics>,
    ) -> Self {
        Self { span, request_id, report, method, forwarded_for, metrics, bytes: 0, is_logged: false }
    }

    /// Returns the span of the call.
    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    /// Counts bytes of the response.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// Records the end of the call, unless it was recorded before.
    pub(super) fn log(&mut self, code: Code) {
        if std::mem::replace(&mut self.is_logged, true) {
            return;
        }
        let code = u8::try_from(i32::from(code)).unwrap_or_default();
        self.metrics.record(&self.method, code, self.report.elapsed());
        let end = CallEnd {
            request_id: self.request_id.to_str().unwrap_or_default(),
            method: "POST",
            route: &self.method,
            status: telemetry::Status::Grpc(code),
            bytes: self.bytes,
            forwarded_for: self.forwarded_for.as_ref().and_then(|value| value.to_str().ok()),
            is_probe: is_probe(&self.method),
        };
        end.finish(&self.report);
    }

    /// Logs the failure of the call and returns its response.
    pub(super) fn fail(mut self, status: Status) -> Response<Body> {
        self.log(status.code());
        let mut response = status.into_http();
        response.headers_mut().insert(REQUEST_ID_HEADER, self.request_id.clone());
        self.add_default_headers(response.headers_mut());
        response
    }

    /// Adds the headers that every response to the caller has.
    pub(super) fn add_default_headers(&self, headers: &mut HeaderMap) {
        self.report.add_default_headers(headers);
    }

    /// Returns the status of a call whose handler panicked.
    pub(super) fn panicked(&self, panic: &(dyn Any + Send)) -> Status {
        let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        let error = Error::Internal(format!("a handler panicked: {}", text.unwrap_or("no message")));
        error.into_status(self.request_id.to_str().unwrap_or_default())
    }
}

impl Drop for CallRecord {
    fn drop(&mut self) {
        self.log(Code::Cancelled);
    }
}

/// Returns whether the calls of a method are those of health checks and tools, and not of users.
fn is_probe(method: &str) -> bool {
    method.starts_with("grpc.health.") || method.starts_with("grpc.reflection.")
}

/// Returns the gRPC code in these headers or trailers.
pub(super) fn grpc_code(headers: &HeaderMap) -> Option<Code> {
    headers.get(GRPC_STATUS).map(|value| Code::from_bytes(value.as_bytes()))
}
