//! What the API's errors mean: the statuses say it roughly, the details say it right.

use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{error::ProviderError, upstream::failure_of};

#[derive(Deserialize, Default)]
#[serde(default)]
struct ErrorWire {
    code: Option<u16>,
    status: Option<String>,
    message: Option<String>,
    details: Vec<DetailWire>,
}

/// A `google.rpc` detail; which one, its members tell.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct DetailWire {
    /// Of `ErrorInfo`.
    reason: Option<String>,
    /// Of `BadRequest`.
    field_violations: Vec<ViolationWire>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ViolationWire {
    field: Option<String>,
}

/// The failure that an answer with an error status stands for.
pub(super) fn failure(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ProviderError {
    #[derive(Deserialize)]
    struct Wire<'a> {
        #[serde(borrow)]
        error: &'a RawValue,
    }
    // Streams, and some gateways, put the error into a list.
    let body = body.trim_ascii();
    let bare = body.strip_prefix(b"[").and_then(|body| body.strip_suffix(b"]")).unwrap_or(body);
    let error = serde_json::from_slice::<Wire<'_>>(bare).ok().map(|wire| wire.error.get());
    let error = error.and_then(|error| serde_json::from_str(error).ok()).unwrap_or_default();
    refined(failure_of(status, headers, bare, false), &error)
}

/// The failure that an `error` within an answer or a stream stands for.
pub(super) fn failure_in_answer(error: &str) -> ProviderError {
    let code = serde_json::from_str::<ErrorWire>(error).ok().and_then(|error| error.code);
    let status = code.and_then(|code| StatusCode::from_u16(code).ok()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    failure(status, &HeaderMap::new(), format!("{{\"error\":{error}}}").as_bytes())
}

fn refined(rough: ProviderError, error: &ErrorWire) -> ProviderError {
    match rough {
        // A wrong key comes with the status of a wrong field.
        ProviderError::Refused { message, .. } if error.is_about_the_account() => ProviderError::Credentials(message),
        ProviderError::Refused { message, .. } => ProviderError::Refused { message, field: error.field() },
        // A quota of nothing does not fill up again.
        ProviderError::RateLimited { message, .. } if error.allows_nothing() => ProviderError::Credentials(message),
        ProviderError::RateLimited { .. }
        | ProviderError::ContentPolicy(_)
        | ProviderError::Overloaded { .. }
        | ProviderError::Credentials(_)
        | ProviderError::NotSupported(_)
        | ProviderError::Timeout(_)
        | ProviderError::Unreachable(_)
        | ProviderError::Unavailable { .. }
        | ProviderError::Broken(_)
        | ProviderError::Unreadable(_) => rough,
    }
}

impl ErrorWire {
    fn is_about_the_account(&self) -> bool {
        let reason = |detail: &DetailWire| detail.reason.as_ref().is_some_and(|reason| reason.starts_with("API_KEY_"));
        // No billing, or a region that is not served.
        self.status.as_deref() == Some("FAILED_PRECONDITION") || self.details.iter().any(reason)
    }

    fn allows_nothing(&self) -> bool {
        let text = self.message.as_deref().unwrap_or_default();
        let mut limits = text.split("limit: ").skip(1);
        limits.any(|limit| limit.starts_with('0') && !limit[1..].starts_with(|next: char| next.is_ascii_digit()))
    }

    /// The caller's member that the API complains about, where that can be told.
    fn field(&self) -> Option<String> {
        let violations = self.details.iter().flat_map(|detail| &detail.field_violations);
        let named: Vec<_> = violations.filter_map(|violation| violation.field.as_deref()).collect();
        let ours = [("image_config", "size"), ("imageConfig", "size"), ("seed", "seed"), ("contents", "prompt")];
        let known = ours.into_iter().find(|(theirs, _)| named.iter().any(|field| field.contains(theirs)));
        known.map(|(_, ours)| ours.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn failed(status: u16, body: &str) -> ProviderError {
        failure(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes())
    }

    #[test]
    fn the_wait_is_in_the_details() {
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
        assert_eq!(failure_in_answer(error), expected);
    }

    #[test]
    fn a_quota_of_nothing_is_the_accounts_trouble_and_one_of_something_is_a_pace() {
        let body =
            |limit: &str| format!(r#"{{"error":{{"code":429,"message":"quota exceeded, limit: {limit}, model: m"}}}}"#);
        assert!(matches!(failed(429, &body("0")), ProviderError::Credentials(_)));
        for limit in ["10", "05"] {
            assert!(matches!(failed(429, &body(limit)), ProviderError::RateLimited { .. }), "{limit}");
        }
    }

    #[test]
    fn a_wrong_key_is_told_from_a_wrong_field() {
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
    fn what_is_no_error_of_the_api_is_told_by_its_status() {
        assert!(matches!(failed(502, "<html>Bad Gateway</html>"), ProviderError::Broken(_)));
        assert!(matches!(failed(503, ""), ProviderError::Unavailable { .. }));
        assert!(matches!(failed(400, "[]"), ProviderError::Refused { .. }));
    }
}
