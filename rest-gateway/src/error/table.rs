//! Converts errors of the core, each a gRPC `Status` with an [`ErrorReason`], to HTTP responses. A table has the HTTP status of every
//! reason, and whether clients retry.

use std::{borrow::Cow, error::Error as _, time::Duration};

use http::StatusCode;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use triptych_proto::{
    error_info::{
        DOMAIN, MAY_HAVE_EXECUTED, UPSTREAM_CODE, UPSTREAM_MEMBERS, UPSTREAM_PARAM, UPSTREAM_TYPE, reason_code,
        reason_of_name,
    },
    v1::ErrorReason,
};

use super::{
    gateway_error::{ErrorBody, GatewayError, INTERNAL_MESSAGE, Retry, error_type},
    param,
};
use crate::metadata;

/// Bounds of `Retry-After`. OpenAI's Node client (7.59) ignores delays beyond one minute, and its Python client (3.57) does not retry after
/// one beyond two minutes; within less than a second an overload does not clear.
const RETRY_AFTER: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_mins(1);

/// One row of the error table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Why the call failed.
    pub reason: ErrorReason,
    /// The HTTP status.
    pub http: StatusCode,
    /// How clients retry.
    pub retry: Retry,
}

impl Row {
    /// Returns the body's `type`.
    pub fn kind(&self) -> &'static str {
        error_type(self.http)
    }

    /// Returns the body's `code`.
    pub fn code(&self) -> String {
        reason_code(self.reason)
    }
}

/// Returns all rows, in the order of [`ErrorReason`].
pub fn table() -> impl Iterator<Item = Row> {
    (1..).map_while(|number| ErrorReason::try_from(number).ok()).map(row)
}

fn row(reason: ErrorReason) -> Row {
    let (http, retry) = match reason {
        ErrorReason::InvalidField
        | ErrorReason::UpstreamRefused
        | ErrorReason::ContentPolicyViolation
        | ErrorReason::VideoNotReady
        | ErrorReason::ModelNotPriced
        // 400 and not 404, as in OpenAI's API.
        | ErrorReason::PreviousResponseNotFound => (StatusCode::BAD_REQUEST, Retry::AsUsual),
        ErrorReason::InvalidApiKey => (StatusCode::UNAUTHORIZED, Retry::AsUsual),
        ErrorReason::ModelNotAllowed | ErrorReason::PermissionDenied => (StatusCode::FORBIDDEN, Retry::AsUsual),
        ErrorReason::ModelNotFound
        | ErrorReason::VideoNotFound
        | ErrorReason::MediaNotFound
        | ErrorReason::WebhookEndpointNotFound
        | ErrorReason::WebhookDeliveryNotFound
        | ErrorReason::KeyNotFound
        | ErrorReason::HoldNotFound
        | ErrorReason::ResponseNotFound => (StatusCode::NOT_FOUND, Retry::AsUsual),
        // OpenAI's clients retry every 409, and a retry of this one fails again.
        ErrorReason::IdempotencyConflict | ErrorReason::KeyExists => (StatusCode::CONFLICT, Retry::Never),
        ErrorReason::RangeNotSatisfiable => (StatusCode::RANGE_NOT_SATISFIABLE, Retry::AsUsual),
        ErrorReason::Overloaded | ErrorReason::RateLimitExceeded => (StatusCode::TOO_MANY_REQUESTS, Retry::Later),
        // OpenAI's clients retry every 429, and a retry of this one fails again.
        ErrorReason::BudgetExceeded => (StatusCode::TOO_MANY_REQUESTS, Retry::Never),
        ErrorReason::StorageNotWritable => (StatusCode::INSUFFICIENT_STORAGE, Retry::AsUsual),
        ErrorReason::ProviderCredentials => (StatusCode::INTERNAL_SERVER_ERROR, Retry::Never),
        ErrorReason::UpstreamUnreadable | ErrorReason::Internal | ErrorReason::Unspecified => {
            (StatusCode::INTERNAL_SERVER_ERROR, Retry::AsUsual)
        }
        ErrorReason::NotSupported => (StatusCode::NOT_IMPLEMENTED, Retry::Never),
        // Not 503: version 0.28 of OpenAI's Python SDK has an exception class for 503 that its users do not retry.
        ErrorReason::UpstreamUnavailable => (StatusCode::BAD_GATEWAY, Retry::AsUsual),
        ErrorReason::StorageUnavailable | ErrorReason::ShuttingDown => (StatusCode::SERVICE_UNAVAILABLE, Retry::Later),
        ErrorReason::UpstreamTimeout => (StatusCode::GATEWAY_TIMEOUT, Retry::AsUsual),
        ErrorReason::RequestTimeout => (StatusCode::REQUEST_TIMEOUT, Retry::AsUsual),
    };
    Row { reason, http, retry }
}

