//! A video job: what was asked, where it stands, and when it wants attention next.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    UpstreamTask,
    state::{Event, IllegalMove, JobState},
    time::Timestamp,
};
use crate::size::Size;

/// The id of a job: opaque to callers, sortable by the time of creation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JobId(String);

impl JobId {
    const PREFIX: &'static str = "video_";

    /// A new id, greater than every one this process made before.
    pub fn new() -> Self {
        Self(format!("{}{}", Self::PREFIX, Uuid::now_v7().simple()))
    }

    /// The id spelled `text`, if it is spelled exactly as they are made here. Anything else names no job.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(Self::PREFIX)?;
        let uuid = Uuid::try_parse(digits).ok().filter(|uuid| uuid.get_version_num() == 7)?;
        (digits == uuid.simple().to_string()).then(|| Self(text.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for JobId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What was asked for, and of whom. Never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The provider's name, as the catalog's `owned_by` has it.
    pub provider: String,
    /// The public model name.
    pub model: String,
    /// The provider's name of the model.
    pub upstream: String,
    /// What to show.
    pub prompt: String,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Length in seconds.
    pub seconds: u32,
    /// Asks for the same clip to the same request.
    pub seed: Option<i64>,
    /// The key of this job's own copy of the picture to start from.
    pub reference: Option<String>,
    /// An opaque name of the end user; may be empty.
    pub user: String,
    /// The text of a JSON object, or empty.
    pub extra_json: String,
    /// The job this one was made from.
    pub remixed_from: Option<JobId>,
}

impl Order {
    /// The size in pixels.
    pub fn size(&self) -> Size {
        Size::new(self.width, self.height)
    }
}

/// Under which key a job was created, and what for: the same key with another request is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The caller's key.
    pub text: String,
    /// SHA-256 of the request in hexadecimal digits.
    pub fingerprint: String,
}

/// A job as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// What was asked for.
    pub order: Order,
    /// Where it stands.
    pub state: JobState,
    /// Grows by one with every change a caller could see; writes are refused unless they read the newest.
    pub revision: u64,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it reached a final state.
    pub completed_at: Option<Timestamp>,
    /// When it is removed with its media. `None`: it stays.
    pub expires_at: Option<Timestamp>,
    /// When it fails if it is not final by then.
    pub deadline_at: Timestamp,
    /// When it next wants a step. `None`: never.
    pub due_at: Option<Timestamp>,
    /// How often its request left, while it is not accepted; later how many tries of the present step failed in a row.
    pub attempt: u32,
    /// A render nobody waits for any more, still to be stopped at the provider.
    pub abandoned: Option<UpstreamTask>,
    /// Removed by its caller: invisible, and kept only until provider and media_store are cleaned up.
    pub deleted: bool,
    /// The key it was created under.
    pub key: Option<IdempotencyKey>,
}

impl Job {
    /// A new job, due at once, that has `deadline` to become final.
    pub fn new(id: JobId, order: Order, key: Option<IdempotencyKey>, now: Timestamp, deadline: Duration) -> Self {
        Self {
            id,
            order,
            state: JobState::Queued,
            revision: 1,
            created_at: now,
            completed_at: None,
            expires_at: None,
            deadline_at: now.after(deadline),
            due_at: Some(now),
            attempt: 0,
            abandoned: None,
            deleted: false,
            key,
        }
    }

    /// The job after the event, due at once. What it is due for when it became final is the caller's to say.
    pub fn after(&self, event: Event, now: Timestamp) -> Result<Self, IllegalMove> {
        let state = self.state.clone().apply(event)?;
        let mut next = self.clone();
        if state != self.state {
            next.revision += 1;
            next.state = state;
        }
        if next.state.is_final() {
            next.completed_at = Some(now);
        }
        next.due_at = Some(now);
        Ok(next)
    }

    /// The same job, due at `due`. Nothing a caller could see changes.
    #[must_use]
    pub fn resting(&self, due: Option<Timestamp>) -> Self {
        Self { due_at: due, ..self.clone() }
    }

    /// The job as its caller wants it no longer: cancelled unless it is final, a render under way marked for stopping.
    ///
    /// # Errors
    /// The job is final.
    pub fn cancelled(&self, now: Timestamp, retention: Option<Duration>) -> Result<Self, IllegalMove> {
        let mut next = self.after(Event::Cancelled, now)?;
        next.abandoned = self.state.task().cloned();
        next.expires_at = retention.map(|kept| now.after(kept));
        next.due_at = next.rest();
        Ok(next)
    }

    /// The job as a tombstone: invisible from now on, its key free again, due for removal at once.
    #[must_use]
    pub fn buried(&self, now: Timestamp, retention: Option<Duration>) -> Self {
        let mut next = self.cancelled(now, retention).unwrap_or_else(|_| self.clone());
        next.revision = self.revision + 1;
        next.deleted = true;
        next.key = None;
        next.due_at = Some(now);
        next
    }

    /// When a final job wants its next step: at once while a render is to be stopped, then when it expires.
    pub fn rest(&self) -> Option<Timestamp> {
        if self.abandoned.is_some() { self.completed_at } else { self.expires_at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_the_order_they_were_made_in() {
        let ids: Vec<_> = (0..1000).map(|_| JobId::new()).collect();
        assert!(ids.is_sorted() && ids.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn only_ids_as_they_are_made_here_name_a_job() {
        let id = JobId::new();
        assert_eq!(JobId::parse(id.as_str()), Some(id.clone()));
        let digits = &id.as_str()["video_".len()..];
        let v4 = format!("video_{}", Uuid::new_v4().simple());
        let (upper, dashed) = (format!("video_{}", digits.to_uppercase()), Uuid::now_v7().to_string());
        for text in
            ["", "video_", digits, &upper, &dashed, &v4, "video_../../etc", &format!("{id}0"), &format!("{id} ")]
        {
            assert_eq!(JobId::parse(text), None, "{text}");
        }
    }
}
