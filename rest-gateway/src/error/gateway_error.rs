//! The error response, in the form that OpenAI's clients expect.

use std::{borrow::Cow, time::Duration};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::headers::{RETRY_AFTER_MS, X_SHOULD_RETRY};

/// A failed request: status, body, and headers that control the client's retries.
#[derive(Debug, Clone)]
// Boxed, so that the `Result`s of the crate are small.
pub struct GatewayError(pub(super) Box<ErrorBody>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ErrorBody {
    pub(super) status: StatusCode,
    pub(super) code: Cow<'static, str>,
    /// The upstream's own `type`, in place of the one that follows from the status.
    pub(super) kind: Option<String>,
    /// Further members of the upstream's error.
    pub(super) members: serde_json::Map<String, serde_json::Value>,
    pub(super) param: Option<String>,
    pub(super) message: String,
    pub(super) retry: Retry,
    pub(super) retry_after: Option<Duration>,
    /// The upstream may have executed the request in spite of the error.
    pub(super) may_have_executed: bool,
    /// Further response headers.
    pub(super) headers: HeaderMap,
}

/// The message for a bug.
pub(super) const INTERNAL_MESSAGE: &str =
    "Internal server error; the log has the details under the x-request-id of this response";

/// How clients retry a failed request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// By the status: OpenAI's clients retry 408, 409, 429 and 5xx.
    AsUsual,
    /// After the delay in `Retry-After`.
    Later,
    /// Not at all: a retry cannot succeed, and the response has `x-should-retry: false`.
    Never,
}

/// The JSON of an error: `{"error": {...}}`.
#[derive(Serialize)]
struct Envelope<'a> {
    error: Members<'a>,
}

#[derive(Serialize)]
struct Members<'a> {
    message: &'a str,
    r#type: &'a str,
    param: Option<&'a str>,
    code: &'a str,
    #[serde(flatten)]
    further: &'a serde_json::Map<String, serde_json::Value>,
}

