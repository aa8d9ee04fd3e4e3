//! The search for the video of a submission whose response was lost, in the list of videos. The video is recognized by time, prompt
//! and model, because the API has no member for the id of the job.

use http::StatusCode;

use super::super::common::exchange::Response;
use crate::{
    error::ProviderError,
    json::members::{Members, read_object},
    video::{LostSubmission, Search, UpstreamTask},
};

/// The tolerated difference between the clocks of this machine and of the upstream, in seconds.
const CLOCK_SKEW: u64 = 30;

/// Returns the only video in the list that the submission can have created.
///
/// Never [`Search::Absent`]: a video may exist that is not in the list, because some servers list only some of their videos, or
/// none.
pub(super) fn parse_list(response: &Response, lost: &LostSubmission) -> Result<Search, ProviderError> {
    let Response { status, body, .. } = response;
    match *status {
        status if status.is_success() => {}
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
            return Ok(Search::Inconclusive);
        }
        _ => return Err(response.failure()),
    }
    read_object(body, |list| {
        let videos = list.objects("data");
        let mut fitting = videos.iter().filter(|video| fits(video, lost)).filter_map(|video| video.text("id"));
        match (fitting.next(), fitting.next()) {
            (Some(id), None) => Search::Found(UpstreamTask(id.into_owned())),
            _ => Search::Inconclusive,
        }
    })
}

/// Returns whether the submission can have created this video.
fn fits(video: &Members<'_>, lost: &LostSubmission) -> bool {
    let is = |name: &str, expected: &str| video.string(name).is_some_and(|value| value == expected);
    let is_new = video.number("created_at").is_some_and(|created_at| created_at + CLOCK_SKEW >= lost.submitted_at);
    is_new && is("prompt", &lost.parameters.prompt) && is("model", &lost.model)
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use serde_json::{Value, json};

    use super::*;
    use crate::video::testing;

    fn search(status: u16, body: &Value) -> Result<Search, ProviderError> {
        let status = StatusCode::from_u16(status).unwrap();
        let response = Response { status, headers: HeaderMap::new(), body: body.to_string().into_bytes().into() };
        let (job_id, model) = ("video_1".to_owned(), "sora-2".to_owned());
        let parameters = testing::request().parameters;
        parse_list(&response, &LostSubmission { job_id, model, parameters, submitted_at: 10_000 })
    }

    #[test]
    fn only_new_video_with_the_same_prompt_and_model_is_found() {
        let video = |id: &str, prompt: &str, created_at: u64| json!({"id": id, "object": "video", "model": "sora-2", "prompt": prompt, "created_at": created_at});
        // The submission began at 10000 s.
        let others = [video("old", "a boat", 9_000), video("other", "a car", 10_001)];
        let with = |more: &[Value]| {
            let data = [&others, more].concat();
            json!({"object": "list", "data": data})
        };
        let mine = [video("mine", "a boat", 10_002)];
        assert_eq!(search(200, &with(&mine)), Ok(Search::Found(UpstreamTask("mine".to_owned()))));
        let two = [video("mine", "a boat", 10_002), video("twin", "a boat", 10_003)];
        for unclear in [with(&[]), with(&two), json!({"data": null}), json!({})] {
            assert_eq!(search(200, &unclear), Ok(Search::Inconclusive), "{unclear}");
        }
        assert_eq!(search(404, &json!({"detail": "Not Found"})), Ok(Search::Inconclusive));
        assert!(search(503, &json!({})).is_err());
    }
}
