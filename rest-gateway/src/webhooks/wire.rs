//! The JSON of webhook endpoints and deliveries, converted from and to the messages of the core's protobuf API.

use prost_types::Timestamp;
use serde::Serialize;
use triptych_proto::v1::{self as pb, webhook_delivery::State};

use crate::{error::GatewayError, members::Members};

/// Reads the body of a create request.
pub(super) fn read_create(members: &Members) -> Result<pb::CreateWebhookEndpointRequest, GatewayError> {
    Ok(pb::CreateWebhookEndpointRequest {
        url: members.text("url")?.unwrap_or_default(),
        event_types: members.texts("event_types")?,
        name: members.text("name")?.unwrap_or_default(),
    })
}

/// Reads the body of an update of the endpoint `id`. A member that is absent or null, and an empty list of event types, change nothing.
pub(super) fn read_update(id: String, members: &Members) -> Result<pb::UpdateWebhookEndpointRequest, GatewayError> {
    Ok(pb::UpdateWebhookEndpointRequest {
        id,
        url: members.text("url")?,
        event_types: members.texts("event_types")?,
        name: members.text("name")?,
        enabled: members.boolean("enabled")?,
    })
}

/// Reads the body of a rotation of the secret of the endpoint `id`. `keep_old_secret_active_for_24_hours` is OpenAI's member;
/// `overlap_seconds` sets any other time.
pub(super) fn read_rotate(id: String, members: &Members) -> Result<pb::RotateWebhookSecretRequest, GatewayError> {
    let day = members.boolean("keep_old_secret_active_for_24_hours")?.unwrap_or_default().then_some(86_400);
    let seconds = members.integer("overlap_seconds")?.or(day);
    let overlap = seconds.map(|seconds| prost_types::Duration { seconds, nanos: 0 });
    Ok(pb::RotateWebhookSecretRequest { id, overlap })
}

/// An endpoint, in the form of OpenAI, with further members. Times are Unix seconds. `signing_secret` is in the
/// responses to its creation and its rotation only.
#[derive(Debug, Serialize)]
pub(super) struct Endpoint {
    pub(super) id: String,
    object: &'static str,
    created_at: Option<i64>,
    name: String,
    url: String,
    event_types: Vec<String>,
    signing_secret_hint: String,
    enabled: bool,
    disabled_reason: Option<String>,
    failing_since: Option<i64>,
    previous_secret_expires_at: Option<i64>,
    /// Whether it is an endpoint of the configuration file.
    configured: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signing_secret: Option<String>,
}

impl Endpoint {
    pub(super) fn of(endpoint: pb::WebhookEndpoint, secret: Option<String>) -> Self {
        let pb::WebhookEndpoint {
            id,
            url,
            event_types,
            name,
            enabled,
            disabled_reason,
            create_time,
            failing_since,
            previous_secret_expire_time,
            configured,
            owner,
            secret_hint,
        } = endpoint;
        Self {
            id,
            object: "webhook_endpoint",
            created_at: seconds(create_time),
            name,
            url,
            event_types,
            signing_secret_hint: secret_hint,
            enabled,
            disabled_reason: non_empty(disabled_reason),
            failing_since: seconds(failing_since),
            previous_secret_expires_at: seconds(previous_secret_expire_time),
            configured,
            owner,
            signing_secret: secret,
        }
    }
}

/// An event that is sent to one endpoint, with all attempts so far.
#[derive(Debug, Serialize)]
pub(super) struct Delivery {
    pub(super) id: String,
    object: &'static str,
    created_at: Option<i64>,
    event_id: String,
    event_type: String,
    video_id: String,
    endpoint_id: String,
    url: String,
    status: &'static str,
    attempts: Vec<Attempt>,
    next_attempt_at: Option<i64>,
    completed_at: Option<i64>,
    /// Whether it was sent by a test of the endpoint.
    test: bool,
}

/// The result of a test, which sends an event at once. `success` says whether the receiver responded, with any status.
#[derive(Debug, Serialize)]
pub(super) struct TestResult {
    object: &'static str,
    webhook_endpoint_id: String,
    event_type: String,
    success: bool,
    status_code: Option<u32>,
    delivery: Delivery,
}

impl TestResult {
    pub(super) fn of(delivery: pb::WebhookDelivery) -> Self {
        let status_code = delivery.attempts.last().and_then(|attempt| attempt.http_status);
        Self {
            object: "webhook_endpoint.test",
            webhook_endpoint_id: delivery.endpoint_id.clone(),
            event_type: delivery.event_type.clone(),
            success: status_code.is_some(),
            status_code,
            delivery: Delivery::of(delivery),
        }
    }
}

#[derive(Debug, Serialize)]
struct Attempt {
    started_at: Option<i64>,
    duration_ms: i64,
    http_status: Option<u32>,
    error: Option<String>,
}

impl Delivery {
    pub(super) fn of(delivery: pb::WebhookDelivery) -> Self {
        let status = match delivery.state() {
            State::Unspecified | State::Pending => "pending",
            State::Succeeded => "succeeded",
            State::Failed => "failed",
        };
        let pb::WebhookDelivery {
            id,
            event_id,
            event_type,
            video_id,
            endpoint_id,
            url,
            state: _,
            attempts,
            create_time,
            next_attempt_time,
            complete_time,
            test,
        } = delivery;
        Self {
            id,
            object: "webhook_delivery",
            created_at: seconds(create_time),
            event_id,
            event_type,
            video_id,
            endpoint_id,
            url,
            status,
            attempts: attempts.into_iter().map(Attempt::of).collect(),
            next_attempt_at: seconds(next_attempt_time),
            completed_at: seconds(complete_time),
            test,
        }
    }
}

impl Attempt {
    fn of(attempt: pb::WebhookAttempt) -> Self {
        let pb::WebhookAttempt { start_time, duration, http_status, error } = attempt;
        let duration = duration.unwrap_or_default();
        let duration_ms = duration.seconds.saturating_mul(1000).saturating_add(i64::from(duration.nanos) / 1_000_000);
        Self { started_at: seconds(start_time), duration_ms, http_status, error: non_empty(error) }
    }
}

fn seconds(time: Option<Timestamp>) -> Option<i64> {
    time.map(|time| time.seconds)
}

fn non_empty(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}
