//! The right half of the error table: a `Status` of the contract to an HTTP answer.

use std::{borrow::Cow, time::Duration};

use http::StatusCode;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use triptych_proto::v1::ErrorReason;

use super::{GatewayError, Told, kind, param};

/// The domain of the reasons that [`ErrorReason`] names.
const DOMAIN: &str = "triptych";
/// What the contract's `ErrorInfo` says of work that may have been done all the same.
const MAY_HAVE_EXECUTED: &str = "may_have_executed";
/// Node's client ignores waits beyond a minute, Python's gives up at them; below a second nothing has changed yet.
const WAIT: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_mins(1);

/// What a client may do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// What the status alone says: the official clients try 408, 409, 429 and 5xx again.
    AsUsual,
    /// Again, after `Retry-After`.
    Later,
    /// Never: trying again cannot help, and the answer says so in `x-should-retry: false`.
    Never,
}

/// One row of the error table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Why the call failed.
    pub reason: ErrorReason,
    /// The HTTP status.
    pub http: StatusCode,
    /// What the client may do.
    pub retry: Retry,
}

impl Row {
    /// The body's `type`.
    pub fn kind(&self) -> &'static str {
        kind(self.http)
    }

    /// The body's `code`.
    pub fn code(&self) -> String {
        self.reason.as_str_name().trim_start_matches("ERROR_REASON_").to_ascii_lowercase()
    }
}

/// All rows, in the contract's order.
pub fn table() -> impl Iterator<Item = Row> {
    (1..).map_while(|number| ErrorReason::try_from(number).ok()).map(row)
}

/// The row of a reason.
fn row(reason: ErrorReason) -> Row {
    let (http, retry) = match reason {
        ErrorReason::InvalidField
        | ErrorReason::UpstreamRefused
        | ErrorReason::ContentPolicyViolation
        | ErrorReason::VideoNotReady => (StatusCode::BAD_REQUEST, Retry::AsUsual),
        ErrorReason::InvalidApiKey => (StatusCode::UNAUTHORIZED, Retry::AsUsual),
        ErrorReason::ModelNotAllowed => (StatusCode::FORBIDDEN, Retry::AsUsual),
        ErrorReason::ModelNotFound | ErrorReason::VideoNotFound | ErrorReason::MediaNotFound => {
            (StatusCode::NOT_FOUND, Retry::AsUsual)
        }
        // The clients retry every 409, and this one stays.
        ErrorReason::IdempotencyConflict => (StatusCode::CONFLICT, Retry::Never),
        ErrorReason::RangeNotSatisfiable => (StatusCode::RANGE_NOT_SATISFIABLE, Retry::AsUsual),
        ErrorReason::Overloaded | ErrorReason::RateLimitExceeded => (StatusCode::TOO_MANY_REQUESTS, Retry::Later),
        ErrorReason::ProviderCredentials => (StatusCode::INTERNAL_SERVER_ERROR, Retry::Never),
        ErrorReason::UpstreamUnreadable | ErrorReason::Internal | ErrorReason::Unspecified => {
            (StatusCode::INTERNAL_SERVER_ERROR, Retry::AsUsual)
        }
        ErrorReason::NotSupported => (StatusCode::NOT_IMPLEMENTED, Retry::Never),
        // Not 503: the old client's class for it is none that callers retry.
        ErrorReason::UpstreamUnavailable => (StatusCode::BAD_GATEWAY, Retry::AsUsual),
        ErrorReason::StorageUnavailable | ErrorReason::ShuttingDown => (StatusCode::SERVICE_UNAVAILABLE, Retry::Later),
        ErrorReason::UpstreamTimeout => (StatusCode::GATEWAY_TIMEOUT, Retry::AsUsual),
    };
    Row { reason, http, retry }
}

/// The nearest reason for a status that carries none of ours: the network between the halves made it, or a newer core.
fn nearest(code: Code) -> ErrorReason {
    match code {
        Code::InvalidArgument => ErrorReason::InvalidField,
        Code::FailedPrecondition => ErrorReason::VideoNotReady,
        Code::OutOfRange => ErrorReason::RangeNotSatisfiable,
        Code::Unauthenticated => ErrorReason::InvalidApiKey,
        Code::PermissionDenied => ErrorReason::ModelNotAllowed,
        Code::NotFound => ErrorReason::MediaNotFound,
        Code::AlreadyExists => ErrorReason::IdempotencyConflict,
        Code::ResourceExhausted => ErrorReason::Overloaded,
        Code::Unimplemented => ErrorReason::NotSupported,
        // The transport's word for a deadline that passed on the caller's side is Cancelled.
        Code::DeadlineExceeded | Code::Cancelled => ErrorReason::UpstreamTimeout,
        Code::Unavailable => ErrorReason::UpstreamUnavailable,
        Code::Ok | Code::Unknown | Code::Aborted | Code::Internal | Code::DataLoss => ErrorReason::Internal,
    }
}

