//! One attempt of a delivery: the request and the record of its result.

use std::time::Duration;

use super::{
    delivery::{Attempt, Delivery},
    registry::{DeliveryTarget, Registry},
    schedule::next_due,
    sender::{Outcome, Sender},
    store::{Claim, Recorded},
};
use crate::{error::Error, failpoint::Failpoint, metrics};

/// How much longer than the timeout of an attempt its lease is: the time to record the result.
const LEASE_MARGIN: Duration = Duration::from_secs(5);

/// Performs attempts. Clones share the connections.
#[derive(Debug, Clone)]
pub struct Attempts {
    pub(super) registry: Registry,
    sender: Sender,
}

impl Attempts {
    /// Creates the performer of attempts at the endpoints of this registry.
    pub fn new(registry: Registry, sender: Sender) -> Self {
        Self { registry, sender }
    }

    /// Returns how long a delivery is leased. The delivery of a process that was killed is sent again after this time.
    pub(super) fn lease(&self) -> Duration {
        self.registry.settings.load().timeout + LEASE_MARGIN
    }

    /// Sends a claimed delivery once, records the result and returns the delivery after it.
    pub(super) async fn perform(&self, claim: Claim) -> Result<Delivery, Error> {
        let Claim { delivery, fence } = claim;
        let store = &self.registry.store;
        let settings = self.registry.settings.load();
        let start = store.now();
        // `repeat`: whether a failure leads to another attempt.
        let (url, outcome, repeat) = match self.registry.target(&delivery).await? {
            Ok(DeliveryTarget { url, secrets }) => {
                let Delivery { event, attempt_number, .. } = &delivery;
                let outcome = self.sender.send(&url, event, &secrets, start, settings.timeout, *attempt_number).await;
                (url, outcome, !delivery.is_test)
            }
            Err(reason) => (delivery.url.clone(), Outcome { error: reason.to_owned(), ..Outcome::default() }, false),
        };
        let Outcome { status, error, retry_after, duration } = outcome;
        let now = store.now();
        let due = next_due(&settings.retry_delays, delivery.attempt_number + 1, retry_after, now).filter(|_| repeat);
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let after = Delivery { url, ..delivery }.after(Attempt { start, millis, status, error }, due, now);
        log(&after);
        // Tests of a crash end the process here: after the delivery, before its record.
        Failpoint::WebhookDelivered.reach();
        match store.record(fence, &after).await? {
            Recorded::EndpointDisabled => tracing::error!(
                webhook.endpoint = after.endpoint_id,
                "a webhook endpoint was disabled: every attempt has failed for five days"
            ),
            Recorded::LeaseLost => {
                tracing::warn!(webhook.delivery = after.id, "an attempt of a webhook ended after its lease");
            }
            Recorded::Done => {}
        }
        Ok(after)
    }
}

fn log(delivery: &Delivery) {
    let Delivery { id, event, endpoint_id, attempt_number, attempts, due_at, .. } = delivery;
    let (id, video, error) = (id, &event.video_id, attempts.last().map_or("", |attempt| &attempt.error));
    metrics::webhook_attempt(match due_at {
        _ if error.is_empty() => "delivered",
        Some(_) => "retried",
        None => "failed",
    });
    if error.is_empty() {
        tracing::debug!(webhook.delivery = id, job.id = video, attempt = attempt_number, "delivered a webhook");
    } else if due_at.is_some() {
        tracing::info!(
            webhook.delivery = id,
            job.id = video,
            attempt = attempt_number,
            "an attempt of a webhook failed: {error}"
        );
    } else {
        let endpoint = endpoint_id;
        tracing::warn!(webhook.delivery = id, webhook.endpoint = endpoint, job.id = video, "a webhook failed: {error}");
    }
}
