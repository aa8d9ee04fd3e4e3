//! Deliveries: the queue of pending ones, and the log of all. In a row, `lease_until` is 0 while no process has a lease.

use std::time::Duration;

use sqlx::Row as _;

use super::{StoreError, WebhookStore, endpoints, row};
use crate::{
    database::{DbConnection, QueryBuilder},
    keys::{Owner, Owners},
    video::time::Timestamp,
    webhooks::{
        delivery::{Attempt, Delivery, DeliveryState},
        endpoint::CALLBACK,
    },
};

/// An endpoint whose attempts have all failed for so long is disabled.
pub(crate) const DISABLE_AFTER: Duration = Duration::from_hours(5 * 24);

/// A delivery under a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    /// The delivery.
    pub(crate) delivery: Delivery,
    /// The fencing token of the lease.
    pub(crate) fence: i64,
}

/// Which deliveries to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeliveryFilter<'a> {
    /// Those to an endpoint.
    Endpoint(&'a str),
    /// Those for a video.
    Video(&'a str),
}

/// The result of recording an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recorded {
    /// The attempt is in the log.
    Done,
    /// The attempt is in the log, and the endpoint was disabled, because it has failed for too long.
    EndpointDisabled,
    /// Nothing was written: the lease was lost, or the delivery deleted.
    LeaseLost,
}

impl WebhookStore {
    /// Inserts a delivery under a lease, so that only its creator sends it.
    pub(crate) async fn insert_claimed(&self, delivery: Delivery, lease: Duration) -> Result<Claim, StoreError> {
        let mut transaction = self.database.begin().await?;
        insert(&mut transaction, &delivery).await?;
        let query = sqlx::query("UPDATE webhook_deliveries SET lease_until = $2 WHERE id = $1");
        query.bind(&delivery.id).bind(self.now().after(lease).0).execute(&mut *transaction).await?;
        transaction.commit().await?;
        // The fence of a new row.
        Ok(Claim { delivery, fence: 0 })
    }

    /// Returns a delivery to an endpoint of these owners.
    pub(crate) async fn delivery(&self, id: &str, owners: &Owners) -> Result<Option<Delivery>, StoreError> {
        let query = sqlx::query(concat!(
            "SELECT ",
            row::delivery_columns!(),
            " FROM webhook_deliveries WHERE id = $1 AND ($2 IS NULL OR owner = $2)"
        ));
        let query = query.bind(id).bind(endpoints::only(owners));
        query.fetch_optional(self.database.readers()).await?.as_ref().map(row::delivery).transpose()
    }

    /// Returns deliveries to endpoints of these owners, the newest first. `before` is the id of the last one of the previous
    /// page.
    pub(crate) async fn deliveries(
        &self,
        filter: DeliveryFilter<'_>,
        owners: &Owners,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        let mut query =
            QueryBuilder::new(concat!("SELECT ", row::delivery_columns!(), " FROM webhook_deliveries WHERE "));
        let id = match filter {
            DeliveryFilter::Endpoint(id) => query.push("endpoint_id = ").push_bind(id),
            DeliveryFilter::Video(id) => query.push("video_id = ").push_bind(id),
        };
        if let Some(owner) = owners.only() {
            id.push(" AND owner = ").push_bind(owner.as_str());
        }
        if let Some(before) = before {
            query.push(" AND id < ").push_bind(before);
        }
        query.push(" ORDER BY id DESC LIMIT ").push_bind(i64::from(limit));
        query.build().fetch_all(self.database.readers()).await?.iter().map(row::delivery).collect()
    }

    /// Makes a delivery due at once, and returns it; `None` if it was deleted. A final one starts its schedule again.
    pub(crate) async fn redeliver(&self, id: &str) -> Result<Option<Delivery>, StoreError> {
        let query = concat!(
            "UPDATE webhook_deliveries SET state = 'pending', due_at = $2, completed_at = NULL, \
             attempt = CASE WHEN state = 'pending' THEN attempt ELSE 0 END WHERE id = $1 RETURNING ",
            row::delivery_columns!()
        );
        let query = sqlx::query(query).bind(id).bind(self.now().0);
        self.database.fetch_optional(query).await?.as_ref().map(row::delivery).transpose()
    }

    /// Leases the delivery that has been due longest, except those of the lanes in `busy`.
    pub(crate) async fn claim(&self, lease: Duration, busy: &[String]) -> Result<Option<Claim>, StoreError> {
        let now = self.now();
        let query = sqlx::query(concat!(
            "UPDATE webhook_deliveries SET lease_until = $1, fence = fence + 1 WHERE id = (\
             SELECT id FROM webhook_deliveries WHERE state = 'pending' AND due_at <= $2 AND lease_until <= $2 \
             AND lane NOT IN (SELECT value FROM json_each($3)) ORDER BY due_at, id LIMIT 1) RETURNING ",
            row::delivery_columns!()
        ));
        let query = query.bind(now.after(lease).0).bind(now.0).bind(list(busy));
        let Some(found) = self.database.fetch_optional(query).await? else { return Ok(None) };
        Ok(Some(Claim { delivery: row::delivery(&found)?, fence: found.try_get("fence")? }))
    }

