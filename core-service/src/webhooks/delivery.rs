//! Deliveries: one event for one endpoint, with its attempts.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    endpoint::{CALLBACK, Endpoint, callback_lane},
    event::Event,
};
use crate::{keys::Owner, video::time::Timestamp};

/// How many attempts the history of a delivery keeps.
const MAX_ATTEMPTS: usize = 20;

/// An event that is sent, or was sent, to an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The id.
    pub id: String,
    /// The event.
    pub event: Event,
    /// The endpoint, or [`CALLBACK`].
    pub endpoint_id: String,
    /// The owner of the endpoint. `None` for one of the configuration.
    pub owner: Option<Owner>,
    /// The URL of the last attempt, or of the next one.
    pub url: String,
    /// Deliveries of one lane share a limit on attempts in flight, so that a slow receiver does not delay the others.
    pub lane: String,
    /// Whether it is a test: it has one attempt, which does not count for the endpoint.
    pub is_test: bool,
    /// The state.
    pub state: DeliveryState,
    /// The number of attempts since the schedule began, which begins again when a client requests a redelivery.
    pub attempt_number: u32,
    /// The newest attempts, the oldest first.
    pub attempts: Vec<Attempt>,
    /// When the next attempt is due.
    pub due_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it reached a final state.
    pub completed_at: Option<Timestamp>,
}

/// The states of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// An attempt is due, or in flight.
    Pending,
    /// The receiver has accepted it.
    Succeeded,
    /// There are no more attempts.
    Failed,
}

impl DeliveryState {
    /// Returns the name in the database.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }

    /// Returns the state with this name in the database.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::Pending, Self::Succeeded, Self::Failed].into_iter().find(|state| state.as_str() == name)
    }
}

/// One HTTP request of a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When it began.
    pub start: Timestamp,
    /// How long it took, in milliseconds.
    pub millis: u64,
    /// The status of the response, if there was one.
    pub status: Option<u16>,
    /// Why it failed; empty if it succeeded.
    pub error: String,
}

impl Delivery {
    /// Returns the delivery of an event to an endpoint, due at once.
    pub(crate) fn to_endpoint(event: Event, endpoint: &Endpoint, now: Timestamp) -> Self {
        let Endpoint { id, owner, url, .. } = endpoint;
        Self::new(event, id.clone(), owner.clone(), url.clone(), id.clone(), now)
    }

    /// Returns the delivery of an event to the `callback_url` of a video of this owner, due at once.
    pub(crate) fn to_callback(event: Event, url: String, owner: Owner, now: Timestamp) -> Self {
        let lane = callback_lane(&url);
        Self::new(event, CALLBACK.to_owned(), Some(owner), url, lane, now)
    }

    fn new(event: Event, endpoint_id: String, owner: Option<Owner>, url: String, lane: String, now: Timestamp) -> Self {
        Self {
            id: format!("whd_{}", Uuid::now_v7().simple()),
            event,
            endpoint_id,
            owner,
            url,
            lane,
            is_test: false,
            state: DeliveryState::Pending,
            attempt_number: 0,
            attempts: Vec::new(),
            due_at: Some(now),
            created_at: now,
            completed_at: None,
        }
    }

    /// Returns the delivery after an attempt. `next_due` is when the next attempt is due, if there is one.
    pub(crate) fn after(mut self, attempt: Attempt, next_due: Option<Timestamp>, now: Timestamp) -> Self {
        self.state = match (attempt.error.is_empty(), next_due) {
            (true, _) => DeliveryState::Succeeded,
            (false, Some(_)) => DeliveryState::Pending,
            (false, None) => DeliveryState::Failed,
        };
        self.attempt_number += 1;
        self.attempts.push(attempt);
        let surplus = self.attempts.len().saturating_sub(MAX_ATTEMPTS);
        self.attempts.drain(..surplus);
        self.due_at = next_due.filter(|_| self.state == DeliveryState::Pending);
        self.completed_at = self.due_at.is_none().then_some(now);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::WebhookEventType, webhooks::testing::endpoint};

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn attempt(error: &str) -> Attempt {
        Attempt { start: NOW, millis: 3, status: Some(500), error: error.to_owned() }
    }

    #[test]
    fn attempt_decides_the_state_and_old_attempts_are_dropped() {
        let event = Event::test(WebhookEventType::VideoCompleted, NOW);
        let mut delivery = Delivery::to_endpoint(event, &endpoint("a", "https://a.test/"), NOW);
        for number in 0..MAX_ATTEMPTS + 2 {
            delivery = delivery.after(attempt(&format!("error {number}")), Some(NOW), NOW);
            assert_eq!((delivery.state, delivery.completed_at), (DeliveryState::Pending, None));
        }
        assert_eq!((delivery.attempts.len(), delivery.attempts[0].error.as_str()), (MAX_ATTEMPTS, "error 2"));
        let failed = delivery.clone().after(attempt("last"), None, NOW);
        assert_eq!((failed.state, failed.due_at, failed.completed_at), (DeliveryState::Failed, None, Some(NOW)));
        let succeeded = delivery.after(attempt(""), Some(NOW), NOW);
        assert_eq!((succeeded.state, succeeded.due_at), (DeliveryState::Succeeded, None));
    }
}