impl GatewayError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self(Box::new(ErrorBody {
            status,
            code: Cow::Borrowed(code),
            kind: None,
            members: serde_json::Map::new(),
            param: None,
            message: message.into(),
            retry: Retry::AsUsual,
            retry_after: None,
            may_have_executed: false,
            headers: HeaderMap::new(),
        }))
    }

    /// 400: a field of the request is invalid. `param` is its path in the client's spelling: `messages[0].role`.
    pub fn invalid(param: impl Into<String>, message: impl Into<String>) -> Self {
        let mut error = Self::new(StatusCode::BAD_REQUEST, "invalid_field", message);
        error.0.param = Some(param.into());
        error
    }

    /// 400: something other than a field of the body is invalid, for example a header.
    pub fn invalid_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", message)
    }

    /// 400: the body is not JSON.
    pub fn invalid_json(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_json", message)
    }

    /// 403: a media link without a valid signature.
    pub(crate) fn link_not_signed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "link_not_signed", message)
    }

    /// 403: a request of a web page that may not call the API.
    pub(crate) fn origin_not_allowed(origin: &str) -> Self {
        let message = format!(
            "web pages of {origin} may not send this request; list the page's origin in `rest.cors_allow_origins` \
             (header Origin)"
        );
        Self::new(StatusCode::FORBIDDEN, "origin_not_allowed", message)
    }

    /// 404 outside `/v1`.
    pub fn not_found(path: &str) -> Self {
        let message = format!("path \"{path}\" does not exist; the API begins at /v1 (see /openapi.json)");
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// 404 below `/v1`.
    pub fn unsupported_endpoint(path: &str) -> Self {
        let message = format!(
            "endpoint \"{path}\" is not supported; supported below /v1: chat/completions, responses, models, \
             images/generations, images/edits, videos, webhook_endpoints (see /openapi.json)"
        );
        Self::new(StatusCode::NOT_FOUND, "unsupported_endpoint", message)
    }

    /// 404 below `/v1/responses`, and for conversations.
    pub(crate) fn unsupported_responses_endpoint(path: &str) -> Self {
        let message = format!(
            "endpoint \"{path}\" is not supported; those of the Responses API are create, get, delete, cancel and input_items below \
             /v1/responses; a conversation continues with previous_response_id"
        );
        Self::new(StatusCode::NOT_FOUND, "unsupported_endpoint", message)
    }

    /// 405: the endpoint does not support the method. The router adds the `Allow` header.
    pub fn method_not_allowed(method: &http::Method) -> Self {
        let message = format!("method {method} is not allowed here; the Allow header lists the allowed methods");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
    }

    /// 408: the body was not received in time.
    pub fn body_timeout() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", "timed out waiting for the request body")
    }

    /// 410: a media link whose expiry time has passed.
    pub(crate) fn link_expired(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, "link_expired", message)
    }

    /// 413: the request body is longer than the limit.
    pub fn too_large(limit_bytes: usize) -> Self {
        let message = format!("the request body exceeds the limit of {limit_bytes} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", message)
    }

    /// 415: the content type of the request body is not supported.
    pub fn unsupported_media_type(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message)
    }

    /// 416: the range begins at or beyond the end of a file of `size` bytes.
    pub fn range_not_satisfiable(size: u64) -> Self {
        let message = format!("header Range: the range begins beyond the last byte; the file has {size} bytes");
        let mut error = Self::new(StatusCode::RANGE_NOT_SATISFIABLE, "range_not_satisfiable", message);
        if let Ok(range) = HeaderValue::try_from(format!("bytes */{size}")) {
            error.0.headers.insert(header::CONTENT_RANGE, range);
        }
        error
    }

    /// 429: a limit of the server is reached. Clients retry after a second.
    pub(crate) fn overloaded(message: impl Into<String>) -> Self {
        let mut error = Self::new(StatusCode::TOO_MANY_REQUESTS, "overloaded", message);
        error.0.retry = Retry::Later;
        error.0.retry_after = Some(Duration::from_secs(1));
        error
    }

    /// 414 or 431: the path or the head of the request is too long.
    pub(crate) fn head_too_large(status: StatusCode, message: impl Into<String>) -> Self {
        Self::new(status, "request_head_too_large", message)
    }

    /// 500: a bug. The cause is in the log, under the request id.
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", INTERNAL_MESSAGE)
    }

    /// Forbids retries if the upstream may have executed the request already: a retry would be billed again.
    pub(crate) fn forbid_retry_if_billable(mut self) -> Self {
        if self.0.may_have_executed {
            self.0.retry = Retry::Never;
        }
        self
    }

    /// Returns the HTTP status.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// Returns the machine-readable reason, `code` in the body.
    pub fn code(&self) -> &str {
        &self.0.code
    }

    /// Returns the path of the invalid field, in the client's spelling.
    pub fn param(&self) -> Option<&str> {
        self.0.param.as_deref()
    }

    /// Returns the message for people.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the body, `{"error":{...}}`. It has no line break, so that it fits into the `data:` line of an event.
    pub fn to_json(&self) -> Vec<u8> {
        let body = &*self.0;
        let error = Members {
            message: &body.message,
            r#type: body.kind.as_deref().unwrap_or_else(|| error_type(body.status)),
            param: body.param.as_deref(),
            code: &body.code,
            further: &body.members,
        };
        // JSON values only: serialization cannot fail.
        serde_json::to_vec(&Envelope { error }).unwrap_or_default()
    }
}

/// Returns a duration in whole milliseconds.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Returns the body's `type`, which depends on the status alone.
pub(super) fn error_type(status: StatusCode) -> &'static str {
    match status.as_u16() {
        429 => "rate_limit_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    }
}

impl IntoResponse for GatewayError {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.to_json()));
        let body = *self.0;
        *response.status_mut() = body.status;
        let headers = response.headers_mut();
        *headers = body.headers;
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(delay) = body.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(millis(delay).div_ceil(1000)));
            headers.insert(RETRY_AFTER_MS, HeaderValue::from(millis(delay)));
        }
        if body.retry == Retry::Never {
            headers.insert(X_SHOULD_RETRY, HeaderValue::from_static("false"));
        }
        if body.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl std::fmt::Display for GatewayError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.0.status.as_u16(), self.0.code, self.0.message)
    }
}

impl std::error::Error for GatewayError {}
