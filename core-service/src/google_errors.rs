//! The errors of Gemini's API, which its image and video models share. The HTTP status gives the rough kind of a failure, the
//! `google.rpc` details in the body the exact one.

use http::{HeaderMap, StatusCode};
use serde_json::Value;

use crate::{
    error::ProviderError,
    upstream::{parse_error_member_with, parse_error_response_with},
};

/// Maps an error response to a provider error.
pub(crate) fn failure(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ProviderError {
    parse_error_response_with(status, headers, body, refine)
}

/// Maps an `error` within a successful response or a stream to a provider error.
pub(crate) fn embedded_error(error: &str) -> ProviderError {
    parse_error_member_with(error, refine)
}

/// Replaces `rough`, the failure that the HTTP status stands for, by that of the details.
fn refine(error: &Value, rough: ProviderError) -> ProviderError {
    match rough {
        // An invalid API key has status 400, like an invalid field.
        ProviderError::Refused { message, .. } if is_account_error(error) => ProviderError::Credentials(message),
        ProviderError::Refused { message, .. } => ProviderError::Refused { message, field: field(error) },
        // A quota of zero: waiting does not help.
        ProviderError::RateLimited { message, .. } if has_zero_quota(&message) => ProviderError::Credentials(message),
        ProviderError::RateLimited { .. }
        | ProviderError::Reported { .. }
        | ProviderError::ContentPolicy(_)
        | ProviderError::Overloaded { .. }
        | ProviderError::Credentials(_)
        | ProviderError::NotSupported(_)
        | ProviderError::Timeout(_)
        | ProviderError::Unreachable(_)
        | ProviderError::Unavailable { .. }
        | ProviderError::Broken(_)
        | ProviderError::LinkExpired(_)
        | ProviderError::Unreadable(_) => rough,
    }
}

/// Returns the items of `google.rpc` details.
fn details(error: &Value) -> impl Iterator<Item = &Value> {
    error["details"].as_array().into_iter().flatten()
}

fn is_account_error(error: &Value) -> bool {
    // `reason` is a member of `ErrorInfo`.
    let is_key = |detail: &Value| detail["reason"].as_str().is_some_and(|reason| reason.starts_with("API_KEY_"));
    // FAILED_PRECONDITION: billing is disabled, or the region is not supported.
    error["status"] == "FAILED_PRECONDITION" || details(error).any(is_key)
}

fn has_zero_quota(message: &str) -> bool {
    let mut limits = message.split("limit: ").skip(1);
    limits.any(|limit| limit.starts_with('0') && !limit[1..].starts_with(|next: char| next.is_ascii_digit()))
}

/// Returns the client's field that corresponds to the rejected field of the API, if it is known.
fn field(error: &Value) -> Option<String> {
    // `fieldViolations` is a member of `BadRequest`.
    let violations = details(error).filter_map(|detail| detail["fieldViolations"].as_array()).flatten();
    let named: Vec<_> = violations.filter_map(|violation| violation["field"].as_str()).collect();
    // Parts of names; the first that is found counts.
    let fields = [
        ("image_config", "size"),
        ("imageConfig", "size"),
        ("aspect", "aspect_ratio"),
        ("resolution", "resolution"),
        ("duration", "seconds"),
        ("seed", "seed"),
        ("contents", "prompt"),
        ("prompt", "prompt"),
    ];
    let known = fields.into_iter().find(|(native, _)| named.iter().any(|field| field.contains(native)));
    known.map(|(_, field)| field.to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn failed(status: u16, body: &str) -> ProviderError {
        failure(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes()).failure().clone()
    }

    #[test]
    fn retry_delay_is_read_from_the_details() {
        let body = r#"{"error":{"code":429,"message":"slow down","status":"RESOURCE_EXHAUSTED","details":[
            {"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"PerMinute"}]},
            {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34.4s"}]}}"#;
        let expected = ProviderError::RateLimited {
            message: "slow down".into(),
            retry_after: Some(Duration::from_millis(34_400)),
        };
        assert_eq!(failed(429, body), expected);
        assert_eq!(failed(429, &format!("[{body}]")), expected);
        let error = body.strip_prefix(r#"{"error":"#).unwrap().strip_suffix('}').unwrap();
        assert_eq!(*embedded_error(error).failure(), expected);
    }

    #[test]
    fn zero_quota_is_an_account_error_and_other_quotas_are_rate_limits() {
        let body =
            |limit: &str| format!(r#"{{"error":{{"code":429,"message":"quota exceeded, limit: {limit}, model: m"}}}}"#);
        assert!(matches!(failed(429, &body("0")), ProviderError::Credentials(_)));
        for limit in ["10", "05"] {
            assert!(matches!(failed(429, &body(limit)), ProviderError::RateLimited { .. }), "{limit}");
        }
    }

    #[test]
    fn invalid_key_is_distinguished_from_invalid_field() {
        let body = |status: &str, details: &str| {
            format!(r#"{{"error":{{"code":400,"message":"no","status":"{status}","details":[{details}]}}}}"#)
        };
        let key = body("INVALID_ARGUMENT", r#"{"reason":"API_KEY_INVALID","domain":"googleapis.com"}"#);
        assert_eq!(failed(400, &key), ProviderError::Credentials("no".into()));
        assert_eq!(failed(400, &body("FAILED_PRECONDITION", "")), ProviderError::Credentials("no".into()));
        let size = r#"{"fieldViolations":[{"field":"generation_config.image_config.image_size","description":"x"}]}"#;
        for (details, field) in [(size, Some("size")), (r#"{"reason":"OTHER"}"#, None), ("", None)] {
            let expected = ProviderError::Refused { message: "no".into(), field: field.map(str::to_owned) };
            assert_eq!(failed(400, &body("INVALID_ARGUMENT", details)), expected);
        }
    }

    #[test]
    fn response_without_error_object_is_mapped_by_its_status() {
        assert!(matches!(failed(502, "<html>Bad Gateway</html>"), ProviderError::Broken(_)));
        assert!(matches!(failed(503, ""), ProviderError::Unavailable { .. }));
        assert!(matches!(failed(400, "[]"), ProviderError::Refused { .. }));
    }
}
