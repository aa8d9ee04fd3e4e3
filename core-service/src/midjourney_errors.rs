//! The result codes and error texts of Midjourney proxies (midjourney-proxy and compatible servers), which their image and video
//! tasks share.

use http::{HeaderMap, StatusCode};
use serde_json::Value;

use crate::{
    error::ProviderError,
    json::members::{Members, read_object},
    upstream::parse_error_response_with,
};

/// Parses the response to a submission; returns the id of the task.
pub(crate) fn task_id(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<String, ProviderError> {
    let read =
        |response: Members<'_>| (response.number("code"), response.text("result").map(std::borrow::Cow::into_owned));
    let (code, result) = read_object(body, read).unwrap_or_default();
    let is_rejected = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    match code {
        // Submitted; queued; exists already or awaits a confirmation.
        Some(1 | 22 | 21) if !is_rejected => result
            .ok_or_else(|| ProviderError::Unreadable("the proxy accepted a task without returning its id".to_owned())),
        None if status.is_success() => Err(ProviderError::Unreadable("the proxy sent an invalid response".to_owned())),
        Some(_) | None => Err(parse_error_response_with(status, headers, body, refine)),
    }
}

/// Replaces `by_status`, the failure that the HTTP status stands for, by that of the result code of the submission.
fn refine(error: &Value, by_status: ProviderError) -> ProviderError {
    let code = error["code"].as_u64().or_else(|| error["code"].as_str()?.parse().ok());
    let Some(code) = code else { return by_status };
    let message = error["description"].as_str().filter(|text| !text.trim().is_empty());
    let message = message.map_or_else(|| format!("the proxy returned code {code}"), str::to_owned);
    if matches!(by_status, ProviderError::Credentials(_)) {
        return ProviderError::Credentials(message);
    }
    match code {
        // The queue is full.
        23 | 30 => ProviderError::RateLimited { message, retry_after: None },
        // The prompt contains a banned word.
        24 => {
            let banned = error["properties"]["bannedWord"].as_str();
            ProviderError::ContentPolicy(banned.map_or(message.clone(), |word| format!("{message}: {word}")))
        }
        // An invalid request; some proxies use the code for an empty account as well.
        4 => match classify(&message) {
            Some(error @ (ProviderError::Credentials(_) | ProviderError::ContentPolicy(_))) => error,
            Some(_) | None => ProviderError::Refused { message, field: None },
        },
        _ if matches!(by_status, ProviderError::RateLimited { .. }) => {
            ProviderError::RateLimited { message, retry_after: None }
        }
        // No task was started. Some proxies report a full queue with a generic code.
        _ => classify(&message).unwrap_or(ProviderError::unavailable(message)),
    }
}

/// Maps an error text to a provider error by its keywords; `None` without a known one.
pub(crate) fn classify(reason: &str) -> Option<ProviderError> {
    let text = reason.to_lowercase();
    let has = |keywords: &[&str]| keywords.iter().any(|keyword| text.contains(keyword));
    let reason = reason.to_owned();
    if has(&["subscription", "blocked account", "account is blocked", "payment", "quota", "余额", "额度"]) {
        Some(ProviderError::Credentials(reason))
    } else if has(&["banned", "moderat", "blocked", "敏感", "违规", "content policy"]) {
        Some(ProviderError::ContentPolicy(reason))
    } else if has(&["invalid parameter", "invalid link"]) {
        Some(ProviderError::Refused { message: reason, field: None })
    } else if has(&["timeout", "timed out", "超时"]) {
        Some(ProviderError::Timeout(reason))
    } else if has(&["queue", "busy", "limit", "concurrent", "队列", "已满"]) {
        Some(ProviderError::RateLimited { message: reason, retry_after: None })
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn submission(status: u16, body: &str) -> Result<String, ProviderError> {
        let id = task_id(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes());
        id.map_err(|error| error.failure().clone())
    }

    fn limited(message: &str) -> ProviderError {
        ProviderError::RateLimited { message: message.to_owned(), retry_after: None }
    }

    #[test]
    fn code_of_a_submission_takes_precedence_over_its_status() {
        for body in [
            r#"{"code":1,"description":"ok","result":"17953501234567891234","properties":{}}"#,
            r#"{"code":22,"description":"1 before you","result":"17953501234567891234","properties":{"numberOfQueues":1}}"#,
            r#"{"code":21,"description":"there already","result":17953501234567891234}"#,
        ] {
            assert_eq!(submission(200, body).as_deref(), Ok("17953501234567891234"), "{body}");
        }
        assert_eq!(submission(200, r#"{"code":"1","description":{},"result":17}"#).as_deref(), Ok("17"));
        let text = str::to_owned;
        let refused = ProviderError::Refused { message: text("no prompt"), field: None };
        for (status, body, expected) in [
            (200, r#"{"code":23,"description":"full"}"#, limited("full")),
            (429, r#"{"code":30,"description":"saturated"}"#, limited("saturated")),
            (200, r#"{"code":9,"description":"The queue is full"}"#, limited("The queue is full")),
            (200, r#"{"code":9,"description":"broke"}"#, ProviderError::unavailable(text("broke"))),
            (404, r#"{"code":3,"description":"no account"}"#, ProviderError::unavailable(text("no account"))),
            (200, r#"{"code":4,"description":"no prompt"}"#, refused.clone()),
            (400, r#"{"code":4,"description":"no prompt","type":"upstream_error"}"#, refused),
            (
                400,
                r#"{"code":4,"description":"quota_not_enough"}"#,
                ProviderError::Credentials(text("quota_not_enough")),
            ),
            (
                200,
                r#"{"code":24,"description":"bad","properties":{"bannedWord":"x"}}"#,
                ProviderError::ContentPolicy(text("bad: x")),
            ),
            (401, r#"{"code":1,"description":"who?"}"#, ProviderError::Credentials(text("who?"))),
            (200, r#"{"code":5}"#, ProviderError::unavailable(text("the proxy returned code 5"))),
        ] {
            assert_eq!(submission(status, body), Err(expected), "{body}");
        }
    }

    #[test]
    fn submission_without_code_is_mapped_by_its_status() {
        assert!(matches!(submission(401, ""), Err(ProviderError::Credentials(_))));
        assert_eq!(submission(403, "forbidden"), Err(ProviderError::Credentials("forbidden".to_owned())));
        assert!(matches!(submission(502, "<html>"), Err(ProviderError::Broken(_))));
        for body in ["", "<html>", "{}", r#"{"code":1}"#, r#"{"code":1,"result":""}"#, r#"{"code":1,"result":[]}"#] {
            assert!(matches!(submission(200, body), Err(ProviderError::Unreadable(_))), "{body}");
        }
    }

    #[test]
    fn refused_submission_keeps_the_members_of_the_proxy() {
        let body = br#"{"code":24,"description":"banned","properties":{"bannedWord":"blood"}}"#;
        let error = task_id(StatusCode::OK, &HeaderMap::new(), body).unwrap_err();
        let details = error.details().unwrap();
        assert_eq!((error.to_string().as_str(), details.code.as_str()), ("banned: blood", "24"));
        assert!(details.members_json.contains(r#""bannedWord":"blood""#), "{details:?}");
    }
}
