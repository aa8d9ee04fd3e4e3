//! The tasks of Ark, the model service that serves Seedance, their results and errors. The error codes are in `ark_errors`.

use std::{borrow::Cow, time::Duration};

use http::StatusCode;
use serde_json::value::RawValue;

use super::super::common::{exchange::Response, outcome::permanent_refusal};
use crate::{
    ark_errors,
    error::ProviderError,
    json::members::{Members, read_object},
    upstream::{parse_error_member_with, parse_error_response_with, retry_after},
    video::{Clip, ClipFile, Progress, Variant},
};

/// Returns the id of the task that a response to a submission reports.
pub(super) fn parse_submission(response: &Response) -> Result<String, ProviderError> {
    let Response { status, body, .. } = response;
    if !status.is_success() {
        let error = failure(response);
        // Not sent again: 404 means an unknown model or endpoint, which only the operator can correct.
        return Err(if status.is_client_error() { permanent_refusal(error) } else { error });
    }
    read_object(body, |members| {
        if let Some(error) = members.error() {
            return Err(permanent_refusal(embedded_error(error)));
        }
        let id = members.text("id").map(Cow::into_owned);
        id.ok_or_else(|| ProviderError::Unreadable("the upstream's response has no id of a task".to_owned()))
    })?
}

/// Returns the progress of the task that a response to a poll reports.
pub(super) fn parse_poll(response: &Response, interval: Duration) -> Result<Progress, ProviderError> {
    let Response { status, headers, body } = response;
    match *status {
        StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(Progress::Missing),
        status if !status.is_success() => return Err(failure(response)),
        _ => {}
    }
    let poll_after = retry_after(headers).unwrap_or(interval);
    read_object(body, |members| progress(&members, poll_after))?
}

/// Returns the failure that a response with an error status describes.
pub(super) fn failure(response: &Response) -> ProviderError {
    let Response { status, headers, body } = response;
    parse_error_response_with(*status, headers, body, ark_errors::refine)
}

fn progress(members: &Members<'_>, poll_after: Duration) -> Result<Progress, ProviderError> {
    // In lists of tasks, the error of a task is named `failure_reason`.
    let error = || members.error().or_else(|| members.raw("failure_reason").map(RawValue::get));
    let Some(status) = members.string("status") else {
        let unreadable = || ProviderError::Unreadable("the upstream's response is not a task".to_owned());
        return Err(error().map_or_else(unreadable, embedded_error));
    };
    Ok(match status.trim().to_ascii_lowercase().as_str() {
        "succeeded" => Progress::Ready(clip(members)),
        "failed" => Progress::Failed(error().map_or_else(
            || ProviderError::Broken("the render failed at the upstream, which gave no reason".to_owned()),
            embedded_error,
        )),
        "expired" => Progress::Failed(ProviderError::Timeout("the render expired at the upstream".to_owned())),
        "cancelled" | "canceled" => Progress::Cancelled,
        // Queued, running, or a state that is not known: polling continues until a final state. The provider reports no
        // percentage.
        _ => Progress::Working { percent: None, poll_after },
    })
}

/// Returns the result of a task. Without a link the result has no files, and the job runner then fails the job.
fn clip(members: &Members<'_>) -> Clip {
    let content = members.object("content");
    let files = content.string("video_url").map(|url| ClipFile {
        variant: Variant::Video,
        media_type: "video/mp4".to_owned(),
        location: url.into_owned(),
    });
    Clip::new(files)
}

fn embedded_error(error: &str) -> ProviderError {
    parse_error_member_with(error, ark_errors::refine)
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    fn response(status: u16, body: &str) -> Response {
        let status = StatusCode::from_u16(status).unwrap();
        Response { status, headers: HeaderMap::new(), body: body.to_owned().into() }
    }

    fn poll(body: &str) -> Result<Progress, ProviderError> {
        parse_poll(&response(200, body), Duration::from_secs(5))
    }

    #[test]
    fn final_states_end_the_task_and_all_others_are_work_in_progress() {
        for status in ["queued", "running", "rewriting"] {
            let expected = Progress::Working { percent: None, poll_after: Duration::from_secs(5) };
            assert_eq!(poll(&format!(r#"{{"id":"cgt-1","status":"{status}"}}"#)), Ok(expected), "{status}");
        }
        assert_eq!(poll(r#"{"status":"cancelled"}"#), Ok(Progress::Cancelled));
        assert!(matches!(poll(r#"{"status":"expired"}"#), Ok(Progress::Failed(ProviderError::Timeout(_)))));
        assert_eq!(poll(r#"{"status":"succeeded","content":{}}"#), Ok(Progress::Ready(Clip::new([]))));
    }

    #[test]
    fn error_of_a_failed_task_is_read_under_both_names() {
        for name in ["error", "failure_reason"] {
            let error = r#"{"code":"OutputVideoSensitiveContentDetected","message":"withheld"}"#;
            let Ok(Progress::Failed(error)) = poll(&format!(r#"{{"status":"failed","{name}":{error}}}"#)) else {
                panic!("{name}")
            };
            assert_eq!(error.failure(), &ProviderError::ContentPolicy("withheld".to_owned()));
        }
    }

    #[test]
    fn submission_to_an_unknown_model_fails_the_job_whatever_the_status() {
        let body = r#"{"error":{"code":"InvalidEndpointOrModel.NotFound","message":"no model","type":"NotFound"}}"#;
        for status in [404, 400, 200] {
            let error = parse_submission(&response(status, body)).unwrap_err();
            assert!(matches!(error.failure(), ProviderError::Refused { .. }), "{status}: {error:?}");
        }
    }
}
