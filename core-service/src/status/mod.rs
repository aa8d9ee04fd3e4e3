//! The mapping of errors to gRPC statuses. No other place in the core creates a status.
//!
//! A status carries the details of google.rpc: `ErrorInfo` always, `BadRequest`, `RetryInfo` and `QuotaFailure` where they apply.
//! The delay of `RetryInfo` is also sent as the trailer `grpc-retry-pushback-ms`, which the retry logic of gRPC clients follows.

use std::{collections::HashMap, time::Duration};

use tonic::{Code, Status, metadata::MetadataValue};
use tonic_types::{ErrorDetails, StatusExt};
use triptych_proto::{
    error_info::{
        DOMAIN, MAY_HAVE_EXECUTED, UPSTREAM_CODE, UPSTREAM_MEMBERS, UPSTREAM_PARAM, UPSTREAM_TYPE, reason_name,
    },
    v1::ErrorReason,
};

use crate::{
    error::{Error, ProviderError, UpstreamDetails},
    metrics,
};

/// The longest encoded message and details of a status, in bytes. grpc-java accepts 8 KiB of headers by default, and
/// replaces a status that is longer by one of its own.
const MAX_ENCODED: usize = 6 << 10;

/// The lengths in bytes to which texts are cut, one after the other, until a status is short enough.
const LIMITS: [usize; 5] = [1500, 750, 400, 200, 100];

/// The trailer with the delay before a retry in milliseconds; a negative value forbids retries (gRFC A6, "Pushback").
const RETRY_PUSHBACK: &str = "grpc-retry-pushback-ms";

/// The delay for a rate limit whose provider requests none.
const DEFAULT_RATE_LIMIT_DELAY: Duration = Duration::from_secs(1);

/// The delay before a retry after a limit of the server was reached.
const LIMIT_DELAY: Duration = Duration::from_secs(1);

/// The delay while too many videos or responses are queued.
const QUEUE_FULL_DELAY: Duration = Duration::from_secs(10);

/// The delay while the server shuts down, after which a retry reaches another instance or a restarted one.
const SHUTDOWN_DELAY: Duration = Duration::from_secs(1);

/// Returns the gRPC code of a reason. The gateway has the other half of the table: the HTTP status.
pub fn code(reason: ErrorReason) -> Code {
    match reason {
        ErrorReason::InvalidField | ErrorReason::UpstreamRefused | ErrorReason::ContentPolicyViolation => {
            Code::InvalidArgument
        }
        ErrorReason::VideoNotReady | ErrorReason::ModelNotPriced => Code::FailedPrecondition,
        ErrorReason::InvalidApiKey => Code::Unauthenticated,
        ErrorReason::ModelNotAllowed | ErrorReason::PermissionDenied => Code::PermissionDenied,
        ErrorReason::ModelNotFound
        | ErrorReason::VideoNotFound
        | ErrorReason::MediaNotFound
        | ErrorReason::WebhookEndpointNotFound
        | ErrorReason::WebhookDeliveryNotFound
        | ErrorReason::KeyNotFound
        | ErrorReason::HoldNotFound
        | ErrorReason::ResponseNotFound
        | ErrorReason::PreviousResponseNotFound => Code::NotFound,
        ErrorReason::RangeNotSatisfiable => Code::OutOfRange,
        ErrorReason::IdempotencyConflict | ErrorReason::KeyExists => Code::AlreadyExists,
        ErrorReason::Overloaded
        | ErrorReason::RateLimitExceeded
        | ErrorReason::BudgetExceeded
        | ErrorReason::StorageNotWritable => Code::ResourceExhausted,
        ErrorReason::NotSupported => Code::Unimplemented,
        ErrorReason::UpstreamUnavailable | ErrorReason::StorageUnavailable | ErrorReason::ShuttingDown => {
            Code::Unavailable
        }
        ErrorReason::UpstreamTimeout | ErrorReason::RequestTimeout => Code::DeadlineExceeded,
        ErrorReason::ProviderCredentials
        | ErrorReason::UpstreamUnreadable
        | ErrorReason::Internal
        | ErrorReason::Unspecified => Code::Internal,
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        status(&error, None)
    }
}

impl Error {
    /// Converts the error to a status. The message of an internal error contains the request id.
    pub(crate) fn into_status(self, request_id: &str) -> Status {
        status(&self, Some(request_id))
    }
}

