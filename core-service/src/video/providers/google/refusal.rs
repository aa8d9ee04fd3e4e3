//! Refusals of content, which the API does not distinguish from invalid requests, and the codes of embedded errors.

use http::{HeaderMap, StatusCode};
use serde_json::value::RawValue;

use super::super::common::exchange::Response;
use crate::{error::ProviderError, google_errors, json::members::object};

/// Parts of the messages and codes with which content is refused, in lower case.
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

/// Returns whether a text tells that content was refused.
pub(in crate::video::providers) fn is_policy(text: &str) -> bool {
    let text = text.to_lowercase();
    POLICY.iter().any(|part| text.contains(part))
}

/// Returns the failure that a response with an error status describes.
pub(in crate::video::providers) fn failure(response: &Response) -> ProviderError {
    refine(google_errors::failure(response.status, &response.headers, &response.body))
}

/// Replaces the failure by status: refused content has the status of an invalid request.
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

/// Returns the HTTP status of a `google.rpc.Code`.
fn status_of_code(code: u64) -> Option<StatusCode> {
    Some(match code {
        3 | 9 | 11 => StatusCode::BAD_REQUEST,
        4 => StatusCode::GATEWAY_TIMEOUT,
        7 => StatusCode::FORBIDDEN,
        8 => StatusCode::TOO_MANY_REQUESTS,
        12 => StatusCode::NOT_IMPLEMENTED,
        14 => StatusCode::SERVICE_UNAVAILABLE,
        16 => StatusCode::UNAUTHORIZED,
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
