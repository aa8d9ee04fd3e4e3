//! Conversion into the messages of the gRPC API.

use triptych_proto::v1::{self as pb, webhook_delivery::State};

use crate::{
    keys::Caller,
    webhook_secret::WebhookSecret,
    webhooks::{
        delivery::{Attempt, Delivery, DeliveryState},
        endpoint::{Endpoint, EndpointState},
    },
};

/// Returns the message of an endpoint, without its secrets.
pub(super) fn endpoint(endpoint: Endpoint, caller: &Caller) -> pb::WebhookEndpoint {
    let enabled = endpoint.is_enabled();
    let Endpoint { id, owner, url, event_types, name, secrets, previous_secret_until, created_at, state } = endpoint;
    let EndpointState { failing_since, disabled_reason } = state;
    pb::WebhookEndpoint {
        id,
        url,
        event_types: event_types.iter().map(|event_type| event_type.as_str().to_owned()).collect(),
        name,
        enabled,
        disabled_reason: disabled_reason.unwrap_or_default(),
        create_time: created_at.map(Into::into),
        failing_since: failing_since.map(Into::into),
        previous_secret_expire_time: previous_secret_until.map(Into::into),
        configured: owner.is_none(),
        secret_hint: secrets.first().map(WebhookSecret::hint).unwrap_or_default(),
        owner: owner.filter(|_| caller.is_admin()).map(|owner| owner.as_str().to_owned()),
    }
}

/// Returns the message of a delivery.
pub(super) fn delivery(delivery: Delivery) -> pb::WebhookDelivery {
    let Delivery {
        id,
        event,
        endpoint_id,
        owner: _,
        url,
        lane: _,
        is_test,
        state,
        attempt_number: _,
        attempts,
        due_at,
        created_at,
        completed_at,
    } = delivery;
    let state = match state {
        DeliveryState::Pending => State::Pending,
        DeliveryState::Succeeded => State::Succeeded,
        DeliveryState::Failed => State::Failed,
    };
    pb::WebhookDelivery {
        id,
        event_id: event.id,
        event_type: event.event_type.as_str().to_owned(),
        video_id: event.video_id,
        endpoint_id,
        url,
        state: state.into(),
        attempts: attempts.into_iter().map(attempt).collect(),
        create_time: Some(created_at.into()),
        next_attempt_time: due_at.map(Into::into),
        complete_time: completed_at.map(Into::into),
        test: is_test,
    }
}

fn attempt(attempt: Attempt) -> pb::WebhookAttempt {
    let Attempt { start, millis, status, error } = attempt;
    let duration = std::time::Duration::from_millis(millis);
    pb::WebhookAttempt {
        start_time: Some(start.into()),
        duration: prost_types::Duration::try_from(duration).ok(),
        http_status: status.map(u32::from),
        error,
    }
}