/// Converts an error to a status and logs it. `request_id` appears in the message of an internal error.
fn status(error: &Error, request_id: Option<&str>) -> Status {
    let reason = error.reason();
    let name = reason_name(reason);
    metrics::error(reason);
    if let Error::LimitExceeded(exceeded) = error {
        metrics::limit_refused(exceeded.limit);
    }
    if let Error::BudgetExceeded(exceeded) = error {
        metrics::limit_refused(exceeded.period.setting());
    }
    log(name, error);
    let may_have_executed = matches!(error, Error::Provider(error) if error.may_have_executed());
    let delay = retry_delay(error);
    let message = client_message(error, request_id);
    let with_limit = |limit: Option<usize>| {
        let cut = |text: &str| cut(text, limit);
        let mut details = ErrorDetails::with_error_info(name, DOMAIN, metadata(error, may_have_executed, limit));
        if let Some((field, message)) = field_violation(error) {
            details.add_bad_request_violation(cut(field), cut(&message));
        }
        if delay.is_some() {
            details.set_retry_info(delay);
        }
        if let Error::BudgetExceeded(exceeded) = error {
            details.add_quota_failure_violation(exceeded.subject.clone(), cut(&exceeded.to_string()));
        }
        if let Error::LimitExceeded(exceeded) = error {
            details.add_quota_failure_violation(exceeded.subject.clone(), cut(&exceeded.to_string()));
        }
        Status::with_error_details(code(reason), cut(&message), details)
    };
    let mut status = with_limit(None);
    for limit in LIMITS {
        if encoded_length(&status) <= MAX_ENCODED {
            break;
        }
        status = with_limit(Some(limit));
    }
    let delay = delay.map(|delay| i64::try_from(delay.as_millis()).unwrap_or(i64::MAX));
    if let Some(pushback) = if may_have_executed { Some(-1) } else { delay } {
        status.metadata_mut().insert(RETRY_PUSHBACK, MetadataValue::from(pushback));
    }
    status
}

/// Returns the metadata of the `ErrorInfo`. With a limit, each text is cut to it, and the further members are left out.
fn metadata(error: &Error, may_have_executed: bool, limit: Option<usize>) -> HashMap<String, String> {
    let mut metadata = HashMap::new();
    if may_have_executed {
        metadata.insert(MAY_HAVE_EXECUTED.to_owned(), "true".to_owned());
    }
    if let Error::Provider(error) = error
        && let Some(UpstreamDetails { code, kind, param, members_json, status: _ }) = error.details()
    {
        let members = if limit.is_none() { members_json } else { "" };
        for (key, text) in [
            (UPSTREAM_CODE, code.as_str()),
            (UPSTREAM_TYPE, kind),
            (UPSTREAM_PARAM, param),
            (UPSTREAM_MEMBERS, members),
        ] {
            if !text.is_empty() {
                metadata.insert(key.to_owned(), cut(text, limit));
            }
        }
    }
    metadata
}

/// Cuts a text to `limit` bytes.
fn cut(text: &str, limit: Option<usize>) -> String {
    match limit {
        Some(limit) if text.len() > limit => format!("{}…", &text[..text.floor_char_boundary(limit)]),
        Some(_) | None => text.to_owned(),
    }
}

/// Returns the length of the trailers that the message and the details of a status become.
fn encoded_length(status: &Status) -> usize {
    // RFC 3986 escapes in `grpc-message`, base64 in `grpc-status-details-bin`.
    let escaped = |byte: u8| if (b' '..=b'~').contains(&byte) && !b" \"#%<>`?{}".contains(&byte) { 1 } else { 3 };
    status.message().bytes().map(escaped).sum::<usize>() + status.details().len().div_ceil(3) * 4
}

/// Returns the invalid field and the message about it.
fn field_violation(error: &Error) -> Option<(&str, String)> {
    match error {
        Error::Provider(ProviderError::Reported { error, .. }) => {
            let ProviderError::Refused { field: Some(field), message } = error.failure() else { return None };
            Some((field, message.clone()))
        }
        Error::InvalidField { field, message }
        | Error::Provider(ProviderError::Refused { field: Some(field), message }) => Some((field, message.clone())),
        Error::ModelNotFound { .. } | Error::ModelNotAllowed { .. } | Error::Unpriced { .. } => {
            Some(("model", error.to_string()))
        }
        Error::PreviousResponseNotFound { .. } => Some(("previous_response_id", error.to_string())),
        Error::InvalidApiKey { .. }
        | Error::LimitExceeded(_)
        | Error::BudgetExceeded(_)
        | Error::VideoNotFound(_)
        | Error::MediaNotFound(_)
        | Error::WebhookEndpointNotFound(_)
        | Error::WebhookDeliveryNotFound(_)
        | Error::KeyNotFound(_)
        | Error::KeyExists { .. }
        | Error::HoldNotFound(_)
        | Error::ResponseNotFound(_)
        | Error::VideoNotReady { .. }
        | Error::RangeNotSatisfiable { .. }
        | Error::IdempotencyConflict(_)
        | Error::Overloaded { .. }
        | Error::LimitReached(_)
        | Error::RequestTimeout
        | Error::QueueFull { .. }
        | Error::PermissionDenied(_)
        | Error::VideoUnreadable { .. }
        | Error::ShuttingDown
        | Error::Storage(_)
        | Error::StorageNotWritable(_)
        | Error::Provider(_)
        | Error::Internal(_) => None,
    }
}

