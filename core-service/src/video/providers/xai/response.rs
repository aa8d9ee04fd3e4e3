//! The states of xAI's requests, their results and errors. Errors have no usable code: refused content and a wrong key are recognized
//! by the text of the message.

use std::{borrow::Cow, time::Duration};

use http::StatusCode;
use serde_json::Value;

use super::super::common::{exchange::Response, outcome::permanent_refusal, usage};
use crate::{
    error::ProviderError,
    json::members::{Members, read_object},
    upstream::{parse_error_member_with, parse_error_response_with, retry_after},
    video::{Clip, ClipFile, Progress, RenderUsage, Variant},
};

/// The unit of reported costs (<https://docs.x.ai/developers/cost-tracking>).
const TICKS_PER_DOLLAR: u64 = 10_000_000_000;

/// Returns the id of the request that a response to a submission reports.
pub(super) fn parse_submission(response: &Response) -> Result<String, ProviderError> {
    if !response.status.is_success() {
        let error = failure(response);
        // Not sent again: 404 means an unknown model, which only the operator can correct.
        return Err(if response.status.is_client_error() { permanent_refusal(error) } else { error });
    }
    read_object(&response.body, |members| {
        if let Some(error) = members.error() {
            return Err(permanent_refusal(parse_error_member_with(error, refine)));
        }
        let id = members.text("request_id").map(Cow::into_owned);
        id.ok_or_else(|| ProviderError::Unreadable("the upstream's response has no id of a request".to_owned()))
    })?
}

/// Returns the progress of the request that a response to a poll reports. While it is pending, the status is 202.
pub(super) fn parse_poll(response: &Response, interval: Duration) -> Result<Progress, ProviderError> {
    let Response { status, headers, body } = response;
    let poll_after = retry_after(headers).unwrap_or(interval);
    match *status {
        StatusCode::NOT_FOUND | StatusCode::GONE => Ok(Progress::Missing),
        StatusCode::ACCEPTED => {
            let percent = read_object(body, |members| percent(&members)).ok().flatten();
            Ok(Progress::Working { percent, poll_after })
        }
        status if !status.is_success() => Err(failure(response)),
        _ => read_object(body, |members| progress(&members, poll_after))?,
    }
}

/// Returns the failure that a response with an error status describes.
fn failure(response: &Response) -> ProviderError {
    parse_error_response_with(response.status, &response.headers, &response.body, refine)
}

/// Returns the failure that the message means, otherwise `by_status`: refused content and an incorrect key have the status of an
/// invalid request.
fn refine(_: &Value, by_status: ProviderError) -> ProviderError {
    let (ProviderError::Refused { message, .. } | ProviderError::Broken(message)) = &by_status else {
        return by_status;
    };
    if is_policy(message) {
        ProviderError::ContentPolicy(message.clone())
    } else if message.contains("API key") {
        ProviderError::Credentials(message.clone())
    } else {
        by_status
    }
}

/// Returns whether the message is that of refused content.
fn is_policy(message: &str) -> bool {
    let message = message.to_lowercase();
    ["moderation", "content policy", "usage guidelines", "safety"].iter().any(|part| message.contains(part))
}

fn percent(members: &Members<'_>) -> Option<u8> {
    members.number("progress").map(|percent| u8::try_from(percent.min(99)).unwrap_or(99))
}

fn progress(members: &Members<'_>, poll_after: Duration) -> Result<Progress, ProviderError> {
    let video = members.object("video");
    let status = members.string("status").unwrap_or_default();
    Ok(match status.trim().to_ascii_lowercase().as_str() {
        "done" if video.raw("respect_moderation").is_some_and(|value| value.get() == "false") => {
            let message = "the provider withheld the video, because it does not respect its moderation".to_owned();
            Progress::Failed(ProviderError::ContentPolicy(message))
        }
        "done" => Progress::Ready(clip(&video, members)),
        // Some responses have the finished video and no status.
        "" if video.string("url").is_some() => Progress::Ready(clip(&video, members)),
        "" => return Err(ProviderError::Unreadable("the upstream's response is not a request".to_owned())),
        "failed" => Progress::Failed(members.error().map_or_else(
            || ProviderError::Broken("the render failed at the upstream, which gave no reason".to_owned()),
            |error| parse_error_member_with(error, refine),
        )),
        "expired" => Progress::Failed(ProviderError::Timeout("the render expired at the upstream".to_owned())),
        // Queued, running, or a state that is not known: polling continues until a final state.
        _ => Progress::Working { percent: percent(members), poll_after },
    })
}

/// Returns the result of a request. Without a link the result has no files, and the job runner then fails the job.
fn clip(video: &Members<'_>, members: &Members<'_>) -> Clip {
    let file = video.string("url").map(|url| ClipFile {
        variant: Variant::Video,
        media_type: "video/mp4".to_owned(),
        location: url.into_owned(),
    });
    let cost = usage::cost(&members.object("usage"), "cost_in_usd_ticks", TICKS_PER_DOLLAR);
    Clip::new(file).with_usage(RenderUsage { cost, ..RenderUsage::default() })
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::usd::Usd;

    #[test]
    fn cost_in_ticks_is_in_the_result_rounded_up_to_a_millionth_of_a_dollar() {
        let usage_of = |usage: &str| {
            let body = format!(r#"{{"status":"done","video":{{"url":"https://x"}},"usage":{usage}}}"#).into();
            match parse_poll(&Response { status: StatusCode::OK, headers: HeaderMap::new(), body }, Duration::ZERO) {
                Ok(Progress::Ready(clip)) => clip.usage,
                other => panic!("{other:?}"),
            }
        };
        let cost = |usd| RenderUsage { video_millis: None, cost: Usd::parse(usd) };
        assert_eq!(usage_of(r#"{"cost_in_usd_ticks":2500000000}"#), cost("0.25"));
        assert_eq!(usage_of(r#"{"cost_in_usd_ticks":"37756001"}"#), cost("0.003776"));
        for odd in ["null", "7", r#"{"cost_in_usd_ticks":0}"#, r#"{"cost_in_usd_ticks":-1}"#] {
            assert_eq!(usage_of(odd), RenderUsage::default(), "{odd}");
        }
        assert_eq!(usage_of(r#"{"cost_in_usd_ticks":99999999999999999999}"#), RenderUsage::default());
    }
}
