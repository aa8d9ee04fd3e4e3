//! The states of a request in fal's queue, its result, and fal's errors: a text, or a list of items of which each has a type, a
//! message and the place of the invalid member (`{"detail": [{"type": ..., "msg": ..., "loc": ["body", "prompt"]}]}`).

use std::{borrow::Cow, time::Duration};

use http::StatusCode;

use super::super::common::{exchange::Response, outcome::permanent_refusal};
use crate::{
    error::{ProviderError, UpstreamDetails},
    json::members::{Members, object, read_object, read_objects, text},
    upstream::retry_after,
    video::{Clip, ClipFile, Progress, Variant},
};

/// One item of an error.
#[derive(Debug)]
struct Item {
    /// The type of the error, for example `content_policy_violation`.
    kind: String,
    message: String,
    /// The member of the request; empty if the item names none.
    field: String,
}

/// Returns the id of the request that a response to a submission reports.
pub(super) fn parse_submission(response: &Response) -> Result<String, ProviderError> {
    if !response.status.is_success() {
        let error = failure(response);
        // Not sent again: 404 means an unknown model, which only the operator can correct.
        return Err(if response.status.is_client_error() { permanent_refusal(error) } else { error });
    }
    read_object(&response.body, |members| {
        let id = members.text("request_id").map(Cow::into_owned);
        id.ok_or_else(|| ProviderError::Unreadable("the upstream's response has no id of a request".to_owned()))
    })?
}

/// Returns the state that a response to a poll reports. [`Progress::Ready`] is without files, and means that the request has
/// ended: see [`parse_result`].
pub(super) fn parse_poll(response: &Response, interval: Duration) -> Result<Progress, ProviderError> {
    match response.status {
        StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(Progress::Missing),
        status if !status.is_success() => return Err(failure(response)),
        _ => {}
    }
    let poll_after = retry_after(&response.headers).unwrap_or(interval);
    read_object(&response.body, |members| {
        let Some(status) = members.string("status") else {
            return Err(ProviderError::Unreadable("the upstream's response is not the status of a request".to_owned()));
        };
        Ok(match status.trim().to_ascii_uppercase().as_str() {
            "COMPLETED" => Progress::Ready(Clip::new([])),
            "CANCELLED" | "CANCELED" => Progress::Cancelled,
            // `IN_QUEUE`, `IN_PROGRESS`, and unknown states. fal reports no percentage.
            _ => Progress::Working { percent: None, poll_after },
        })
    })?
}

/// Returns how a completed request ended. A result without a link is [`Progress::Ready`] without files, and the job runner then
/// fails the job.
pub(super) fn parse_result(response: &Response) -> Result<Progress, ProviderError> {
    let Response { status, body, .. } = response;
    match *status {
        status if status.is_success() => read_object(body, |members| Ok(Progress::Ready(clip(&members))))?,
        StatusCode::NOT_FOUND | StatusCode::GONE => Ok(Progress::Missing),
        // These statuses, or an error with items, are the failure of the render; any other error is that of the poll.
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => Ok(Progress::Failed(failure(response))),
        _ if item(body).is_some() => Ok(Progress::Failed(failure(response))),
        _ => Err(failure(response)),
    }
}

/// Returns the failure that a response with an error status describes.
pub(super) fn failure(response: &Response) -> ProviderError {
    let Response { status, body, .. } = response;
    let by_status = response.failure();
    let Some(Item { kind, message, field }) = item(body) else { return by_status };
    let details = UpstreamDetails { code: kind.clone(), param: field.clone(), ..UpstreamDetails::default() };
    let field = Some(field).filter(|field| !field.is_empty());
    let error = match kind.as_str() {
        "content_policy_violation" => ProviderError::ContentPolicy(message),
        "internal_server_error" | "downstream_service_error" | "downstream_service_unavailable" => {
            ProviderError::Broken(message)
        }
        "generation_timeout" | "request_timeout" => ProviderError::Timeout(message),
        // Another type names the rule that the input breaks, for example `literal_error` for a value that is not in a list.
        _ if matches!(*status, StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY) => {
            ProviderError::Refused { message, field }
        }
        _ => return by_status,
    };
    error.with_upstream_details(details)
}

/// Returns the first item of an error: in the member `detail`, or in the whole body. `None` for an error that is a text.
fn item(body: &[u8]) -> Option<Item> {
    let first = read_objects(body, |items| {
        let first = items.into_iter().next()?;
        match first.raw("detail") {
            Some(detail) if detail.get().starts_with('[') => {
                first.list("detail").first().and_then(|detail| read_item(&object(detail)))
            }
            Some(detail) => read_item(&object(detail)),
            None => read_item(&first),
        }
    });
    first.ok().flatten()
}

fn read_item(item: &Members<'_>) -> Option<Item> {
    let (kind, message) = (item.string("type")?.into_owned(), item.string("msg")?.into_owned());
    let field = item.list("loc").last().and_then(|field| text(field)).map(Cow::into_owned);
    Some(Item { kind, message, field: field.unwrap_or_default() })
}

/// Returns the video of a result. Models name it `video`, `videos` or `video_url`.
fn clip(members: &Members<'_>) -> Clip {
    let first = || members.objects("videos").first().and_then(|video| video.string("url"));
    let link = members.object("video").string("url").or_else(first).or_else(|| members.string("video_url"));
    let video = link.or_else(|| members.string("video")).map(|url| ClipFile {
        variant: Variant::Video,
        media_type: "video/mp4".to_owned(),
        location: url.into_owned(),
    });
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
    fn error_items_are_read_from_a_list_with_and_without_detail() {
        let item = r#"[{"loc":["body","prompt"],"msg":"flagged","type":"content_policy_violation"}]"#;
        for body in [item.to_owned(), format!(r#"{{"detail":{item}}}"#)] {
            let error = failure(&response(422, &body));
            assert_eq!(error.failure(), &ProviderError::ContentPolicy("flagged".to_owned()), "{body}");
            assert_eq!(error.details().map(|details| details.param.as_str()), Some("prompt"));
        }
        let error = failure(&response(403, r#"{"detail":"User is locked. Reason: Exhausted balance."}"#));
        assert!(matches!(error.failure(), ProviderError::Credentials(message) if message.contains("Exhausted")));
    }

    #[test]
    fn result_is_found_under_every_name() {
        for body in [
            r#"{"video":{"url":"u","content_type":"video/mp4"}}"#,
            r#"{"videos":[{"url":"u"}]}"#,
            r#"{"video_url":"u"}"#,
            r#"{"video":"u"}"#,
        ] {
            let Ok(Progress::Ready(clip)) = parse_result(&response(200, body)) else { panic!("{body}") };
            assert_eq!(clip.files[0].location, "u", "{body}");
        }
    }
}