/// Returns the delay before a retry; `None` where the client chooses its own.
fn retry_delay(error: &Error) -> Option<Duration> {
    match error {
        Error::Overloaded { retry_after } => Some(*retry_after),
        Error::LimitExceeded(exceeded) => Some(exceeded.retry_after),
        Error::LimitReached(_) => Some(LIMIT_DELAY),
        Error::QueueFull { .. } => Some(QUEUE_FULL_DELAY),
        Error::ShuttingDown => Some(SHUTDOWN_DELAY),
        Error::Provider(error) => {
            let default =
                matches!(error.failure(), ProviderError::RateLimited { .. }).then_some(DEFAULT_RATE_LIMIT_DELAY);
            error.retry_after().or(default)
        }
        Error::InvalidField { .. }
        | Error::InvalidApiKey { .. }
        | Error::ModelNotFound { .. }
        | Error::ModelNotAllowed { .. }
        | Error::BudgetExceeded(_)
        | Error::Unpriced { .. }
        | Error::VideoNotFound(_)
        | Error::MediaNotFound(_)
        | Error::WebhookEndpointNotFound(_)
        | Error::WebhookDeliveryNotFound(_)
        | Error::KeyNotFound(_)
        | Error::KeyExists { .. }
        | Error::HoldNotFound(_)
        | Error::ResponseNotFound(_)
        | Error::PreviousResponseNotFound { .. }
        | Error::VideoNotReady { .. }
        | Error::RangeNotSatisfiable { .. }
        | Error::IdempotencyConflict(_)
        | Error::RequestTimeout
        | Error::PermissionDenied(_)
        | Error::VideoUnreadable { .. }
        | Error::Storage(_)
        | Error::StorageNotWritable(_)
        | Error::Internal(_) => None,
    }
}

/// Logs failures of the core. Errors of the client are not logged here.
fn log(reason: &str, error: &Error) {
    match error {
        Error::Storage(message) | Error::StorageNotWritable(message) | Error::Internal(message) => {
            tracing::error!(reason, "{message}");
        }
        Error::VideoUnreadable { id, .. } => tracing::error!(reason, job.id = id, "{error}"),
        // Each attempt at an upstream is logged by its admission, with the address.
        Error::Provider(error) => tracing::debug!(reason, %error, "provider call failed"),
        Error::InvalidField { .. }
        | Error::InvalidApiKey { .. }
        | Error::ModelNotFound { .. }
        | Error::ModelNotAllowed { .. }
        | Error::LimitExceeded(_)
        | Error::BudgetExceeded(_)
        | Error::Unpriced { .. }
        | Error::VideoNotFound(_)
        | Error::MediaNotFound(_)
        | Error::WebhookEndpointNotFound(_)
        | Error::WebhookDeliveryNotFound(_)
        | Error::KeyNotFound(_)
        | Error::KeyExists { .. }
        | Error::HoldNotFound(_)
        | Error::ResponseNotFound(_)
        | Error::PreviousResponseNotFound { .. }
        | Error::VideoNotReady { .. }
        | Error::RangeNotSatisfiable { .. }
        | Error::IdempotencyConflict(_)
        | Error::Overloaded { .. }
        | Error::LimitReached(_)
        | Error::RequestTimeout
        | Error::QueueFull { .. }
        | Error::PermissionDenied(_)
        | Error::ShuttingDown => {}
    }
}

/// Returns the message for the client. The texts of storage and internal errors are only logged.
fn client_message(error: &Error, request_id: Option<&str>) -> String {
    match error {
        Error::StorageNotWritable(_) => {
            "the server cannot store anything: its disk is full or read-only, or it may not write to its directory; its operator has \
             to correct this"
                .to_owned()
        }
        Error::Storage(_) => "storage is temporarily unavailable; retry later".to_owned(),
        Error::Internal(_) => {
            let suffix = request_id.map(|id| format!(" (request id {id})"));
            format!("Internal server error{}", suffix.unwrap_or_default())
        }
        Error::VideoUnreadable { id, .. } => {
            format!("the stored video `{id}` cannot be read and can only be deleted; the log has the details")
        }
        Error::InvalidField { .. }
        | Error::InvalidApiKey { .. }
        | Error::ModelNotFound { .. }
        | Error::ModelNotAllowed { .. }
        | Error::LimitExceeded(_)
        | Error::BudgetExceeded(_)
        | Error::Unpriced { .. }
        | Error::VideoNotFound(_)
        | Error::MediaNotFound(_)
        | Error::WebhookEndpointNotFound(_)
        | Error::WebhookDeliveryNotFound(_)
        | Error::KeyNotFound(_)
        | Error::KeyExists { .. }
        | Error::HoldNotFound(_)
        | Error::ResponseNotFound(_)
        | Error::PreviousResponseNotFound { .. }
        | Error::VideoNotReady { .. }
        | Error::RangeNotSatisfiable { .. }
        | Error::IdempotencyConflict(_)
        | Error::Overloaded { .. }
        | Error::LimitReached(_)
        | Error::RequestTimeout
        | Error::QueueFull { .. }
        | Error::PermissionDenied(_)
        | Error::ShuttingDown
        | Error::Provider(_) => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
