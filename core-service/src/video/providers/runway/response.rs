//! Runway's tasks and errors. A failed task has a hierarchical code, such as `SAFETY.INPUT.IMAGE`.

use std::{borrow::Cow, time::Duration};

use http::StatusCode;
use serde_json::Value;

use super::super::common::{
    exchange::Response,
    outcome::{percent_of_fraction, permanent_refusal},
    usage,
};
use crate::{
    error::{ProviderError, UpstreamDetails},
    json::members::{Members, read_object, text},
    upstream::{parse_error_response_with, retry_after},
    video::{Clip, ClipFile, Progress, RenderUsage, Variant},
};

/// The unit of reported costs (<https://docs.dev.runwayml.com/guides/pricing/>).
const CREDITS_PER_DOLLAR: u64 = 100;

/// Returns the id of the task that a response to a submission reports.
pub(super) fn parse_submission(response: &Response) -> Result<String, ProviderError> {
    if !response.status.is_success() {
        let error = failure(response);
        // Not sent again: 404 means an unknown model or a wrong base URL, which only the operator can correct.
        return Err(if response.status.is_client_error() { permanent_refusal(error) } else { error });
    }
    read_object(&response.body, |members| {
        let id = members.text("id").map(Cow::into_owned);
        id.ok_or_else(|| ProviderError::Unreadable("the upstream's response has no id of a task".to_owned()))
    })?
}

/// Returns the progress of the task that a response to a poll reports.
pub(super) fn parse_poll(response: &Response, interval: Duration) -> Result<Progress, ProviderError> {
    match response.status {
        StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(Progress::Missing),
        status if !status.is_success() => return Err(failure(response)),
        _ => {}
    }
    let poll_after = retry_after(&response.headers).unwrap_or(interval);
    read_object(&response.body, |members| progress(&members, poll_after))?
}

/// Returns the failure that a response with an error status describes.
pub(super) fn failure(response: &Response) -> ProviderError {
    parse_error_response_with(response.status, &response.headers, &response.body, refine)
}

/// Returns [`ProviderError::Credentials`] for an account without credits, otherwise `by_status`. Runway reports such an account with
/// status 400 and no code.
fn refine(_: &Value, by_status: ProviderError) -> ProviderError {
    if let ProviderError::Refused { message, .. } = &by_status
        && message.to_ascii_lowercase().contains("enough credits")
    {
        return ProviderError::Credentials(message.clone());
    }
    by_status
}

fn progress(members: &Members<'_>, poll_after: Duration) -> Result<Progress, ProviderError> {
    let Some(status) = members.string("status") else {
        return Err(ProviderError::Unreadable("the upstream's response is not a task".to_owned()));
    };
    Ok(match status.trim().to_ascii_uppercase().as_str() {
        "SUCCEEDED" => Progress::Ready(clip(members)),
        "FAILED" => Progress::Failed(task_failure(members)),
        "CANCELLED" | "CANCELED" => Progress::Cancelled,
        // `PENDING`, `RUNNING`, `THROTTLED` (more tasks than the account runs at a time), and unknown states.
        _ => Progress::Working {
            percent: members.text("progress").and_then(|text| percent_of_fraction(&text)),
            poll_after,
        },
    })
}

/// Returns the result of a task, its first output. Without a link the result has no files, and the job runner then fails the job.
fn clip(members: &Members<'_>) -> Clip {
    let link = members.list("output").first().and_then(|link| text(link)).map(Cow::into_owned);
    let video = link.map(|location| ClipFile { variant: Variant::Video, media_type: "video/mp4".to_owned(), location });
    let cost = usage::cost(&members.object("cost"), "credits", CREDITS_PER_DOLLAR);
    Clip::new(video).with_usage(RenderUsage { cost, ..RenderUsage::default() })
}

/// Returns the failure of a task by the prefix of its code, because Runway adds codes below the known ones.
fn task_failure(members: &Members<'_>) -> ProviderError {
    let code = members.string("failureCode").unwrap_or_default();
    let message = members
        .string("failure")
        .map_or_else(|| "the render failed at the upstream, which gave no reason".to_owned(), Cow::into_owned);
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| code.starts_with(prefix));
    let error = if starts(&["SAFETY", "INPUT_PREPROCESSING.SAFETY"]) {
        ProviderError::ContentPolicy(message)
    } else if starts(&["ASSET.INVALID", "INTERNAL.BAD_OUTPUT"]) {
        // `BAD_OUTPUT`: another attempt with the same input would fail too.
        ProviderError::Refused { message, field: None }
    } else {
        ProviderError::Broken(message)
    };
    error.with_upstream_details(UpstreamDetails { code: code.into_owned(), ..UpstreamDetails::default() })
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::usd::Usd;

    fn poll(body: &str) -> Result<Progress, ProviderError> {
        let response = Response { status: StatusCode::OK, headers: HeaderMap::new(), body: body.to_owned().into() };
        parse_poll(&response, Duration::from_secs(5))
    }

    #[test]
    fn waiting_running_and_unknown_states_are_work_in_progress() {
        for (body, percent) in [
            (r#"{"status":"PENDING"}"#, None),
            (r#"{"status":"THROTTLED"}"#, None),
            (r#"{"status":"RUNNING","progress":0.429}"#, Some(42)),
            (r#"{"status":"RUNNING","progress":1}"#, Some(99)),
            (r#"{"status":"UPSCALING","progress":"x"}"#, None),
        ] {
            assert_eq!(poll(body), Ok(Progress::Working { percent, poll_after: Duration::from_secs(5) }), "{body}");
        }
    }

    #[test]
    fn cost_in_credits_is_in_the_result() {
        let usage_of = |cost: &str| match poll(&format!(r#"{{"status":"SUCCEEDED","cost":{cost}}}"#)) {
            Ok(Progress::Ready(clip)) => clip.usage,
            other => panic!("{other:?}"),
        };
        let cost = |usd| RenderUsage { video_millis: None, cost: Usd::parse(usd) };
        assert_eq!(usage_of(r#"{"credits":60}"#), cost("0.60"));
        assert_eq!(usage_of(r#"{"credits":"12.5"}"#), cost("0.125"));
        for odd in ["null", "60", r#"{"credits":0}"#, r#"{"credits":-60}"#, r#"{"credits":"many"}"#] {
            assert_eq!(usage_of(odd), RenderUsage::default(), "{odd}");
        }
    }

    #[test]
    fn failure_codes_are_matched_by_their_prefix() {
        let failed = |code: &str| match poll(&format!(r#"{{"status":"FAILED","failure":"m","failureCode":{code}}}"#)) {
            Ok(Progress::Failed(error)) => error,
            other => panic!("{other:?}"),
        };
        for code in ["SAFETY.INPUT.IMAGE", "SAFETY.OUTPUT.VIDEO", "INPUT_PREPROCESSING.SAFETY.TEXT"] {
            let error = failed(&format!("\"{code}\""));
            assert_eq!(error.failure(), &ProviderError::ContentPolicy("m".to_owned()));
            assert_eq!(error.details().map(|details| details.code.as_str()), Some(code));
        }
        for code in ["ASSET.INVALID", "INTERNAL.BAD_OUTPUT.CODE01"] {
            assert!(matches!(failed(&format!("\"{code}\"")).failure(), ProviderError::Refused { .. }), "{code}");
        }
        for code in ["\"INTERNAL\"", "\"INPUT_PREPROCESSING.INTERNAL\"", "\"THIRD_PARTY.UNAVAILABLE\"", "null"] {
            assert_eq!(failed(code).failure(), &ProviderError::Broken("m".to_owned()), "{code}");
        }
    }
}
