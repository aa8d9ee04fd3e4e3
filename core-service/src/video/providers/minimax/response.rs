//! MiniMax's tasks, their results and the links to them, in the forms of both versions of the API.

use std::{borrow::Cow, time::Duration};

use http::StatusCode;

use super::{
    super::common::{exchange::Response, outcome::permanent_refusal, usage},
    api::Api,
    errors::{error_in_status, error_of, failure},
};
use crate::{
    error::ProviderError,
    json::members::{Members, read_object},
    upstream::retry_after,
    video::{Cancellation, Clip, ClipFile, Progress, RenderUsage, Variant},
};

/// The beginning of `ClipFile::location` for a result that is a file of version 1; its id follows. Other locations are links.
const FILE: &str = "file:";

/// The message of version 2 about a task that does not exist, in a response with status 500.
const NO_RECORD: &str = "record not found";

/// Returns the id of the task that a response to a submission reports.
pub(super) fn parse_submission(response: &Response) -> Result<String, ProviderError> {
    let Response { status, body, .. } = response;
    if !status.is_success() {
        let error = failure(response);
        // Not sent again: 404 means an unknown model, which only the operator can correct.
        return Err(if status.is_client_error() { permanent_refusal(error) } else { error });
    }
    read_object(body, |members| {
        if let Some(error) = error_in_status(&members).or_else(|| error_of(&members)) {
            return Err(error);
        }
        let id = members.text("task_id").map(Cow::into_owned);
        id.ok_or_else(|| ProviderError::Unreadable("the upstream's response has no id of a task".to_owned()))
    })?
}

/// Returns the progress of the task that a response to a poll reports.
pub(super) fn parse_poll(api: Api, response: &Response, interval: Duration) -> Result<Progress, ProviderError> {
    if is_missing(response) {
        return Ok(Progress::Missing);
    }
    if !response.status.is_success() {
        return Err(failure(response));
    }
    let poll_after = retry_after(&response.headers).unwrap_or(interval);
    read_object(&response.body, |members| {
        let task = match api {
            Api::V1 => members,
            Api::V2 => members.object("task"),
        };
        progress(api, &task, poll_after).unwrap_or_else(|| {
            let error = error_in_status(&task);
            Err(error.unwrap_or_else(|| ProviderError::Unreadable("the upstream's response is not a task".to_owned())))
        })
    })?
}

/// Returns whether a response of version 2 to a cancellation reports that the task ended.
pub(super) fn parse_cancellation(response: &Response) -> Result<Cancellation, ProviderError> {
    // The response may be successful and report a task that still runs.
    let is_still_running = |members: Members<'_>| {
        let status = members.string("status").unwrap_or_default().to_ascii_lowercase();
        matches!(status.as_str(), "running" | "processing")
    };
    match response.status {
        status if status.is_success() && read_object(&response.body, is_still_running).unwrap_or(false) => {
            Ok(Cancellation::StillRunning)
        }
        status if status.is_success() || is_missing(response) => Ok(Cancellation::Stopped),
        StatusCode::BAD_REQUEST | StatusCode::CONFLICT => Ok(Cancellation::StillRunning),
        _ => Err(failure(response)),
    }
}

/// Returns the link that a response about a file reports.
pub(super) fn parse_link(response: &Response) -> Result<String, ProviderError> {
    if matches!(response.status, StatusCode::NOT_FOUND | StatusCode::GONE) {
        return Err(ProviderError::LinkExpired("the upstream does not know the file".to_owned()));
    }
    if !response.status.is_success() {
        return Err(failure(response));
    }
    read_object(&response.body, |members| {
        let link = members.object("file").string("download_url").map(Cow::into_owned);
        let missing = || ProviderError::Unreadable("the upstream's response has no link to the file".to_owned());
        link.ok_or_else(|| error_in_status(&members).unwrap_or_else(missing))
    })?
}

/// Returns the id of the file that a location names; `None` for a link.
pub(super) fn file_id(location: &str) -> Option<&str> {
    location.strip_prefix(FILE)
}

/// Returns whether a response reports that the task does not exist.
fn is_missing(response: &Response) -> bool {
    let has_no_record = || {
        let message = read_object(&response.body, |members| {
            members.object("error").string("message").map(|message| message.to_ascii_lowercase())
        });
        message.ok().flatten().is_some_and(|message| message.contains(NO_RECORD))
    };
    matches!(response.status, StatusCode::NOT_FOUND | StatusCode::GONE)
        || response.status.is_server_error() && has_no_record()
}

/// Returns the progress of a task; `None` if it has no state.
fn progress(api: Api, task: &Members<'_>, poll_after: Duration) -> Option<Result<Progress, ProviderError>> {
    let status = task.string("status")?;
    let failure = || {
        let unknown = || ProviderError::Broken("the render failed at the upstream, which gave no reason".to_owned());
        error_of(task).or_else(|| error_in_status(task)).unwrap_or_else(unknown)
    };
    Some(Ok(match status.trim().to_ascii_lowercase().as_str() {
        "success" | "succeeded" => Progress::Ready(clip(api, task)),
        "fail" | "failed" => Progress::Failed(failure()),
        "cancelled" | "canceled" => Progress::Cancelled,
        "expired" => Progress::Failed(ProviderError::Timeout("the render expired at the upstream".to_owned())),
        // Queued, running, or a state that is not known: polling continues until a final state. The provider reports no
        // percentage.
        _ => Progress::Working { percent: None, poll_after },
    }))
}

/// Returns the result of a task. Without a link or the id of a file the result has no files, and the job runner then fails the job.
fn clip(api: Api, task: &Members<'_>) -> Clip {
    let location = match api {
        Api::V1 => task.text("file_id").map(|id| format!("{FILE}{id}")),
        Api::V2 => task.object("content").string("url").map(Cow::into_owned),
    };
    let file = |location| ClipFile { variant: Variant::Video, media_type: "video/mp4".to_owned(), location };
    // Only version 2 reports a usage. Billed: the seconds of input videos and of the result.
    let reported = task.object("usage");
    let video_millis = usage::millis(&reported, "total_seconds").or_else(|| usage::millis(&reported, "output_seconds"));
    Clip::new(location.map(file)).with_usage(RenderUsage { video_millis, ..RenderUsage::default() })
}
