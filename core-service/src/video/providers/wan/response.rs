//! The video tasks of DashScope (Alibaba Cloud), their results and lists. The error codes are in `dashscope_errors`.

use std::{borrow::Cow, time::Duration};

use http::StatusCode;

use super::super::common::{exchange::Response, outcome::permanent_refusal, usage};
use crate::{
    dashscope_errors::{self, error_of},
    error::ProviderError,
    json::members::{Members, read_object},
    upstream::{parse_error_response_with, retry_after},
    video::{Clip, ClipFile, Progress, RenderUsage, Variant},
};

/// The state that DashScope reports for a task that it does not find: because it is older than a day, in another region, or was
/// submitted a moment ago.
const UNKNOWN: &str = "unknown";

/// Returns the id of the task that a response to a submission reports.
pub(super) fn parse_submission(response: &Response) -> Result<String, ProviderError> {
    let Response { status, body, .. } = response;
    if !status.is_success() {
        let error = failure(response);
        // Not sent again: 404 means an unknown model, which only the operator can correct.
        return Err(if status.is_client_error() { permanent_refusal(error) } else { error });
    }
    read_object(body, |members| {
        let output = members.object("output");
        if let Some(id) = output.text("task_id") {
            return Ok(id.into_owned());
        }
        let missing = || ProviderError::Unreadable("the upstream's response has no id of a task".to_owned());
        Err(error_of(&members).or_else(|| error_of(&output)).map_or_else(missing, permanent_refusal))
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
    parse_error_response_with(*status, headers, body, dashscope_errors::refine)
}

fn progress(members: &Members<'_>, poll_after: Duration) -> Result<Progress, ProviderError> {
    let output = members.object("output");
    let error = || error_of(&output).or_else(|| error_of(members));
    let Some(status) = output.string("task_status") else {
        let unreadable = || ProviderError::Unreadable("the upstream's response is not a task".to_owned());
        return Err(error().unwrap_or_else(unreadable));
    };
    Ok(match status.trim().to_ascii_lowercase().as_str() {
        "succeeded" => Progress::Ready(clip(&output, &members.object("usage"))),
        "failed" => Progress::Failed(error().unwrap_or_else(|| {
            ProviderError::Broken("the render failed at the upstream, which gave no reason".to_owned())
        })),
        "canceled" | "cancelled" => Progress::Cancelled,
        UNKNOWN => Progress::Missing,
        // Pending, running, or a state that is not known: polling continues until a final state. DashScope reports no percentage.
        _ => Progress::Working { percent: None, poll_after },
    })
}

/// Returns the result of a task. Without a link the result has no files, and the job runner then fails the job.
fn clip(output: &Members<'_>, reported: &Members<'_>) -> Clip {
    let url = output.string("video_url").or_else(|| output.object("results").string("video_url"));
    let file = |url: Cow<'_, str>| ClipFile {
        variant: Variant::Video,
        media_type: "video/mp4".to_owned(),
        location: url.into_owned(),
    };
    // Billed: the seconds of input videos and of the result.
    let video_millis = usage::millis(reported, "duration");
    Clip::new(url.map(file)).with_usage(RenderUsage { video_millis, ..RenderUsage::default() })
}

/// The first page of a list of tasks.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TaskList {
    pub(super) ids: Vec<String>,
    /// Whether there are further pages.
    pub(super) has_more: bool,
}

/// Returns the ids of the tasks that a response to a list request contains.
pub(super) fn parse_list(response: &Response) -> Result<TaskList, ProviderError> {
    if !response.status.is_success() {
        return Err(failure(response));
    }
    read_object(&response.body, |members| {
        if let Some(error) = error_of(&members) {
            return Err(error);
        }
        let ids = members.objects("data").iter().filter_map(|task| task.text("task_id").map(Cow::into_owned)).collect();
        Ok(TaskList { ids, has_more: members.number("total_page").is_some_and(|pages| pages > 1) })
    })?
}

/// Returns the prompt of a task. DashScope reports it only after the task has ended.
pub(super) fn parse_prompt(response: &Response) -> Option<String> {
    let prompt = |members: Members<'_>| members.object("output").string("orig_prompt").map(Cow::into_owned);
    read_object(&response.body, prompt).ok().flatten()
}
