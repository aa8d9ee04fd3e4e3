//! MiniMax's error codes, which both versions of the API share.

use serde_json::{Value, json};

use super::super::common::exchange::Response;
use crate::{
    error::ProviderError,
    json::members::Members,
    upstream::{parse_error_member_with, parse_error_response_with},
};

/// Returns the failure that a response with an error status describes.
pub(super) fn failure(response: &Response) -> ProviderError {
    let Response { status, headers, body } = response;
    parse_error_response_with(*status, headers, body, refine)
}

/// Returns the error in the member `error` of a response of version 2.
pub(super) fn error_of(members: &Members<'_>) -> Option<ProviderError> {
    members.error().map(|error| parse_error_member_with(error, refine))
}

/// Returns the error in the member `base_resp` of a response of version 1, whose HTTP status is 200 even for errors.
pub(super) fn error_in_status(members: &Members<'_>) -> Option<ProviderError> {
    let status = members.object("base_resp");
    let code = status.number("status_code").filter(|code| *code != 0)?;
    let message = status.text("status_msg").unwrap_or_else(|| code.to_string().into());
    Some(parse_error_member_with(&json!({"code": code, "message": message}).to_string(), refine))
}

/// Returns the failure that MiniMax's error code means, which is more specific than the HTTP status; `by_status` for an unknown
/// code.
fn refine(error: &Value, by_status: ProviderError) -> ProviderError {
    let message = by_status.to_string();
    match code(error).unwrap_or_default() {
        // Rate limits of requests, tokens and connections.
        1002 | 1039 | 1041 => ProviderError::RateLimited { message, retry_after: by_status.retry_after() },
        // An invalid key, an empty account, a plan whose quota is used up, or an account that is not verified.
        1004 | 1008 | 2038 | 2049 | 2056 => ProviderError::Credentials(message),
        // Refused content of the request, or of the video.
        1026 | 1027 => ProviderError::ContentPolicy(message),
        1001 => ProviderError::Timeout(message),
        // Invalid parameters.
        2013 => ProviderError::Refused { message, field: None },
        _ if error["type"] == "insufficient_balance_error" => ProviderError::Credentials(message),
        _ => by_status,
    }
}

/// Returns the code of an error: its `code` member, or else the number in parentheses at the end of its message, as in
/// `insufficient balance (1008)`.
fn code(error: &Value) -> Option<u64> {
    let own = error["code"].as_u64().or_else(|| error["code"].as_str()?.trim().parse().ok());
    own.or_else(|| {
        let (_, end) = error["message"].as_str()?.trim_end().strip_suffix(')')?.rsplit_once('(')?;
        end.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the failure of an error whose status alone would mean [`ProviderError::Broken`].
    fn refined(error: &Value) -> ProviderError {
        refine(error, ProviderError::Broken("words".to_owned()))
    }

    #[test]
    fn code_is_read_as_number_as_text_and_at_the_end_of_the_message() {
        for error in [
            json!({"code": 1026}),
            json!({"code": "1026"}),
            json!({"type": "bad_request_error", "message": "input new_sensitive (1026)"}),
        ] {
            assert_eq!(refined(&error), ProviderError::ContentPolicy("words".to_owned()), "{error}");
        }
        for error in
            [json!({}), json!({"code": 9999}), json!({"message": "failed (twice)"}), json!({"message": "(1026) a"})]
        {
            assert_eq!(refined(&error), ProviderError::Broken("words".to_owned()), "{error}");
        }
    }

    #[test]
    fn account_without_money_is_not_a_rate_limit() {
        for error in [json!({"code": 1008}), json!({"type": "insufficient_balance_error"}), json!({"code": 2049})] {
            assert!(matches!(refined(&error), ProviderError::Credentials(_)), "{error}");
        }
        assert!(matches!(refined(&json!({"code": 1002})), ProviderError::RateLimited { .. }));
    }
}
