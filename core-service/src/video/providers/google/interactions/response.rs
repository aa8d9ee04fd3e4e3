//! The states of interactions, their results, and their failures, which the API reports in several places: as an error status, in
//! `error`, in a step, in `errors`, or as text instead of a video.

use std::time::Duration;

use http::StatusCode;

use super::{
    super::{
        super::common::{exchange::Response, outcome::permanent_refusal},
        refusal::{self, failure},
        video_object,
    },
    PATH,
};
use crate::{
    error::ProviderError,
    json::members::{Members, read_object},
    upstream::{Upstream, retry_after},
    video::{Cancellation, Clip, Progress},
};

/// Returns the task that a response to a submission reports: the path of the interaction.
pub(in crate::video::providers) fn parse_submission(response: &Response) -> Result<String, ProviderError> {
    if !response.status.is_success() {
        let error = failure(response);
        // Not sent again: 404 means an unknown model, which only the operator can correct.
        return Err(if response.status.is_client_error() { permanent_refusal(error) } else { error });
    }
    read_object(&response.body, |members| {
        let Some(id) = members.text("id") else {
            let unreadable =
                || ProviderError::Unreadable("the upstream's response has no id of an interaction".to_owned());
            return Err(members
                .raw("error")
                .map_or_else(unreadable, |error| permanent_refusal(refusal::embedded_error(error))));
        };
        Ok(format!("{PATH}/{id}"))
    })?
}

/// Returns the progress of the interaction `task` that a response to a poll reports.
pub(in crate::video::providers) fn parse_poll(
    response: &Response,
    task: &str,
    interval: Duration,
) -> Result<Progress, ProviderError> {
    match response.status {
        StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(Progress::Missing),
        status if !status.is_success() => return Err(failure(response)),
        _ => {}
    }
    let poll_after = retry_after(&response.headers).unwrap_or(interval);
    read_object(&response.body, |members| progress(&members, task, poll_after))?
}

/// Returns whether a response to a cancellation of `task` reports that the task ended.
pub(in crate::video::providers) fn parse_cancellation(
    response: &Response,
    task: &str,
    upstream: &Upstream,
) -> Result<Cancellation, ProviderError> {
    match response.status {
        status if status.is_success() => Ok(Cancellation::Stopped),
        StatusCode::NOT_FOUND | StatusCode::GONE => Ok(Cancellation::Stopped),
        // The interaction is in a state in which it cannot be cancelled.
        StatusCode::BAD_REQUEST | StatusCode::CONFLICT => {
            let error = upstream.redacted(failure(response));
            tracing::info!(task, "the upstream does not stop a render: {error}");
            Ok(Cancellation::StillRunning)
        }
        _ => Err(upstream.redacted(failure(response))),
    }
}

fn progress(members: &Members<'_>, task: &str, poll_after: Duration) -> Result<Progress, ProviderError> {
    let Some(status) = members.string("status") else {
        let unreadable = || ProviderError::Unreadable("the upstream's response is not an interaction".to_owned());
        return Err(members.raw("error").map_or_else(unreadable, refusal::embedded_error));
    };
    Ok(match status.trim().to_ascii_lowercase().as_str() {
        "completed" => completed(members, task)?,
        "failed" | "incomplete" | "budget_exceeded" => Progress::Failed(task_failure(members, &status)),
        // The model waits for the result of a tool, but the gateway gives it no tools.
        "requires_action" => {
            Progress::Failed(ProviderError::Broken("the upstream asked for an action instead of a video".to_owned()))
        }
        "cancelled" | "canceled" => Progress::Cancelled,
        // `queued`, `in_progress`, and unknown states. The API reports no percentage.
        _ => Progress::Working { percent: None, poll_after },
    })
}

/// Returns the result of a completed interaction. If it has text and no video, the model refused the request.
fn completed(members: &Members<'_>, task: &str) -> Result<Progress, ProviderError> {
    if let Some(clip) = video_object::clip(members, task)? {
        return Ok(Progress::Ready(clip));
    }
    if let Some(error) = reported_error(members) {
        return Ok(Progress::Failed(error));
    }
    let text = output_text(members);
    Ok(if text.is_empty() {
        Progress::Ready(Clip::new([]))
    } else {
        let message = format!("the model returned text instead of a video: {text}");
        Progress::Failed(if refusal::is_policy(&text) {
            ProviderError::ContentPolicy(message)
        } else {
            ProviderError::Refused { message, field: None }
        })
    })
}

/// Returns the failure of an interaction that ended in the state `status`.
fn task_failure(members: &Members<'_>, status: &str) -> ProviderError {
    if let Some(error) = reported_error(members) {
        return error;
    }
    let text = output_text(members);
    let message = if text.is_empty() {
        format!("the render ended as `{status}` at the upstream, which gave no reason")
    } else {
        text
    };
    if refusal::is_policy(&message) { ProviderError::ContentPolicy(message) } else { ProviderError::Broken(message) }
}

/// Returns the error of an interaction: its member `error`, that of its last step with one, or the first of `errors`.
fn reported_error(members: &Members<'_>) -> Option<ProviderError> {
    let of_step = || members.objects("steps").into_iter().rev().find_map(|step| step.raw("error"));
    if let Some(error) = members.raw("error").or_else(of_step) {
        return Some(refusal::embedded_error(error));
    }
    let error = members.objects("errors").into_iter().next()?;
    // The code is a word or the URI of an error type.
    let code = error.text("code").unwrap_or_default();
    let message = error.text("message").unwrap_or_else(|| code.clone()).into_owned();
    Some(if refusal::is_policy(&code) || refusal::is_policy(&message) {
        ProviderError::ContentPolicy(message)
    } else {
        ProviderError::Broken(message)
    })
}

/// Returns the text that the model returned.
fn output_text(members: &Members<'_>) -> String {
    let steps = members.objects("steps");
    let outputs = steps.iter().filter(|step| step.string("type").is_some_and(|kind| kind == "model_output"));
    let texts = outputs.flat_map(|step| step.objects("content")).filter_map(|content| content.string("text"));
    texts.collect::<Vec<_>>().join(" ").trim().to_owned()
}
