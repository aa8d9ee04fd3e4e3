//! Decodes the rows of webhook endpoints and deliveries.

use sqlx::Row as _;

use super::StoreError;
use crate::{
    config::WebhookEventType,
    database::DbRow,
    keys::Owner,
    video::time::Timestamp,
    webhook_secret::WebhookSecret,
    webhooks::{
        delivery::{Delivery, DeliveryState},
        endpoint::{Endpoint, EndpointState},
        event::Event,
    },
};

/// Reads an endpoint with its state. Omits the previous secret if it has expired at `now`.
pub(super) fn endpoint(row: &DbRow, now: Timestamp) -> Result<Endpoint, StoreError> {
    let secret = |text: &str| WebhookSecret::parse(text).ok_or_else(|| StoreError::corrupt("the secret is invalid"));
    let mut secrets = vec![secret(row.try_get("secret")?)?];
    let until = optional_time(row, "previous_secret_until")?.filter(|until| *until > now);
    if until.is_some() {
        secrets.push(secret(row.try_get("previous_secret")?)?);
    }
    Ok(Endpoint {
        id: row.try_get("id")?,
        owner: Some(Owner::new(row.try_get("owner")?)),
        url: row.try_get("url")?,
        event_types: event_types(row.try_get("event_types")?),
        name: row.try_get("name")?,
        secrets,
        previous_secret_until: until,
        created_at: optional_time(row, "created_at")?,
        state: endpoint_state(row)?,
    })
}

/// Reads the state of an endpoint. Without a stored state the join yields NULL columns, and the state is the default.
pub(super) fn endpoint_state(row: &DbRow) -> Result<EndpointState, StoreError> {
    Ok(EndpointState {
        failing_since: optional_time(row, "failing_since")?,
        disabled_reason: row.try_get("disabled_reason")?,
    })
}

/// Encodes event types as the comma-separated value of the `event_types` column.
pub(super) fn event_types_column(event_types: &[WebhookEventType]) -> String {
    event_types.iter().map(|event_type| event_type.as_str()).collect::<Vec<_>>().join(",")
}

/// Decodes the `event_types` column. Skips unknown types, which a later release may have stored before a downgrade.
fn event_types(column: &str) -> Vec<WebhookEventType> {
    column.split(',').filter_map(WebhookEventType::parse).collect()
}

/// The columns of a delivery and of a claim.
macro_rules! delivery_columns {
    () => {
        "id, event_id, event_type, event_created_at, video_id, endpoint_id, owner, url, lane, is_test, state, attempt, attempts, \
         due_at, fence, created_at, completed_at"
    };
}
pub(super) use delivery_columns;

/// Reads a delivery.
pub(super) fn delivery(row: &DbRow) -> Result<Delivery, StoreError> {
    let event_type = WebhookEventType::parse(row.try_get("event_type")?);
    let state = DeliveryState::parse(row.try_get("state")?);
    let attempts = serde_json::from_str(row.try_get("attempts")?).map_err(StoreError::corrupt)?;
    Ok(Delivery {
        id: row.try_get("id")?,
        event: Event {
            id: row.try_get("event_id")?,
            event_type: event_type.ok_or_else(|| StoreError::corrupt("the event type is unknown"))?,
            created_at: Timestamp(row.try_get("event_created_at")?),
            video_id: row.try_get("video_id")?,
        },
        endpoint_id: row.try_get("endpoint_id")?,
        owner: row.try_get::<Option<&str>, _>("owner")?.map(Owner::new),
        url: row.try_get("url")?,
        lane: row.try_get("lane")?,
        is_test: row.try_get::<i64, _>("is_test")? != 0,
        state: state.ok_or_else(|| StoreError::corrupt("the state is unknown"))?,
        attempt_number: u32::try_from(row.try_get::<i64, _>("attempt")?).map_err(StoreError::corrupt)?,
        attempts,
        due_at: optional_time(row, "due_at")?,
        created_at: Timestamp(row.try_get("created_at")?),
        completed_at: optional_time(row, "completed_at")?,
    })
}

fn optional_time(row: &DbRow, column: &str) -> Result<Option<Timestamp>, StoreError> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(Timestamp))
}
