//! Endpoints that clients created, and the states of all endpoints.

use super::{StoreError, WebhookStore, row};
use crate::{
    database::DbConnection,
    keys::Owners,
    video::time::Timestamp,
    webhook_secret::WebhookSecret,
    webhooks::endpoint::{Endpoint, EndpointState},
};

/// Selects endpoints with their states. Callers append the conditions.
pub(super) const SELECT: &str = "SELECT endpoint.id, endpoint.owner, endpoint.url, endpoint.event_types, endpoint.name, \
     endpoint.secret, endpoint.previous_secret, endpoint.previous_secret_until, endpoint.created_at, state.failing_since, \
     state.disabled_reason FROM webhook_endpoints AS endpoint LEFT JOIN webhook_endpoint_states AS state ON state.endpoint_id = endpoint.id";

impl WebhookStore {
    /// Inserts an endpoint with this secret, unless its owner has `max` of them; then it returns `false`.
    pub(crate) async fn insert_endpoint(
        &self,
        endpoint: &Endpoint,
        secret: &WebhookSecret,
        max: u32,
    ) -> Result<bool, StoreError> {
        let Endpoint { id, owner, url, event_types, name, created_at, .. } = endpoint;
        let query = sqlx::query(
            "INSERT INTO webhook_endpoints (id, owner, url, event_types, name, secret, created_at) \
             SELECT $1, $2, $3, $4, $5, $6, $7 WHERE (SELECT COUNT(*) FROM webhook_endpoints WHERE owner = $2) < $8",
        );
        let owner = owner.clone().unwrap_or_default();
        let query = query.bind(id).bind(owner.as_str()).bind(url).bind(row::event_types_column(event_types));
        let query = query.bind(name).bind(secret.to_text()).bind(created_at.map(|at| at.0)).bind(i64::from(max));
        Ok(self.database.execute(query).await? > 0)
    }

    /// Returns an endpoint of these owners.
    pub(crate) async fn endpoint(&self, id: &str, owners: &Owners) -> Result<Option<Endpoint>, StoreError> {
        let query = sqlx::query(sqlx::AssertSqlSafe(format!(
            "{SELECT} WHERE endpoint.id = $1 AND ($2 IS NULL OR endpoint.owner = $2)"
        )));
        let query = query.bind(id).bind(only(owners));
        let found = query.fetch_optional(self.database.readers()).await?;
        found.map(|found| row::endpoint(&found, self.now())).transpose()
    }

    /// Returns the endpoints of these owners, the newest first.
    pub(crate) async fn endpoints(&self, owners: &Owners) -> Result<Vec<Endpoint>, StoreError> {
        let query = sqlx::query(sqlx::AssertSqlSafe(format!(
            "{SELECT} WHERE $1 IS NULL OR endpoint.owner = $1 ORDER BY endpoint.id DESC"
        )));
        let found = query.bind(only(owners)).fetch_all(self.database.readers()).await?;
        found.iter().map(|found| row::endpoint(found, self.now())).collect()
    }

    /// Returns the state of an endpoint, also of one of the configuration.
    pub(crate) async fn endpoint_state(&self, id: &str) -> Result<EndpointState, StoreError> {
        let query =
            sqlx::query("SELECT failing_since, disabled_reason FROM webhook_endpoint_states WHERE endpoint_id = $1")
                .bind(id);
        let found = query.fetch_optional(self.database.readers()).await?;
        found.map_or_else(|| Ok(EndpointState::default()), |found| row::endpoint_state(&found))
    }

    /// Writes the URL, the event types and the name of an endpoint.
    pub(crate) async fn update_endpoint(&self, endpoint: &Endpoint) -> Result<(), StoreError> {
        let Endpoint { id, url, event_types, name, .. } = endpoint;
        let query = "UPDATE webhook_endpoints SET url = $2, event_types = $3, name = $4 WHERE id = $1";
        let query = sqlx::query(query).bind(id).bind(url).bind(row::event_types_column(event_types)).bind(name);
        self.database.execute(query).await?;
        Ok(())
    }

    /// Replaces the secret of an endpoint. The old one signs as well until `until`.
    pub(crate) async fn rotate_secret(
        &self,
        id: &str,
        secret: &WebhookSecret,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let query = "UPDATE webhook_endpoints SET previous_secret = secret, previous_secret_until = $3, secret = $2 \
                     WHERE id = $1";
        self.database.execute(sqlx::query(query).bind(id).bind(secret.to_text()).bind(until.0)).await?;
        Ok(())
    }

    /// Deletes an endpoint with its state and its deliveries.
    pub(crate) async fn delete_endpoint(&self, id: &str) -> Result<(), StoreError> {
        let mut transaction = self.database.begin().await?;
        for query in [
            "DELETE FROM webhook_endpoints WHERE id = $1",
            "DELETE FROM webhook_endpoint_states WHERE endpoint_id = $1",
            "DELETE FROM webhook_deliveries WHERE endpoint_id = $1",
        ] {
            sqlx::query(query).bind(id).execute(&mut *transaction).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Enables an endpoint, and forgets that attempts failed.
    pub(crate) async fn enable_endpoint(&self, id: &str) -> Result<(), StoreError> {
        let query = sqlx::query("DELETE FROM webhook_endpoint_states WHERE endpoint_id = $1").bind(id);
        self.database.execute(query).await?;
        Ok(())
    }

    /// Disables an endpoint and ends its pending deliveries as failed.
    pub(crate) async fn disable_endpoint(&self, id: &str, reason: &str) -> Result<(), StoreError> {
        let mut transaction = self.database.begin().await?;
        disable(&mut transaction, id, reason, self.now()).await?;
        Ok(transaction.commit().await?)
    }
}

/// Disables an endpoint within a transaction.
pub(super) async fn disable(
    connection: &mut DbConnection,
    id: &str,
    reason: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let query = "INSERT INTO webhook_endpoint_states (endpoint_id, disabled_reason) VALUES ($1, $2) \
                 ON CONFLICT (endpoint_id) DO UPDATE SET disabled_reason = excluded.disabled_reason";
    sqlx::query(query).bind(id).bind(reason).execute(&mut *connection).await?;
    let query = "UPDATE webhook_deliveries SET state = 'failed', due_at = NULL, completed_at = $2 \
                 WHERE endpoint_id = $1 AND state = 'pending'";
    sqlx::query(query).bind(id).bind(now.0).execute(&mut *connection).await?;
    Ok(())
}

/// Returns the only owner as a parameter; NULL for all owners.
pub(super) fn only(owners: &Owners) -> Option<String> {
    owners.only().map(|owner| owner.as_str().to_owned())
}
