//! The failures that Google's video APIs report: as an error status, or as a `google.rpc.Status` in a successful response.
//! Refused content has the same status as an invalid request. Only the text of the message tells them apart.

use http::{HeaderMap, StatusCode};
use serde_json::value::RawValue;

use super::super::common::exchange::Response;
use crate::{error::ProviderError, google_errors, json::members::object};

/// Texts, in lower case. Each refusal of content contains one of them in its message or code.
const POLICY: [&str; 9] = [
    "usage guidelines",
    "usage policies",
    "responsible ai",
    "safety",
    "prohibited",
    "sensitive words",
    "content policy",
    "violate",
    "blocked",
];

/// Returns whether the message or code of an error means that content was refused.
pub(in crate::video::providers) fn is_policy(text: &str) -> bool {
    let text = text.to_lowercase();
    POLICY.iter().any(|part| text.contains(part))
}

/// Returns the failure that a response with an error status describes.
pub(in crate::video::providers) fn failure(response: &Response) -> ProviderError {
    refine(google_errors::failure(response.status, &response.headers, &response.body))
}

/// Turns the failure of an invalid request into [`ProviderError::ContentPolicy`] if its message is that of refused content.
fn refine(error: ProviderError) -> ProviderError {
    error.map_failure(|failure| {
        if let ProviderError::Refused { message, .. } = &failure
            && is_policy(message)
        {
            return ProviderError::ContentPolicy(message.clone());
        }
        failure
    })
}

/// Returns the failure that a `google.rpc.Status` in a successful response describes.
pub(in crate::video::providers) fn embedded_error(error: &RawValue) -> ProviderError {
    let status = object(error).number("code").and_then(status_of_code);
    let body = format!("{{\"error\":{}}}", error.get());
    refine(match status {
        Some(status) => google_errors::failure(status, &HeaderMap::new(), body.as_bytes()),
        None => google_errors::embedded_error(error.get()),
    })
}

/// Returns the HTTP status of a `google.rpc.Code`, whose numbers are those of gRPC's status codes. `None` for 0 (OK), which is no
/// error, and for unknown numbers.
fn status_of_code(code: u64) -> Option<StatusCode> {
    Some(match code {
        // INVALID_ARGUMENT, FAILED_PRECONDITION, OUT_OF_RANGE.
        3 | 9 | 11 => StatusCode::BAD_REQUEST,
        // DEADLINE_EXCEEDED.
        4 => StatusCode::GATEWAY_TIMEOUT,
        // PERMISSION_DENIED.
        7 => StatusCode::FORBIDDEN,
        // RESOURCE_EXHAUSTED.
        8 => StatusCode::TOO_MANY_REQUESTS,
        // UNIMPLEMENTED.
        12 => StatusCode::NOT_IMPLEMENTED,
        // UNAVAILABLE.
        14 => StatusCode::SERVICE_UNAVAILABLE,
        // UNAUTHENTICATED.
        16 => StatusCode::UNAUTHORIZED,
        // All others, such as INTERNAL: the render failed.
        1 | 2 | 5 | 6 | 10 | 13 | 15 => StatusCode::INTERNAL_SERVER_ERROR,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn embedded(error: &str) -> ProviderError {
        embedded_error(serde_json::from_str(error).unwrap()).failure().clone()
    }

    #[test]
    fn codes_of_embedded_errors_are_numbers_of_google_rpc() {
        assert!(matches!(embedded(r#"{"code":3,"message":"m"}"#), ProviderError::Refused { .. }));
        assert!(matches!(embedded(r#"{"code":8,"message":"m"}"#), ProviderError::RateLimited { .. }));
        assert!(matches!(embedded(r#"{"code":13,"message":"m"}"#), ProviderError::Broken(_)));
        assert!(matches!(embedded(r#"{"code":14,"message":"m"}"#), ProviderError::Unavailable { .. }));
        assert!(matches!(embedded(r#"{"code":"x","message":"m"}"#), ProviderError::Broken(_)));
        let guidelines = r#"{"code":3,"message":"The prompt violates the usage guidelines."}"#;
        assert!(matches!(embedded(guidelines), ProviderError::ContentPolicy(_)));
    }
}
