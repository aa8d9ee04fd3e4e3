//! Tasks and errors of Kling's video API. Every response has a member `code`: zero for success, otherwise one of Kling's error codes.

use std::{borrow::Cow, time::Duration};

use http::StatusCode;
use serde_json::Value;

use super::super::common::exchange::Response;
use crate::{
    error::ProviderError,
    json::members::{Members, read_object},
    upstream::{parse_error_member_with, parse_error_response_with, retry_after},
    video::{Clip, ClipFile, Progress, Variant},
};

/// The code for a model or a task that does not exist.
const NOT_FOUND: u64 = 1203;

/// Texts of which the message of a failed task contains one if its content was refused. A failed task has no error code.
const REFUSALS: [&str; 3] = ["risk control", "sensitive", "content policy"];

/// One page of a list of tasks.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// The id of the task with the job id, if this page contains it.
    pub(super) found: Option<String>,
    /// The number of tasks in the page; zero after the end of the list.
    pub(super) length: usize,
}

/// Returns the id of the task that a response to a submission reports.
pub(super) fn parse_submission(response: &Response) -> Result<String, ProviderError> {
    read(response, |members| {
        let id = members.object("data").text("task_id").map(Cow::into_owned);
        id.ok_or_else(|| ProviderError::Unreadable("the upstream's response has no id of a task".to_owned()))
    })
}

/// Returns the progress of the task that a response to a poll reports.
pub(super) fn parse_poll(response: &Response, interval: Duration) -> Result<Progress, ProviderError> {
    let is_unknown = |members: Members<'_>| members.number("code") == Some(NOT_FOUND);
    let is_gone = matches!(response.status, StatusCode::NOT_FOUND | StatusCode::GONE);
    if is_gone || read_object(&response.body, is_unknown).unwrap_or(false) {
        return Ok(Progress::Missing);
    }
    let poll_after = retry_after(&response.headers).unwrap_or(interval);
    read(response, |members| progress(&members.object("data"), poll_after))
}

/// Looks for the task with this job id in one page of the list of tasks.
pub(super) fn parse_list(response: &Response, job_id: &str) -> Result<Page, ProviderError> {
    read(response, |members| {
        // A response of another kind has no tasks either, but must not pass for the end of the list.
        if members.number("code").is_none() {
            return Err(ProviderError::Unreadable("the upstream's response is not a list of tasks".to_owned()));
        }
        let tasks = members.objects("data");
        let has_job_id = |task: &&Members<'_>| {
            task.object("task_info").text("external_task_id").or_else(|| task.text("external_task_id")).as_deref()
                == Some(job_id)
        };
        let found = tasks.iter().find(has_job_id).and_then(|task| task.text("task_id").map(Cow::into_owned));
        Ok(Page { found, length: tasks.len() })
    })
}

/// Reads a successful response with `read`; returns the error of any other.
fn read<T>(
    response: &Response,
    read: impl FnOnce(&Members<'_>) -> Result<T, ProviderError>,
) -> Result<T, ProviderError> {
    let Response { status, headers, body } = response;
    if !status.is_success() {
        return Err(parse_error_response_with(*status, headers, body, refine));
    }
    read_object(body, |members| match members.number("code") {
        None | Some(0) => read(&members),
        Some(_) => Err(parse_error_member_with(&String::from_utf8_lossy(body), refine)),
    })?
}

fn progress(task: &Members<'_>, poll_after: Duration) -> Result<Progress, ProviderError> {
    let Some(status) = task.string("task_status") else {
        return Err(ProviderError::Unreadable("the upstream's response is not a task".to_owned()));
    };
    Ok(match status.trim().to_ascii_lowercase().as_str() {
        "succeed" | "succeeded" => Progress::Ready(clip(task)),
        "failed" => Progress::Failed(failure(task)),
        "canceled" | "cancelled" => Progress::Cancelled,
        // Queued, running, or a state that is not known: polling continues until a final state. The provider reports no
        // percentage.
        _ => Progress::Working { percent: None, poll_after },
    })
}

fn failure(task: &Members<'_>) -> ProviderError {
    let Some(message) = task.string("task_status_msg") else {
        return ProviderError::Broken("the render failed at the upstream, which gave no reason".to_owned());
    };
    let lower = message.to_lowercase();
    if REFUSALS.iter().any(|part| lower.contains(part)) {
        ProviderError::ContentPolicy(message.into_owned())
    } else {
        ProviderError::Broken(message.into_owned())
    }
}

/// Returns the result of a task. Without a link the result has no files, and the job runner then fails the job.
fn clip(task: &Members<'_>) -> Clip {
    let videos = task.object("task_result").objects("videos");
    let url = videos.first().and_then(|video| video.string("url"));
    let file = |url: Cow<'_, str>| ClipFile {
        variant: Variant::Video,
        media_type: "video/mp4".to_owned(),
        location: url.into_owned(),
    };
    Clip::new(url.map(file))
}

/// Returns the failure that Kling's error code means, otherwise `by_status`. The code decides rather than the HTTP status,
/// because pages of Kling's documentation give different statuses for some codes.
fn refine(error: &Value, by_status: ProviderError) -> ProviderError {
    let Some(code) = error["code"].as_u64().or_else(|| error["code"].as_str()?.parse().ok()) else { return by_status };
    let message = by_status.to_string();
    match code {
        // Invalid keys or tokens; an account without money or resource packs (with status 429) or without the right; an IP
        // address that is not on the account's list.
        1000..=1004 | 1100..=1103 | 1304 => ProviderError::Credentials(message),
        1300 | 1301 => ProviderError::ContentPolicy(message),
        // Requests per second; tasks at a time.
        1302 | 1303 => ProviderError::RateLimited { message, retry_after: by_status.retry_after() },
        // Invalid parameters, and an unknown model, which only the operator can correct.
        1200..=1203 => ProviderError::Refused { message, field: None },
        5000 => ProviderError::Broken(message),
        5001 => ProviderError::Unavailable { message, retry_after: by_status.retry_after() },
        5002 => ProviderError::Timeout(message),
        _ => by_status,
    }
}
