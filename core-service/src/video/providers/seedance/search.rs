//! The search for the task of a submission whose response was lost: by the id of the job in the list of tasks of Ark (the model
//! service that serves Seedance), which has the newest first.

use super::{super::common::exchange::Response, response::failure};
use crate::{error::ProviderError, json::members::read_object, video::LostSubmission};

/// The number of tasks in one page of the list.
pub(super) const PAGE_SIZE: usize = 100;

/// The maximum number of pages to read, so that an account with many newer tasks does not cause hundreds of requests.
pub(super) const MAX_PAGES: u32 = 10;

/// The tolerated difference between the clocks of this machine and of Ark, in seconds.
const CLOCK_SKEW: u64 = 300;

/// The result of the search for a submission in one page of the list.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Page {
    /// The page contains the task, which has this id.
    Found(String),
    /// The page does not contain the task, and later pages cannot contain it either.
    Last,
    /// The page does not contain the task; the next page may.
    More,
}

/// Looks for the task of a lost submission, by the id of the job, in a page of the list of tasks.
pub(super) fn parse_page(response: &Response, lost: &LostSubmission) -> Result<Page, ProviderError> {
    if !response.status.is_success() {
        return Err(failure(response));
    }
    read_object(&response.body, |list| {
        if list.raw("items").is_none() && list.number("total").is_none() {
            return Err(ProviderError::Unreadable("the upstream's response is not a list of tasks".to_owned()));
        }
        let items = list.objects("items");
        let found =
            items.iter().find(|item| item.string("safety_identifier").is_some_and(|job_id| job_id == lost.job_id));
        if let Some(id) = found.and_then(|item| item.text("id")) {
            return Ok(Page::Found(id.into_owned()));
        }
        // The list is in the order of creation: after a task that is older than the submission, all are.
        let is_older = items.iter().any(|item| {
            item.number("created_at").is_some_and(|created_at| created_at + CLOCK_SKEW < lost.submitted_at)
        });
        Ok(if is_older || items.len() < PAGE_SIZE { Page::Last } else { Page::More })
    })?
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};
    use serde_json::{Value, json};

    use super::*;
    use crate::video::testing;

    fn read(body: &Value) -> Result<Page, ProviderError> {
        let response =
            Response { status: StatusCode::OK, headers: HeaderMap::new(), body: body.to_string().into_bytes().into() };
        let (job_id, model) = ("video_1".to_owned(), "m".to_owned());
        let parameters = testing::request().parameters;
        parse_page(&response, &LostSubmission { job_id, model, parameters, submitted_at: 10_000 })
    }

    #[test]
    fn task_with_the_job_id_is_found_and_older_or_fewer_tasks_end_the_search() {
        let task = |id: &str, job_id: &str, created_at: u64| json!({"id": id, "status": "queued", "safety_identifier": job_id, "created_at": created_at});
        let found = json!({"total": 2, "items": [task("a", "video_2", 10_001), task("b", "video_1", 10_000)]});
        assert_eq!(read(&found), Ok(Page::Found("b".to_owned())));
        assert_eq!(read(&json!({"total": 0, "items": []})), Ok(Page::Last));
        let full: Vec<_> = (0..PAGE_SIZE).map(|_| task("a", "video_2", 10_001)).collect();
        assert_eq!(read(&json!({"items": full})), Ok(Page::More));
        let older: Vec<_> = (0..PAGE_SIZE).map(|_| task("a", "video_2", 9_000)).collect();
        assert_eq!(read(&json!({"items": older})), Ok(Page::Last));
        assert!(matches!(read(&json!({"data": []})), Err(ProviderError::Unreadable(_))));
    }
}
