//! Video objects (`{"object": "video", "id": ..., "status": ...}`) and errors of the OpenAI videos API and of the servers that
//! copy it.
//!
//! Some servers report a failed render with status 500 and the video object: an error status alone does not mean that the poll
//! failed.

use std::{borrow::Cow, time::Duration};

use http::{HeaderMap, StatusCode};

use super::{
    super::common::{exchange::Response, outcome::permanent_refusal},
    location::Location,
};
use crate::{
    error::ProviderError,
    json::members::{Members, read_object, text},
    upstream::{parse_error_member, retry_after},
    video::{Clip, ClipFile, Progress, Variant},
};

/// The header with the recommended delay before the next poll, in milliseconds.
const POLL_AFTER: &str = "openai-poll-after-ms";

/// A video object.
#[derive(Debug)]
struct Video {
    id: String,
    /// Whether the member `object` is `"video"`. Without it, the JSON object may also be an error that has an id and a status.
    is_declared: bool,
    state: State,
}

/// The state of a render, from the member `status`.
#[derive(Debug)]
enum State {
    /// Queued, in progress, or unknown. If an unknown state is final, polling continues until the deadline of the job.
    Working {
        percent: Option<u8>,
    },
    Completed {
        /// The link in the video object, which some servers have instead of `/content`.
        url: Option<String>,
    },
    Failed(ProviderError),
    Cancelled,
}

/// Returns the id of the render that a response to a submission reports.
pub(super) fn parse_submission(response: &Response) -> Result<String, ProviderError> {
    let Response { status, body, .. } = response;
    match video(body) {
        // The render has failed already.
        Some(Video { is_declared, state: State::Failed(error), .. }) if status.is_success() || is_declared => {
            return Err(with_known_outcome(error));
        }
        Some(Video { id, .. }) if status.is_success() => return Ok(id),
        Some(_) | None => {}
    }
    if !status.is_success() {
        let error = response.failure();
        return Err(if is_setup_failure(*status) { permanent_refusal(error) } else { error });
    }
    Err(embedded_error(body).unwrap_or_else(|| {
        ProviderError::Unreadable("the upstream's response is not a video object with id and status".to_owned())
    }))
}

/// Returns the progress of the render `id` that a response to a poll reports.
pub(super) fn parse_poll(response: &Response, id: &str, interval: Duration) -> Result<Progress, ProviderError> {
    let Response { status, headers, body } = response;
    // Errors of proxies may have an id and a status too. With an error status, only a final state counts, and only in a declared video
    // object or one with the id of this render.
    let is_answer = |video: &Video| {
        status.is_success() || (video.is_declared || video.id == id) && !matches!(video.state, State::Working { .. })
    };
    if let Some(Video { state, .. }) = video(body).filter(is_answer) {
        return Ok(match state {
            State::Working { percent } => Progress::Working { percent, poll_after: poll_after(headers, interval) },
            State::Completed { url } => Progress::Ready(clip(id, url)?),
            State::Failed(error) => Progress::Failed(error),
            State::Cancelled => Progress::Cancelled,
        });
    }
    match *status {
        StatusCode::NOT_FOUND | StatusCode::GONE => Ok(Progress::Missing),
        status if !status.is_success() => Err(response.failure()),
        _ => Err(embedded_error(body)
            .unwrap_or_else(|| ProviderError::Unreadable("the upstream's response is not a video object".to_owned()))),
    }
}

/// Parses a video object; `None` if the body is something else.
fn video(body: &[u8]) -> Option<Video> {
    let parsed = read_object(body, |members| {
        let (id, status) = (members.text("id")?, members.string("status")?);
        let object = members.string("object").unwrap_or_default();
        let is_declared = object == "video";
        (object != "error").then(|| Video { id: id.into_owned(), is_declared, state: state(&status, &members) })
    });
    parsed.ok().flatten()
}

fn state(status: &str, members: &Members<'_>) -> State {
    match status.trim().to_ascii_lowercase().as_str() {
        "completed" | "succeeded" | "success" => State::Completed { url: link(members) },
        "failed" | "error" => State::Failed(members.error().map_or_else(
            || ProviderError::Broken("the render failed at the upstream, which gave no reason".to_owned()),
            parse_error_member,
        )),
        "expired" => State::Failed(ProviderError::Timeout("the render expired at the upstream".to_owned())),
        "cancelled" | "canceled" | "deleted" => State::Cancelled,
        _ => State::Working {
            percent: members.number("progress").map(|percent| u8::try_from(percent.min(99)).unwrap_or(99)),
        },
    }
}

/// Returns the link to the finished video, if the object has one.
fn link(members: &Members<'_>) -> Option<String> {
    let first = || members.list("urls").first().and_then(|url| text(url));
    members.string("url").or_else(first).map(Cow::into_owned)
}

