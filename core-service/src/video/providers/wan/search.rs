//! The search for a submission whose response was lost. DashScope keeps no text of the client with a task, so that a task is
//! recognized by its model, the time of its submission, and its prompt.

use std::time::Duration;

use crate::video::{LostSubmission, Search, UpstreamTask, time::Timestamp};

/// How far the clocks may differ.
const CLOCK_SKEW: Duration = Duration::from_secs(30);
/// How long after its beginning a submission can have reached DashScope.
const LONGEST_SUBMISSION: Duration = Duration::from_mins(2);
/// The offset of DashScope's times, which are those of Beijing.
const TIME_ZONE: Duration = Duration::from_hours(8);

/// Returns the query for the tasks of a model that were submitted at the time of a lost submission, in one page.
pub(super) fn query(model: &str, submitted_at: u64) -> String {
    let begin = Duration::from_secs(submitted_at) + TIME_ZONE;
    let (from, to) = (date_time(begin.saturating_sub(CLOCK_SKEW)), date_time(begin + LONGEST_SUBMISSION + CLOCK_SKEW));
    let model: String = url::form_urlencoded::byte_serialize(model.as_bytes()).collect();
    format!("model_name={model}&start_time={from}&end_time={to}&page_no=1&page_size=50")
}

/// Returns the task of the lost submission: the only one with its prompt. `tasks` are all that come into question, with their
/// prompts; a task without one could be it as well.
pub(super) fn search(lost: &LostSubmission, tasks: Vec<(String, Option<String>)>) -> Search {
    let mut candidates =
        tasks.into_iter().filter(|(_, prompt)| prompt.as_ref().is_none_or(|prompt| *prompt == lost.parameters.prompt));
    match (candidates.next(), candidates.next()) {
        (Some((id, Some(_))), None) => Search::Found(UpstreamTask(id)),
        _ => Search::Unsupported,
    }
}

/// Returns a time since 1970 as `YYYYMMDDhhmmss`.
fn date_time(since: Duration) -> String {
    // In RFC 3339.
    let text = prost_types::Timestamp::from(Timestamp(0).after(since)).to_string();
    text.chars().filter(char::is_ascii_digit).take(14).collect()
}
