//! The states of Veo's operations: running, finished with a video, finished with its videos withheld by Google's safety filter
//! (RAI, "responsible AI"), or failed.

use std::time::Duration;

use http::StatusCode;

use super::super::{
    super::common::{exchange::Response, outcome::permanent_refusal},
    refusal::{self, failure},
    video_object,
};
use crate::{
    error::ProviderError,
    json::members::{Members, read_object, text},
    upstream::retry_after,
    video::{Clip, Progress},
};

/// Returns the task that a response to a submission reports: the name of the operation, which is its path.
pub(in crate::video::providers) fn parse_submission(response: &Response) -> Result<String, ProviderError> {
    if !response.status.is_success() {
        let error = failure(response);
        // Not sent again: 404 means an unknown model, which only the operator can correct.
        return Err(if response.status.is_client_error() { permanent_refusal(error) } else { error });
    }
    read_object(&response.body, |members| {
        if let Some(error) = members.raw("error") {
            return Err(permanent_refusal(refusal::embedded_error(error)));
        }
        let name = members.string("name").map(|name| name.trim_matches('/').to_owned());
        name.filter(|name| !name.is_empty())
            .ok_or_else(|| ProviderError::Unreadable("the upstream's response has no name of an operation".to_owned()))
    })?
}

/// Returns the progress of the operation `task` that a response to a poll reports.
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

fn progress(members: &Members<'_>, task: &str, poll_after: Duration) -> Result<Progress, ProviderError> {
    // `done` is absent while the operation runs.
    if !members.is_true("done") {
        return Ok(Progress::Working { percent: None, poll_after });
    }
    if let Some(error) = members.raw("error") {
        return Ok(Progress::Failed(refusal::embedded_error(error)));
    }
    if let Some(clip) = video_object::clip(members, task)? {
        return Ok(Progress::Ready(clip));
    }
    let response = members.object("response");
    let filtered = [response.object("generateVideoResponse"), response];
    Ok(match filtered.iter().find_map(filter_reasons) {
        Some(reasons) => Progress::Failed(ProviderError::ContentPolicy(reasons)),
        // Finished without a file and without a reason: the job runner fails the job.
        None => Progress::Ready(Clip::new([])),
    })
}

/// Returns the reasons why the safety filter withheld the videos; `None` if it withheld none.
fn filter_reasons(response: &Members<'_>) -> Option<String> {
    let reasons: Vec<_> = response.list("raiMediaFilteredReasons").into_iter().filter_map(text).collect();
    let is_filtered = !reasons.is_empty() || response.number("raiMediaFilteredCount").is_some_and(|count| count > 0);
    let without = || "the provider withheld the video, and gave no reason".to_owned();
    is_filtered.then(|| if reasons.is_empty() { without() } else { reasons.join("; ") })
}