fn clip(id: &str, url: Option<String>) -> Result<Clip, ProviderError> {
    let location = Location { id: id.to_owned(), url }.to_text()?;
    let video = ClipFile { variant: Variant::Video, media_type: "video/mp4".to_owned(), location };
    Ok(Clip::new([video]))
}

fn poll_after(headers: &HeaderMap, interval: Duration) -> Duration {
    let recommended = headers.get(POLL_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    recommended.map(Duration::from_millis).or_else(|| retry_after(headers)).unwrap_or(interval)
}

/// Returns the error in a successful response.
fn embedded_error(body: &[u8]) -> Option<ProviderError> {
    read_object(body, |members| members.error().map(parse_error_member)).ok().flatten()
}

/// Returns whether a status means a wrong base URL or model, which only the operator can correct.
fn is_setup_failure(status: StatusCode) -> bool {
    matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED)
}

/// Turns a failure that may have executed into a refusal: the outcome is known, because the upstream has reported that the render failed.
fn with_known_outcome(error: ProviderError) -> ProviderError {
    let message = error.to_string();
    error.map_failure(|failure| {
        if failure.may_have_executed() { ProviderError::Refused { message, field: None } } else { failure }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, body: &str) -> Response {
        let status = StatusCode::from_u16(status).unwrap();
        Response { status, headers: HeaderMap::new(), body: body.to_owned().into() }
    }

    fn poll(status: u16, body: &str) -> Result<Progress, ProviderError> {
        parse_poll(&response(status, body), "v", Duration::from_secs(2))
    }

    #[test]
    fn failed_video_object_is_read_whatever_the_status_and_has_a_reason() {
        let failed = r#"{"id":"v","status":"failed","error":{"code":400,"message":"too long"}}"#;
        let Ok(Progress::Failed(error)) = poll(500, failed) else { panic!() };
        assert!(
            matches!(error.failure(), ProviderError::Refused { message, .. } if message == "too long"),
            "{error:?}"
        );
        // Reason 0 is unspecified.
        for body in [r#"{"id":"v","status":"failed","error":{"message":"m"}}"#, r#"{"id":"v","status":"failed"}"#] {
            assert!(matches!(poll(200, body), Ok(Progress::Failed(error)) if error.reason() as i32 != 0));
        }
    }

    #[test]
    fn error_of_a_proxy_with_id_and_status_is_no_video_object() {
        for body in [r#"{"id":"req_1","status":"unavailable"}"#, r#"{"id":"req_1","status":"error"}"#] {
            assert!(
                matches!(parse_submission(&response(503, body)), Err(error) if error.reason() == reason_of(503)),
                "{body}"
            );
            assert!(matches!(poll(503, body), Err(error) if error.reason() == reason_of(503)), "{body}");
        }
    }

    /// Returns the reason of a response with this status and no explanation.
    fn reason_of(status: u16) -> triptych_proto::v1::ErrorReason {
        response(status, "{}").failure().reason()
    }

    #[test]
    fn states_that_do_not_end_the_render_are_work_in_progress_below_100_percent() {
        for (status, percent) in
            [("queued", "0"), ("in_progress", "41.5"), ("processing", "\"41\""), ("warming", "180")]
        {
            let body = format!(r#"{{"id":"v","status":"{status}","progress":{percent}}}"#);
            let Ok(Progress::Working { percent: Some(read), poll_after }) = poll(200, &body) else { panic!("{body}") };
            assert!(read <= 99 && poll_after == Duration::from_secs(2), "{body}: {read}");
        }
    }

    #[test]
    fn cancelled_and_deleted_videos_are_cancelled() {
        for status in ["cancelled", "canceled", "deleted"] {
            assert_eq!(poll(200, &format!(r#"{{"id":"v","status":"{status}"}}"#)), Ok(Progress::Cancelled));
        }
    }

    #[test]
    fn not_found_without_a_video_object_is_missing() {
        let flat = r#"{"object":"error","message":"no such video","type":"404","param":null,"code":404}"#;
        for body in [flat, r#"{"detail":"Video not found"}"#, r#"{"error":{"message":"m"}}"#, "<html>"] {
            assert_eq!(poll(404, body), Ok(Progress::Missing), "{body}");
        }
    }

    #[test]
    fn poll_delay_is_read_from_its_own_header_before_retry_after() {
        let mut response = response(200, r#"{"id":"v","status":"queued"}"#);
        response.headers.insert("retry-after", "7".parse().unwrap());
        let delay = |response: &Response| match parse_poll(response, "v", Duration::from_secs(2)) {
            Ok(Progress::Working { poll_after, .. }) => poll_after,
            other => panic!("{other:?}"),
        };
        assert_eq!(delay(&response), Duration::from_secs(7));
        response.headers.insert(POLL_AFTER, "1500".parse().unwrap());
        assert_eq!(delay(&response), Duration::from_millis(1500));
    }
}