impl From<Status> for GatewayError {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info().filter(|info| info.domain == DOMAIN);
        let known = info.and_then(|info| ErrorReason::from_str_name(&format!("ERROR_REASON_{}", info.reason)));
        let row = row(known.unwrap_or_else(|| nearest(status.code())));
        let violation = details.bad_request().and_then(|request| request.field_violations.first());
        let param = violation.and_then(|violation| param::spelled(&violation.field));
        let message = if info.is_none() && row.http.is_server_error() {
            // Without our reason it is the transport talking, in words that are none of the caller's business.
            tracing::error!(code = ?status.code(), message = status.message(), "the core could not be asked");
            "the service could not answer just now; its log has the details under this request's id".to_owned()
        } else {
            // The core opens with the field in its own spelling; the client knows it by another.
            let field = violation.map_or("", |violation| violation.field.as_str());
            let rest = status.message().strip_prefix(field).and_then(|rest| rest.strip_prefix(": "));
            match (rest, &param) {
                (Some(rest), Some(param)) => format!("{param}: {rest}"),
                (Some(_) | None, _) => status.message().to_owned(),
            }
        };
        let asked = details.retry_info().and_then(|info| info.retry_delay);
        let retry_after = asked.or((row.retry == Retry::Later).then_some(*WAIT.start()));
        Self(Box::new(Told {
            status: row.http,
            // A reason newer than this gateway is still told to the client.
            code: info.map_or_else(|| Cow::from(row.code()), |info| Cow::from(info.reason.to_ascii_lowercase())),
            param,
            message,
            retry: row.retry,
            retry_after: retry_after.map(|wait| wait.clamp(*WAIT.start(), *WAIT.end())),
            maybe_taken: info.is_some_and(|info| info.metadata.contains_key(MAY_HAVE_EXECUTED)),
            content_range: None,
            attempts: status.metadata().as_ref().get(crate::context::ATTEMPTS).cloned(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use axum::response::IntoResponse;
    use http_body_util::BodyExt;
    use tonic_types::ErrorDetails;

    use super::*;

    fn status(reason: &str, details: impl FnOnce(&mut ErrorDetails)) -> Status {
        let mut all = ErrorDetails::with_error_info(reason, DOMAIN, []);
        details(&mut all);
        Status::with_error_details(Code::Internal, "duration_seconds: a sentence", all)
    }

    async fn told(status: Status) -> (u16, Vec<(String, String)>, String) {
        let response = GatewayError::from(status).into_response();
        let (parts, body) = response.into_parts();
        let headers =
            parts.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
        let body = body.collect().await.unwrap().to_bytes();
        (parts.status.as_u16(), headers, String::from_utf8(body.to_vec()).unwrap())
    }

    #[test]
    fn every_reason_of_the_contract_has_its_row() {
        let rows: Vec<_> = table().collect();
        assert_eq!(rows.len(), 21);
        assert_eq!(rows.iter().map(Row::code).collect::<HashSet<_>>().len(), 21);
        for row in rows {
            assert!(row.http.is_client_error() || row.http.is_server_error(), "{row:?}");
            assert_eq!(row.retry == Retry::Later, matches!(row.http.as_u16(), 429 | 503), "{row:?}");
        }
    }

    #[tokio::test]
    async fn a_wrong_field_is_named_as_the_client_spells_it() {
        let wrong = status("INVALID_FIELD", |all| {
            all.add_bad_request_violation("duration_seconds", "must be 1 to 60");
        });
        let body = r#"{"error":{"message":"seconds: a sentence","type":"invalid_request_error","param":"seconds","code":"invalid_field"}}"#;
        let json = ("content-type".to_owned(), "application/json".to_owned());
        assert_eq!(told(wrong).await, (400, vec![json], body.to_owned()));
    }

    #[tokio::test]
    async fn a_wait_is_told_in_both_headers_and_kept_within_a_minute() {
        for (asked, seconds, millis) in [(1_200, "2", "1200"), (50, "1", "1000"), (600_000, "60", "60000")] {
            let full = status("OVERLOADED", |all| {
                all.set_retry_info(Some(Duration::from_millis(asked)));
            });
            let (http, headers, body) = told(full).await;
            assert_eq!(http, 429);
            assert!(headers.contains(&("retry-after".to_owned(), seconds.to_owned())), "{headers:?}");
            assert!(headers.contains(&("retry-after-ms".to_owned(), millis.to_owned())), "{headers:?}");
            assert!(body.contains(r#""type":"rate_limit_error","param":null,"code":"overloaded""#), "{body}");
        }
    }

    #[tokio::test]
    async fn what_cannot_heal_is_not_to_be_retried() {
        for (reason, http) in [("PROVIDER_CREDENTIALS", 500), ("NOT_SUPPORTED", 501), ("IDEMPOTENCY_CONFLICT", 409)] {
            let (status, headers, _) = told(status(reason, |_| ())).await;
            assert_eq!(status, http);
            assert!(headers.contains(&("x-should-retry".to_owned(), "false".to_owned())), "{reason}: {headers:?}");
        }
    }

    #[tokio::test]
    async fn a_reason_newer_than_this_gateway_keeps_its_name() {
        let mut details = ErrorDetails::new();
        details.set_error_info("QUOTA_USED_UP", DOMAIN, []);
        let newer = Status::with_error_details(Code::ResourceExhausted, "a sentence", details);
        let (http, _, body) = told(newer).await;
        assert_eq!(http, 429);
        assert!(body.contains(r#""code":"quota_used_up""#), "{body}");
    }

    #[tokio::test]
    async fn the_transports_own_words_stay_in_the_log() {
        let (http, _, body) = told(Status::unavailable("tcp connect error: 10.0.0.7:50051")).await;
        assert_eq!(http, 502);
        assert!(!body.contains("10.0.0.7"), "{body}");
        assert!(body.contains(r#""code":"upstream_unavailable""#), "{body}");
    }
}
