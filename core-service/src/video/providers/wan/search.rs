//! The search for a submission whose response was lost. Its task is recognized by the model, the time of the submission, and the
//! prompt, because DashScope has no member for the id of the job.

use std::time::Duration;

use crate::{
    error::ProviderError,
    video::{LostSubmission, PROVIDER_TIMEOUT, Search, UpstreamTask, time::Timestamp},
};

/// The tolerated difference between the clocks of this machine and of DashScope.
const CLOCK_SKEW: Duration = Duration::from_secs(30);
/// The delay before the next search, while a candidate has not ended.
const SEARCH_INTERVAL: Duration = Duration::from_secs(20);
/// The offset from UTC of the times in DashScope's API, which are those of Beijing.
const TIME_ZONE: Duration = Duration::from_hours(8);

/// Returns the query string for the first page of the tasks of a model that a submission of this time can have created, until the runner's
/// timeout of its call.
pub(super) fn query(model: &str, submitted_at: u64) -> String {
    let begin = Duration::from_secs(submitted_at) + TIME_ZONE;
    let (from, to) = (date_time(begin.saturating_sub(CLOCK_SKEW)), date_time(begin + PROVIDER_TIMEOUT + CLOCK_SKEW));
    let model: String = url::form_urlencoded::byte_serialize(model.as_bytes()).collect();
    format!("model_name={model}&start_time={from}&end_time={to}&page_no=1&page_size=50")
}

/// A task that the lost submission may have created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) id: String,
    /// The prompt, which DashScope reports once the task has ended; `None` if it does not, as for some failed tasks.
    pub(super) prompt: Option<String>,
    pub(super) has_ended: bool,
}

/// Returns the only candidate with the prompt of the lost submission. Inconclusive if there is none, or if another candidate has the same
/// prompt or an unknown one.
///
/// # Errors
/// [`ProviderError::Unavailable`] while a candidate has not ended; the search is repeated later.
pub(super) fn search(lost: &LostSubmission, candidates: Vec<Candidate>) -> Result<Search, ProviderError> {
    if candidates.iter().any(|task| !task.has_ended) {
        let message = "the upstream reports the prompt of a task once it has ended".to_owned();
        return Err(ProviderError::Unavailable { message, retry_after: Some(SEARCH_INTERVAL) });
    }
    let is_possible = |task: &Candidate| task.prompt.as_ref().is_none_or(|prompt| *prompt == lost.parameters.prompt);
    let mut possible = candidates.into_iter().filter(is_possible);
    Ok(match (possible.next(), possible.next()) {
        (Some(Candidate { id, prompt: Some(_), .. }), None) => Search::Found(UpstreamTask(id)),
        _ => Search::Inconclusive,
    })
}

/// Returns the time at a duration since 1970 as `YYYYMMDDhhmmss`.
fn date_time(since: Duration) -> String {
    // The text is RFC 3339, of which the first 14 digits remain.
    let text = prost_types::Timestamp::from(Timestamp(0).after(since)).to_string();
    text.chars().filter(char::is_ascii_digit).take(14).collect()
}
