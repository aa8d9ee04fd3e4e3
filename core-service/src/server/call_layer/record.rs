//! The log record of one call.

use std::{any::Any, time::Instant};

use http::{HeaderMap, HeaderName, HeaderValue, Response};
use tonic::{Code, Status, body::Body};
use tracing::Span;

use crate::{context::REQUEST_ID_HEADER, error::Error};

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// Logs the end of a call once: with its status, or as CANCELLED when it is dropped before its end.
#[derive(Debug)]
pub(super) struct CallRecord {
    span: Span,
    request_id: HeaderValue,
    start: Instant,
    is_logged: bool,
}

impl CallRecord {
    pub(super) fn new(span: Span, request_id: HeaderValue) -> Self {
        Self { span, request_id, start: Instant::now(), is_logged: false }
    }

    /// Returns the span of the call.
    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    /// Logs the end of the call, unless it was logged before.
    pub(super) fn log(&mut self, code: Code) {
        if std::mem::replace(&mut self.is_logged, true) {
            return;
        }
        let us = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.span.in_scope(|| {
            if matches!(code, Code::Ok | Code::Cancelled) {
                tracing::debug!(rpc.code = ?code, us, "call finished");
            } else {
                tracing::info!(rpc.code = ?code, us, "call failed");
            }
        });
    }

    /// Logs the failure of the call and returns its response.
    pub(super) fn fail(mut self, status: Status) -> Response<Body> {
        self.log(status.code());
        let mut response = status.into_http();
        response.headers_mut().insert(REQUEST_ID_HEADER, self.request_id.clone());
        response
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

/// Returns the gRPC code in these headers or trailers.
pub(super) fn grpc_code(headers: &HeaderMap) -> Option<Code> {
    headers.get(GRPC_STATUS).map(|value| Code::from_bytes(value.as_bytes()))
}
