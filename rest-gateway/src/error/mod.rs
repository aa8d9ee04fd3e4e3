//! Everything that can go wrong, as OpenAI clients expect to hear it: one body, one set of headers.

mod param;
mod status;

use std::{borrow::Cow, time::Duration};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;

pub use status::{Retry, Row, table};

use crate::links::Refused;

/// Tells the official clients when to come back, in milliseconds; beats `Retry-After`.
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
/// Tells the official clients whether to try again, whatever the status says.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// A failed request: the status, the four members of the body, and what the client may do about it.
#[derive(Debug, Clone)]
pub struct GatewayError(Box<Told>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    status: StatusCode,
    code: Cow<'static, str>,
    param: Option<String>,
    message: String,
    retry: Retry,
    retry_after: Option<Duration>,
    /// The upstream may have done what was asked all the same.
    maybe_taken: bool,
    content_range: Option<HeaderValue>,
    /// What the core tried before it gave up.
    attempts: Option<HeaderValue>,
}

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
}

impl GatewayError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self(Box::new(Told {
            status,
            code: Cow::Borrowed(code),
            param: None,
            message: message.into(),
            retry: Retry::AsUsual,
            retry_after: None,
            maybe_taken: false,
            content_range: None,
            attempts: None,
        }))
    }

    /// 400: a member of the request is wrong. `param` as the client spells it: `messages[0].role`.
    pub fn invalid(param: impl Into<String>, message: impl Into<String>) -> Self {
        let mut error = Self::new(StatusCode::BAD_REQUEST, "invalid_field", message);
        error.0.param = Some(param.into());
        error
    }

    /// 400: something outside the body's members is wrong, a header for instance.
    pub fn invalid_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", message)
    }

    /// 400: the body is not what its encoding promises.
    pub fn invalid_json(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_json", message)
    }

    /// 413.
    pub fn too_large(limit_bytes: usize) -> Self {
        let message = format!("the request body is longer than the {limit_bytes} bytes taken here");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", message)
    }

    /// 408: the body stopped coming.
    pub fn timed_out() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", "the request body did not arrive in time")
    }

    /// 415.
    pub fn unsupported_media_type(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message)
    }

    /// 405; the `Allow` header is the router's.
    pub fn method_not_allowed(method: &http::Method) -> Self {
        let message = format!("this address does not take {method}; the Allow header names what it takes");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
    }

    /// 404 below `/v1`: an endpoint of OpenAI's, or of nobody's, that is not served.
    pub fn unsupported_endpoint(path: &str) -> Self {
        let message = format!(
            "`{path}` is not served here; under /v1 there are chat/completions, models, images/generations, \
             images/edits and videos (see /openapi.json)"
        );
        Self::new(StatusCode::NOT_FOUND, "unsupported_endpoint", message)
    }

    /// 404 outside `/v1`.
    pub fn not_found(path: &str) -> Self {
        let message = format!("there is nothing at `{path}`; the API begins at /v1 (see /openapi.json)");
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// 403 or 410: a link to a medium that is followed no longer, or never was.
    pub(crate) fn link_refused(refused: Refused) -> Self {
        let message = format!(
            "the link {}; links are signed here, work for a while, and must be followed as they were given",
            refused.words()
        );
        match refused {
            Refused::Unsigned | Refused::Forged => Self::new(StatusCode::FORBIDDEN, "link_not_signed", message),
            Refused::Expired => Self::new(StatusCode::GONE, "link_expired", message),
        }
    }

    /// 416: the range begins at or beyond the end of `size` bytes.
    pub fn range_not_satisfiable(size: u64) -> Self {
        let message = format!("the range begins at or beyond the end; there are {size} bytes");
        let mut error = Self::new(StatusCode::RANGE_NOT_SATISFIABLE, "range_not_satisfiable", message);
        error.0.content_range = HeaderValue::try_from(format!("bytes */{size}")).ok();
        error
    }

    /// 500: a defect of ours; the log has the story under the request's id.
    pub fn internal() -> Self {
        let message = "this is a defect of the service; its log has the details under this request's id";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }

    /// The same, but no client is to ask again by itself for what may have been done, and paid, already.
    pub(crate) fn never_paid_twice(mut self) -> Self {
        if self.0.maybe_taken {
            self.0.retry = Retry::Never;
        }
        self
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The machine-readable reason: `code` in the body.
    pub fn code(&self) -> &str {
        &self.0.code
    }

    /// The member at fault, as the client spells it.
    pub fn param(&self) -> Option<&str> {
        self.0.param.as_deref()
    }

    /// The sentence for people.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The body: `{"error":{...}}` without a line break, fit for an answer and for the `data:` line of an event alike.
    pub fn to_json(&self) -> Vec<u8> {
        let told = &*self.0;
        let error = Members {
            message: &told.message,
            r#type: kind(told.status),
            param: told.param.as_deref(),
            code: &told.code,
        };
        // Texts and numbers only: there is nothing in it that serde_json could refuse.
        serde_json::to_vec(&Envelope { error }).unwrap_or_default()
    }
}

/// A duration in whole milliseconds, for headers and logs.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The body's `type`, which follows from the status alone.
fn kind(status: StatusCode) -> &'static str {
    match status.as_u16() {
        429 => "rate_limit_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    }
}

impl IntoResponse for GatewayError {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.to_json()));
        let told = *self.0;
        *response.status_mut() = told.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(wait) = told.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(millis(wait).div_ceil(1000)));
            headers.insert(RETRY_AFTER_MS, HeaderValue::from(millis(wait)));
        }
        if told.retry == Retry::Never {
            headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
        }
        if let Some(range) = told.content_range {
            headers.insert(header::CONTENT_RANGE, range);
        }
        if let Some(attempts) = told.attempts {
            headers.insert(crate::context::ATTEMPTS, attempts);
        }
        if told.status == StatusCode::UNAUTHORIZED {
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
