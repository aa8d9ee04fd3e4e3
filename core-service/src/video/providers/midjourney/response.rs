//! Tasks of Midjourney proxies: their states, results and lists. Proxies differ in spelling and in the statuses of their errors.

use std::{borrow::Cow, time::Duration};

use http::StatusCode;
use serde_json::value::RawValue;

use super::super::common::{exchange::Response, outcome::permanent_refusal};
use crate::{
    error::ProviderError,
    json::members::{Members, object, read_object, read_objects, text},
    midjourney_errors::{classify, task_id},
    upstream::retry_after,
    video::{Cancellation, Clip, ClipFile, Progress, Variant},
};

/// Returns the id of the task that a response to a submission reports.
pub(super) fn parse_submission(response: &Response) -> Result<String, ProviderError> {
    let Response { status, headers, body } = response;
    let has_code = read_object(body, |members| members.number("code").is_some()).unwrap_or(false);
    task_id(*status, headers, body).map_err(|error| match *status {
        // Without a `code`, the response is not that of the endpoint for videos: the proxy does not have it, or the base URL is wrong.
        // The submission is not sent again, because another attempt would fail too.
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED if !has_code => permanent_refusal(error),
        _ => error,
    })
}

/// Returns the progress of the task that a response to a poll reports. For an unknown task, a proxy sends status 204, 400 or
/// 404, or an empty body or `null`.
pub(super) fn parse_poll(response: &Response, interval: Duration) -> Result<Progress, ProviderError> {
    let Response { status, headers, body } = response;
    let body = body.trim_ascii();
    match *status {
        StatusCode::NO_CONTENT | StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND => Ok(Progress::Missing),
        status if !status.is_success() => Err(response.failure()),
        _ if body.is_empty() || body == b"null" => Ok(Progress::Missing),
        _ => read_object(body, |members| progress(&members, retry_after(headers).unwrap_or(interval))),
    }
}

/// Returns whether a response to a cancellation reports that the task ended. Many proxies cannot cancel.
pub(super) fn parse_cancellation(response: &Response) -> Result<Cancellation, ProviderError> {
    let Response { status, body, .. } = response;
    let code = read_object(body, |members| members.number("code")).ok().flatten();
    match *status {
        // Code 1 is success.
        status if status.is_success() && code == Some(1) => Ok(Cancellation::Stopped),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(response.failure()),
        status if status.is_server_error() => Err(response.failure()),
        status => {
            tracing::info!(status = status.as_u16(), code, "the proxy does not stop a render");
            Ok(Cancellation::StillRunning)
        }
    }
}

/// Returns the id of the task with this job id in a list; `None` if there is none, or the proxy has no list.
pub(super) fn parse_list(response: &Response, job_id: &str) -> Result<Option<String>, ProviderError> {
    let Response { status, body, .. } = response;
    match *status {
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => return Ok(None),
        status if !status.is_success() => return Err(response.failure()),
        _ if body.trim_ascii().is_empty() => return Ok(None),
        _ => {}
    }
    read_objects(body, |tasks| {
        let found = tasks.iter().find(|task| task.text("state").is_some_and(|state| state == job_id));
        found.and_then(|task| task.text("id")).map(Cow::into_owned)
    })
}

fn progress(members: &Members<'_>, poll_after: Duration) -> Progress {
    let status = members.string("status").unwrap_or_default();
    match status.trim().to_ascii_uppercase().as_str() {
        "SUCCESS" => Progress::Ready(clip(members)),
        "FAILURE" => {
            let reason = members.string("failReason").unwrap_or_default();
            let reason = Some(reason.trim()).filter(|reason| !reason.is_empty());
            let reason = reason.unwrap_or("the proxy's task failed without a reason");
            Progress::Failed(classify(reason).unwrap_or_else(|| ProviderError::Broken(reason.to_owned())))
        }
        "CANCEL" | "CANCELLED" => Progress::Cancelled,
        // The bot waits for input to a dialog, which the gateway cannot give.
        "MODAL" => Progress::Failed(ProviderError::Broken("the proxy's task waits for a confirmation".to_owned())),
        // `NOT_START`, `SUBMITTED`, `IN_PROGRESS`, no state, and unknown states.
        _ => Progress::Working { percent: percent(members), poll_after },
    }
}

/// Returns the percentage: the leading digits of `45%`, at most 99. `None` if there are none: some proxies write words.
fn percent(members: &Members<'_>) -> Option<u8> {
    let progress = members.text("progress")?;
    let progress = progress.trim();
    let digits = progress.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse::<u8>().ok().map(|percent| percent.min(99))
}

/// Returns the first video of a task. Without a link the result has no files, and the job runner then fails the job.
fn clip(members: &Members<'_>) -> Clip {
    let url = |value: &RawValue| text(value).or_else(|| object(value).string("url")).map(Cow::into_owned);
    let link = members.list("videoUrls").into_iter().find_map(url);
    let link = link.or_else(|| members.string("videoUrl").map(Cow::into_owned)).filter(|link| !link.is_empty());
    let video = link.map(|location| ClipFile { variant: Variant::Video, media_type: "video/mp4".to_owned(), location });
    Clip::new(video)
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    fn response(status: u16, body: &str) -> Response {
        let status = StatusCode::from_u16(status).unwrap();
        Response { status, headers: HeaderMap::new(), body: body.to_owned().into() }
    }

    #[test]
    fn progress_is_read_from_every_spelling() {
        for (progress, percent) in
            [(r#""45%""#, Some(45)), ("45", Some(45)), (r#""100%""#, Some(99)), (r#""waiting""#, None), ("null", None)]
        {
            let body = format!(r#"{{"status":"IN_PROGRESS","progress":{progress}}}"#);
            let expected = Progress::Working { percent, poll_after: Duration::from_secs(3) };
            assert_eq!(parse_poll(&response(200, &body), Duration::from_secs(3)), Ok(expected), "{progress}");
        }
    }

    #[test]
    fn list_has_the_task_only_with_its_job_id() {
        let list = r#"[{"id":"1","state":"video_0"},{"id":2,"state":"video_1"},{"id":"3"}]"#;
        assert_eq!(parse_list(&response(200, list), "video_1"), Ok(Some("2".to_owned())));
        for (status, body) in [(200, "[]"), (200, ""), (404, "no such path"), (200, r#"[{"id":"3"}]"#)] {
            assert_eq!(parse_list(&response(status, body), "video_1"), Ok(None), "{body}");
        }
        for status in [408, 429, 503] {
            assert!(
                matches!(parse_list(&response(status, ""), "video_1"), Err(error) if error.is_transient()),
                "{status}"
            );
        }
        // A rejected secret says nothing about the list: the runner searches again until the operator corrects it.
        assert!(matches!(parse_list(&response(401, ""), "video_1"), Err(ProviderError::Credentials(_))));
    }

    #[test]
    fn proxies_that_cannot_cancel_let_the_task_run_on() {
        for (status, body, expected) in [
            (200, r#"{"code":1,"description":"ok"}"#, Cancellation::Stopped),
            (200, r#"{"code":3,"description":"not found"}"#, Cancellation::StillRunning),
            (404, "", Cancellation::StillRunning),
            (405, "", Cancellation::StillRunning),
        ] {
            assert_eq!(parse_cancellation(&response(status, body)), Ok(expected), "{status} {body}");
        }
        assert!(parse_cancellation(&response(401, "")).is_err() && parse_cancellation(&response(502, "")).is_err());
    }
}
