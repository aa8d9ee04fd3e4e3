//! Vidu's tasks, their results and errors. An error has a word as its reason (`reason`, in a task `err_code`).

use std::{borrow::Cow, time::Duration};

use http::StatusCode;
use serde_json::{Value, json};

use super::super::common::exchange::Response;
use crate::{
    error::ProviderError,
    json::members::{Members, read_object},
    upstream::{parse_error_member_with, parse_error_response_with, retry_after},
    video::{Clip, ClipFile, Progress, Variant},
};

/// The `err_code` of a task that is `failed` because it was cancelled.
const CANCELLED: &str = "UserCancelled";

/// Returns the id of the task that a response to a submission reports.
pub(super) fn parse_submission(response: &Response) -> Result<String, ProviderError> {
    if !response.status.is_success() {
        return Err(failure(response));
    }
    read_object(&response.body, |members| {
        let unreadable = || ProviderError::Unreadable("the upstream's response has no id of a task".to_owned());
        match (members.text("task_id"), error_of(&members)) {
            (_, Some(error)) => Err(error),
            (Some(id), None) => Ok(id.into_owned()),
            (None, None) => Err(unreadable()),
        }
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

/// Returns the id of the task with this job id in a list of tasks; `None` if there is none.
pub(super) fn parse_list(response: &Response, job_id: &str) -> Result<Option<String>, ProviderError> {
    if !response.status.is_success() {
        return Err(failure(response));
    }
    read_object(&response.body, |members| {
        let tasks = members.objects("tasks");
        let found = tasks.iter().find(|task| task.string("payload").as_deref() == Some(job_id));
        found.and_then(|task| task.text("id").or_else(|| task.text("task_id"))).map(Cow::into_owned)
    })
}

/// Returns the failure that a response with an error status describes.
pub(super) fn failure(response: &Response) -> ProviderError {
    let Response { status, headers, body } = response;
    parse_error_response_with(*status, headers, body, refine)
}

fn progress(members: &Members<'_>, poll_after: Duration) -> Result<Progress, ProviderError> {
    let Some(state) = members.string("state") else {
        let unreadable = || ProviderError::Unreadable("the upstream's response is not a task".to_owned());
        return Err(error_of(members).unwrap_or_else(unreadable));
    };
    Ok(match state.trim().to_ascii_lowercase().as_str() {
        "success" | "succeeded" => Progress::Ready(clip(members)),
        "failed" if members.string("err_code").as_deref() == Some(CANCELLED) => Progress::Cancelled,
        "failed" => Progress::Failed(error_of(members).unwrap_or_else(no_reason)),
        "canceled" | "cancelled" => Progress::Cancelled,
        // Queued, running, or a state that is not known: polling continues until a final state. Vidu reports no percentage.
        _ => Progress::Working { percent: None, poll_after },
    })
}

/// Returns the result of a task. Without a link the result has no files, and the job runner then fails the job.
fn clip(members: &Members<'_>) -> Clip {
    let creations = members.objects("creations");
    let url = creations.first().and_then(|creation| creation.string("url"));
    let file = |url: Cow<'_, str>| ClipFile {
        variant: Variant::Video,
        media_type: "video/mp4".to_owned(),
        location: url.into_owned(),
    };
    Clip::new(url.map(file))
}

/// Returns the error of a failed task that reports none.
fn no_reason() -> ProviderError {
    ProviderError::Broken("the render failed at the upstream, which gave no reason".to_owned())
}

/// Returns the error that an object in a successful response reports: that of a task, or that of a call.
fn error_of(members: &Members<'_>) -> Option<ProviderError> {
    let state = members.string("state");
    let is_failed = state.is_some_and(|state| state.eq_ignore_ascii_case("failed"));
    let reason = members.string("err_code").or_else(|| members.string("reason"));
    let Some(reason) = reason else { return is_failed.then(no_reason) };
    let message = members.string("message").unwrap_or_else(|| reason.clone());
    Some(parse_error_member_with(&json!({"reason": reason, "message": message}).to_string(), refine))
}

/// Returns the failure that Vidu's reason means, which is more specific than the status; `by_status` for an unknown reason.
fn refine(error: &Value, by_status: ProviderError) -> ProviderError {
    let message = by_status.to_string();
    match error["reason"].as_str().unwrap_or_default() {
        "AuditSubmitIllegal" => ProviderError::ContentPolicy(message),
        reason if reason.ends_with("PolicyViolation") => ProviderError::ContentPolicy(message),
        // Also an account without credits, with status 400.
        "CreditInsufficient" | "Unauthorized" | "Forbidden" => ProviderError::Credentials(message),
        // `QuotaExceeded`: too many tasks at a time.
        "QuotaExceeded" | "TooManyRequests" | "SystemThrottling" | "OperationInProcess" => {
            ProviderError::RateLimited { message, retry_after: by_status.retry_after() }
        }
        // Also an unknown model, which only the operator can correct.
        "BadRequest" | "ModelUnavailable" | "NotFound" => ProviderError::Refused { message, field: None },
        reason if reason.starts_with("Field") || reason.starts_with("Image") => {
            ProviderError::Refused { message, field: None }
        }
        "InternalServiceFailure" => ProviderError::Broken(message),
        _ => by_status,
    }
}
