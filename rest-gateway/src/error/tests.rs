//! Tests of the conversion of the core's errors to responses.

use std::{collections::HashSet, time::Duration};

use axum::response::IntoResponse;
use http_body_util::BodyExt;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};
use triptych_proto::v1::ErrorReason;

use super::{GatewayError, Retry, Row, table};

/// Returns a status as the core makes it, with a message that begins with the path of the invalid protobuf field.
fn status(reason: &str, details: impl FnOnce(&mut ErrorDetails)) -> Status {
    let mut all = ErrorDetails::with_error_info(reason, "triptych", []);
    details(&mut all);
    Status::with_error_details(Code::Internal, "duration_seconds: a sentence", all)
}

/// Returns HTTP status, headers and body of the response for an error of the core.
async fn respond(status: Status) -> (u16, Vec<(String, String)>, String) {
    let response = GatewayError::from(status).into_response();
    let (parts, body) = response.into_parts();
    let headers =
        parts.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    let body = body.collect().await.unwrap().to_bytes();
    (parts.status.as_u16(), headers, String::from_utf8(body.to_vec()).unwrap())
}

#[test]
fn every_error_reason_has_a_row() {
    let rows: Vec<_> = table().collect();
    // The values of `ErrorReason` without `UNSPECIFIED`.
    assert_eq!(rows.len(), 33);
    assert_eq!(rows.iter().map(Row::code).collect::<HashSet<_>>().len(), 33);
    for row in rows {
        assert!(row.http.is_client_error() || row.http.is_server_error(), "{row:?}");
        let is_later = matches!(row.http.as_u16(), 429 | 503) && row.reason != ErrorReason::BudgetExceeded;
        assert_eq!(row.retry == Retry::Later, is_later, "{row:?}");
    }
}

#[tokio::test]
async fn invalid_field_is_named_in_the_spelling_of_the_client() {
    let invalid = status("INVALID_FIELD", |all| {
        all.add_bad_request_violation("duration_seconds", "must be 1 to 60");
    });
    let body = r#"{"error":{"message":"seconds: a sentence","type":"invalid_request_error","param":"seconds","code":"invalid_field"}}"#;
    let json = ("content-type".to_owned(), "application/json".to_owned());
    assert_eq!(respond(invalid).await, (400, vec![json], body.to_owned()));
}

#[tokio::test]
async fn broken_connection_to_the_core_is_a_502_with_retry_after_and_without_its_cause() {
    let broken = Status::from_error(Box::new(std::io::Error::other("broken pipe to 10.0.0.1")));
    assert_eq!(broken.code(), Code::Unknown);
    for status in [broken, Status::unavailable("tcp connect error")] {
        let (status, headers, body) = respond(status).await;
        assert!(
            status == 502 && body.contains("upstream_unavailable") && !body.contains("10.0.0.1"),
            "{status} {body}"
        );
        assert!(headers.contains(&("retry-after".to_owned(), "1".to_owned())), "{headers:?}");
    }
    assert_eq!(respond(Status::cancelled("Timeout expired")).await.0, 504);
}

#[tokio::test]
async fn status_without_a_reason_gets_the_message_of_its_cause() {
    for (code, http, expected) in [
        (Code::Internal, 500, r#""message":"Internal server error; "#),
        (Code::Unimplemented, 501, r#""message":"the core does not support this call; "#),
        (Code::Unavailable, 502, r#""message":"the service is temporarily unavailable; "#),
        (Code::DeadlineExceeded, 504, r#""message":"the service is temporarily unavailable; "#),
        // Of a proxy in front of the core, which knows no models.
        (Code::PermissionDenied, 403, r#""code":"permission_denied""#),
    ] {
        let (status, _, body) = respond(Status::new(code, "made by another program")).await;
        assert_eq!(status, http, "{body}");
        assert!(body.contains(expected), "{body}");
    }
}

#[tokio::test]
async fn field_without_a_json_path_is_not_in_the_message() {
    let mut details = ErrorDetails::with_error_info("INVALID_FIELD", "triptych", []);
    details.add_bad_request_violation("chat.extra_json", "must not contain `Model`");
    let message = "chat.extra_json: must not contain `Model`";
    let (_, _, body) = respond(Status::with_error_details(Code::InvalidArgument, message, details)).await;
    assert!(
        body.contains(r#""message":"must not contain `Model`","type":"invalid_request_error","param":null"#),
        "{body}"
    );
}

#[tokio::test]
async fn retry_delay_is_in_both_headers_and_at_most_a_minute() {
    for (delay, seconds, millis) in [(1_200, "2", "1200"), (50, "1", "1000"), (600_000, "60", "60000")] {
        let full = status("OVERLOADED", |all| {
            all.set_retry_info(Some(Duration::from_millis(delay)));
        });
        let (http, headers, body) = respond(full).await;
        assert_eq!(http, 429);
        assert!(headers.contains(&("retry-after".to_owned(), seconds.to_owned())), "{headers:?}");
        assert!(headers.contains(&("retry-after-ms".to_owned(), millis.to_owned())), "{headers:?}");
        assert!(body.contains(r#""type":"rate_limit_error","param":null,"code":"overloaded""#), "{body}");
    }
}

#[tokio::test]
async fn permanent_error_sets_x_should_retry_false() {
    for (reason, http) in [("PROVIDER_CREDENTIALS", 500), ("NOT_SUPPORTED", 501), ("IDEMPOTENCY_CONFLICT", 409)] {
        let (status, headers, _) = respond(status(reason, |_| ())).await;
        assert_eq!(status, http);
        assert!(headers.contains(&("x-should-retry".to_owned(), "false".to_owned())), "{reason}: {headers:?}");
    }
}

#[tokio::test]
async fn unknown_reason_becomes_the_code() {
    let mut details = ErrorDetails::new();
    details.set_error_info("QUOTA_USED_UP", "triptych", []);
    let newer = Status::with_error_details(Code::ResourceExhausted, "a sentence", details);
    let (http, _, body) = respond(newer).await;
    assert_eq!(http, 429);
    assert!(body.contains(r#""code":"quota_used_up""#), "{body}");
}

#[tokio::test]
async fn transport_error_message_does_not_reach_the_client() {
    let (http, _, body) = respond(Status::unavailable("tcp connect error: 10.0.0.7:50051")).await;
    assert_eq!(http, 502);
    assert!(!body.contains("10.0.0.7"), "{body}");
    assert!(body.contains(r#""code":"upstream_unavailable""#), "{body}");
}

#[tokio::test]
async fn forwarded_metadata_becomes_a_response_header() {
    let mut failed = status("UPSTREAM_UNAVAILABLE", |_| ());
    failed.metadata_mut().insert("x-triptych-attempts", "near=unavailable".parse().unwrap());
    failed.metadata_mut().insert("x-other", "1".parse().unwrap());
    let (_, headers, _) = respond(failed).await;
    assert!(headers.contains(&("x-triptych-attempts".to_owned(), "near=unavailable".to_owned())), "{headers:?}");
    assert!(!headers.iter().any(|(name, _)| name == "x-other"), "{headers:?}");
}
