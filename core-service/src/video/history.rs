//! The history of a job, for its owner: its changes of state, its submissions, and its render at the provider.

use serde_json::Value;
use triptych_proto::v1 as pb;

use super::{job::Job, response::to_proto_state, state::Phase, store::JobEvent, task::UpstreamTask};

/// Returns the history of a job with these events.
pub(super) fn response(job: &Job, events: &[JobEvent]) -> pb::GetVideoHistoryResponse {
    // `None` for the one kind of event that is no state: `deleted`.
    let transition = |event: &JobEvent| {
        let state = to_proto_state(Phase::parse(&event.kind)?).into();
        Some(pb::VideoTransition { state, time: Some(event.created_at.into()) })
    };
    pb::GetVideoHistoryResponse {
        transitions: events.iter().filter_map(transition).collect(),
        submissions: job.submissions,
        // The failures of a final job are those of its clean-up, not of a step.
        failures: if job.state.is_final() { 0 } else { job.failures },
        provider: job.request.provider_id.clone(),
        provider_task_id: job.state.task().and_then(id).unwrap_or_default(),
    }
}

/// Returns the provider's id of a task. The stored text is in a format of the provider: the id alone, or a JSON object with other data that
/// is not for clients.
fn id(task: &UpstreamTask) -> Option<String> {
    match serde_json::from_str(&task.0) {
        Ok(Value::Object(members)) => members.get("id").and_then(Value::as_str).map(str::to_owned),
        Ok(_) | Err(_) => Some(task.0.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_of_a_task_is_its_text_or_the_member_id_of_a_json_object() {
        for (text, expected) in
            [("task-1", Some("task-1")), ("42", Some("42")), (r#"{"id":"a","key":"b"}"#, Some("a")), ("{}", None)]
        {
            assert_eq!(id(&UpstreamTask(text.to_owned())).as_deref(), expected, "{text}");
        }
    }
}