    /// Returns when the next delivery can be claimed, which may be in the past. `None`: none is pending.
    pub(crate) async fn next_due(&self, busy: &[String]) -> Result<Option<Timestamp>, StoreError> {
        // The first select reads one row of an index, the second the few rows under a lease.
        let query = sqlx::query_scalar(
            "SELECT MIN(due) FROM (SELECT due FROM (SELECT due_at AS due FROM webhook_deliveries \
             WHERE state = 'pending' AND due_at IS NOT NULL AND lease_until = 0 \
             AND lane NOT IN (SELECT value FROM json_each($1)) ORDER BY due_at LIMIT 1) AS waiting UNION ALL \
             SELECT CASE WHEN lease_until > due_at THEN lease_until ELSE due_at END AS due FROM webhook_deliveries \
             WHERE state = 'pending' AND lease_until > 0 AND lane NOT IN (SELECT value FROM json_each($1))) AS pending",
        );
        let due: Option<i64> = query.bind(list(busy)).fetch_one(self.database.readers()).await?;
        Ok(due.map(Timestamp))
    }

    /// Ends a lease without an attempt. A lost lease is no error.
    pub(crate) async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        let query = sqlx::query("UPDATE webhook_deliveries SET lease_until = 0 WHERE id = $1 AND fence = $2");
        self.database.execute(query.bind(&claim.delivery.id).bind(claim.fence)).await?;
        Ok(())
    }

    /// Writes the delivery after an attempt, ends the lease, and updates the state of the endpoint, in one transaction.
    pub(crate) async fn record(&self, fence: i64, after: &Delivery) -> Result<Recorded, StoreError> {
        let now = self.now();
        let mut transaction = self.database.begin().await?;
        let query = sqlx::query(
            "UPDATE webhook_deliveries SET state = $3, attempt = $4, attempts = $5, due_at = $6, completed_at = $7, \
             url = $8, lease_until = 0 WHERE id = $1 AND fence = $2 AND state = 'pending'",
        );
        let query = query.bind(&after.id).bind(fence).bind(after.state.as_str()).bind(i64::from(after.attempt_number));
        let query = query.bind(attempts_column(&after.attempts)).bind(after.due_at.map(|at| at.0));
        let query = query.bind(after.completed_at.map(|at| at.0)).bind(&after.url);
        if query.execute(&mut *transaction).await?.rows_affected() == 0 {
            return Ok(Recorded::LeaseLost);
        }
        let counts = !after.is_test && after.endpoint_id != CALLBACK;
        let disabled = match after.state {
            DeliveryState::Succeeded if counts => {
                let query = "DELETE FROM webhook_endpoint_states WHERE endpoint_id = $1 AND disabled_reason IS NULL";
                sqlx::query(query).bind(&after.endpoint_id).execute(&mut *transaction).await?;
                false
            }
            DeliveryState::Pending | DeliveryState::Failed if counts => {
                record_failure(&mut transaction, &after.endpoint_id, now).await?
            }
            DeliveryState::Pending | DeliveryState::Succeeded | DeliveryState::Failed => false,
        };
        transaction.commit().await?;
        Ok(if disabled { Recorded::EndpointDisabled } else { Recorded::Done })
    }

    /// Removes deliveries that were final before this time. Returns their number.
    pub(crate) async fn remove_completed_before(&self, time: Timestamp) -> Result<u64, StoreError> {
        let query = sqlx::query("DELETE FROM webhook_deliveries WHERE state <> 'pending' AND completed_at < $1");
        Ok(self.database.execute(query.bind(time.0)).await?)
    }
}

/// Inserts a delivery, unless the event was delivered to the endpoint before.
pub(super) async fn insert(connection: &mut DbConnection, delivery: &Delivery) -> Result<(), StoreError> {
    // Destructured, so that a new field stops the build here.
    let Delivery {
        id,
        event,
        endpoint_id,
        owner,
        url,
        lane,
        is_test,
        state,
        attempt_number,
        attempts,
        due_at,
        created_at,
        completed_at,
    } = delivery;
    let query = sqlx::query(
        "INSERT INTO webhook_deliveries (id, event_id, event_type, event_created_at, video_id, endpoint_id, owner, url, \
         lane, is_test, state, attempt, attempts, due_at, created_at, completed_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) ON CONFLICT DO NOTHING",
    );
    let query = query.bind(id).bind(&event.id).bind(event.event_type.as_str()).bind(event.created_at.0);
    let query = query.bind(&event.video_id).bind(endpoint_id).bind(owner.as_ref().map(Owner::as_str));
    let query =
        query.bind(url).bind(lane).bind(i64::from(*is_test)).bind(state.as_str()).bind(i64::from(*attempt_number));
    let query = query.bind(attempts_column(attempts)).bind(due_at.map(|at| at.0)).bind(created_at.0);
    query.bind(completed_at.map(|at| at.0)).execute(connection).await?;
    Ok(())
}

/// Notes a failed attempt at an endpoint, and disables the endpoint if it has failed for too long. Returns whether it did.
async fn record_failure(connection: &mut DbConnection, endpoint_id: &str, now: Timestamp) -> Result<bool, StoreError> {
    let query = sqlx::query(
        "INSERT INTO webhook_endpoint_states AS state (endpoint_id, failing_since) VALUES ($1, $2) \
         ON CONFLICT (endpoint_id) DO UPDATE SET failing_since = COALESCE(state.failing_since, excluded.failing_since) \
         RETURNING failing_since, disabled_reason",
    );
    let state = query.bind(endpoint_id).bind(now.0).fetch_one(&mut *connection).await?;
    let failing_since = Timestamp(state.try_get("failing_since")?);
    let is_disabled = state.try_get::<Option<&str>, _>("disabled_reason")?.is_some();
    if is_disabled || now.since(failing_since) < DISABLE_AFTER {
        return Ok(false);
    }
    endpoints::disable(connection, endpoint_id, "every attempt has failed for five days", now).await?;
    Ok(true)
}

fn attempts_column(attempts: &[Attempt]) -> String {
    serde_json::json!(attempts).to_string()
}

/// Returns a list of texts as one parameter.
fn list(texts: &[String]) -> String {
    serde_json::json!(texts).to_string()
}