/// Returns the closest reason for a status without an [`ErrorReason`]: one made by the transport between gateway and core,
/// or by a newer core.
fn closest_reason(status: &Status) -> ErrorReason {
    match status.code() {
        Code::InvalidArgument => ErrorReason::InvalidField,
        Code::FailedPrecondition => ErrorReason::VideoNotReady,
        Code::OutOfRange => ErrorReason::RangeNotSatisfiable,
        Code::Unauthenticated => ErrorReason::InvalidApiKey,
        Code::PermissionDenied => ErrorReason::PermissionDenied,
        Code::NotFound => ErrorReason::MediaNotFound,
        Code::AlreadyExists => ErrorReason::IdempotencyConflict,
        Code::ResourceExhausted => ErrorReason::Overloaded,
        Code::Unimplemented => ErrorReason::NotSupported,
        // The connection broke, or the core refused the call with GOAWAY: only a status that the transport makes has a source.
        Code::Internal | Code::Unknown if status.source().is_some() => ErrorReason::UpstreamUnavailable,
        // tonic reports a deadline that passed on the client's side as Cancelled.
        Code::DeadlineExceeded | Code::Cancelled => ErrorReason::UpstreamTimeout,
        Code::Unavailable => ErrorReason::UpstreamUnavailable,
        Code::Ok | Code::Unknown | Code::Aborted | Code::Internal | Code::DataLoss => ErrorReason::Internal,
    }
}

/// Returns the message of a server error without an [`ErrorReason`]; only the log has that of its status.
fn reasonless_message(http: StatusCode) -> &'static str {
    match http {
        StatusCode::INTERNAL_SERVER_ERROR => INTERNAL_MESSAGE,
        StatusCode::NOT_IMPLEMENTED => "the core does not support this call; it may be older than the gateway",
        _ => "the service is temporarily unavailable; its log has the details under the x-request-id of this response",
    }
}

/// Returns the last error of the chain that led to a status, such as that of the TLS connection.
fn root_cause(status: &Status) -> Option<String> {
    let first = std::error::Error::source(status)?;
    Some(std::iter::successors(Some(first), |&error| error.source()).last()?.to_string())
}

impl From<Status> for GatewayError {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info().filter(|info| info.domain == DOMAIN);
        let known = info.and_then(|info| reason_of_name(&info.reason));
        let row = row(known.unwrap_or_else(|| closest_reason(&status)));
        let violation = details.bad_request().and_then(|request| request.field_violations.first());
        let param = violation.and_then(|violation| param::to_json_path(&violation.field));
        let message = if info.is_none() && row.http.is_server_error() {
            // Without a reason the message is the transport's, which may name internal addresses.
            tracing::error!(
                code = ?status.code(),
                message = status.message(),
                cause = root_cause(&status),
                "call to the core failed"
            );
            reasonless_message(row.http).to_owned()
        } else {
            // The core's message begins with the path of the protobuf field.
            let field = violation.map_or("", |violation| violation.field.as_str());
            let rest = status.message().strip_prefix(field).and_then(|rest| rest.strip_prefix(": "));
            match (rest, &param) {
                (Some(rest), Some(param)) => format!("{param}: {rest}"),
                // A protobuf field that has no JSON path means nothing to the client.
                (Some(rest), None) => rest.to_owned(),
                (None, _) => status.message().to_owned(),
            }
        };
        let requested = details.retry_info().and_then(|info| info.retry_delay);
        // A core that cannot be reached is being restarted, most of the time.
        let is_unreachable = info.is_none() && row.reason == ErrorReason::UpstreamUnavailable;
        let is_later = row.retry == Retry::Later || is_unreachable;
        let retry_after = requested.or(is_later.then_some(*RETRY_AFTER.start()));
        let upstream = |key: &str| info.and_then(|info| info.metadata.get(key)).filter(|text| !text.is_empty());
        // Clients react to the upstream's own words, for example `context_length_exceeded`. A number only repeats the status.
        let upstream_code = upstream(UPSTREAM_CODE).filter(|code| code.parse::<f64>().is_err());
        let members = upstream(UPSTREAM_MEMBERS).and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
        Self(Box::new(ErrorBody {
            status: row.http,
            code: match (upstream_code, info) {
                (Some(code), _) => Cow::from(code.clone()),
                // A reason of a newer core, which this gateway does not know, still reaches the client.
                (None, Some(info)) => Cow::from(info.reason.to_ascii_lowercase()),
                (None, None) => Cow::from(row.code()),
            },
            kind: upstream(UPSTREAM_TYPE).cloned(),
            members,
            param: param.or_else(|| upstream(UPSTREAM_PARAM).cloned()),
            message,
            retry: row.retry,
            retry_after: retry_after.map(|delay| delay.clamp(*RETRY_AFTER.start(), *RETRY_AFTER.end())),
            may_have_executed: info.is_some_and(|info| info.metadata.contains_key(MAY_HAVE_EXECUTED)),
            headers: metadata::response_headers(status.metadata().clone()),
        }))
    }
}
