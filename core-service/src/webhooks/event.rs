//! Webhook events: a video job has succeeded or failed. Their JSON has the form of OpenAI's webhook events.

use serde_json::json;
use uuid::Uuid;

use crate::{
    config::WebhookEventType,
    digest::{Hex, sha256},
    video::{state::Phase, time::Timestamp},
};

/// Something that happened to a video.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Identifies the event at all receivers.
    pub id: String,
    /// What happened.
    pub event_type: WebhookEventType,
    /// When it happened.
    pub created_at: Timestamp,
    /// The video.
    pub video_id: String,
}

/// The video of test events. No job has this id.
const TEST_VIDEO: &str = "video_00000000000000000000000000000000";

impl Event {
    /// Returns the event of a change of a job. The same change always has the same id.
    pub(crate) fn of_job(video_id: String, revision: i64, event_type: WebhookEventType, created_at: Timestamp) -> Self {
        let digest = sha256(format!("{video_id}/{revision}").as_bytes());
        Self { id: format!("evt_{}", Hex(&digest[..16])), event_type, created_at, video_id }
    }

    /// Returns an event for a test of an endpoint, which belongs to no job.
    pub(crate) fn test(event_type: WebhookEventType, now: Timestamp) -> Self {
        let id = format!("evt_{}", Uuid::new_v4().simple());
        Self { id, event_type, created_at: now, video_id: TEST_VIDEO.to_owned() }
    }

    /// Returns the JSON that is sent; the same for every attempt.
    pub(crate) fn body(&self) -> String {
        let Self { id, event_type, created_at, video_id } = self;
        let body = json!({
            "id": id,
            "object": "event",
            "created_at": created_at.0.div_euclid(1000),
            "type": event_type.as_str(),
            "data": {"id": video_id},
        });
        body.to_string()
    }
}

/// Returns the type of the event when a job enters a state, given by its name; `None` if that is no event.
///
/// A cancellation is none: OpenAI has an event for cancelled batches and one for cancelled responses, and none for videos.
/// OpenAI's failure event would say that the render of a cancelled video failed.
pub(crate) fn type_of(state: &str) -> Option<WebhookEventType> {
    if state == Phase::Succeeded.as_str() {
        Some(WebhookEventType::VideoCompleted)
    } else if state == Phase::Failed.as_str() {
        Some(WebhookEventType::VideoFailed)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_has_the_form_of_openai() {
        let event =
            Event::of_job("video_1".to_owned(), 5, WebhookEventType::VideoCompleted, Timestamp(1_758_941_485_999));
        let body = format!(
            r#"{{"id":"{}","object":"event","created_at":1758941485,"type":"video.completed","data":{{"id":"video_1"}}}}"#,
            event.id
        );
        assert_eq!(event.body(), body);
    }

    #[test]
    fn id_depends_on_the_change_alone() {
        let event = |id: &str, revision, now| {
            Event::of_job(id.to_owned(), revision, WebhookEventType::VideoFailed, Timestamp(now)).id
        };
        assert_eq!(event("video_1", 5, 1), event("video_1", 5, 2));
        assert_ne!(event("video_1", 5, 1), event("video_1", 6, 1));
        assert_ne!(event("video_1", 5, 1), event("video_2", 5, 1));
        assert_eq!(event("video_1", 5, 1).len(), "evt_".len() + 32);
    }

    #[test]
    fn only_success_and_failure_are_events() {
        assert_eq!(type_of("succeeded"), Some(WebhookEventType::VideoCompleted));
        assert_eq!(type_of("failed"), Some(WebhookEventType::VideoFailed));
        for state in ["queued", "submitting", "rendering", "storing", "cancelled", "deleted"] {
            assert_eq!(type_of(state), None, "{state}");
        }
    }
}
