//! Turns the rows of the outbox, which the job store writes for changes of jobs, into deliveries.

use sqlx::Row as _;

use super::{StoreError, WebhookStore, deliveries, endpoints, row};
use crate::{
    database::{DbConnection, DbRow},
    keys::Owner,
    video::{state::Phase, time::Timestamp},
    webhooks::{
        delivery::Delivery,
        endpoint::Endpoint,
        event::{self, Event},
    },
};

/// The most events of one transaction, so that it does not delay the writes of jobs for long.
pub(super) const BATCH: u8 = 100;

/// The events after the last one that was turned into deliveries, also of jobs that were deleted meanwhile.
const SELECT: &str = "SELECT event.sequence, event.job_id, event.owner, event.revision, event.kind, event.created_at, \
     CASE WHEN json_valid(job.request) THEN json_extract(job.request, '$.callback_url') END AS callback_url \
     FROM job_events AS event JOIN video_jobs AS job ON job.id = event.job_id \
     WHERE event.sequence > (SELECT sequence FROM webhook_outbox) AND event.kind IN ('succeeded', 'failed') \
     UNION ALL SELECT sequence, job_id, owner, revision, kind, created_at, callback_url FROM deleted_job_events \
     ORDER BY sequence LIMIT $1";

/// The statement contains the names of these states.
const _: () = assert!(
    matches!(Phase::Succeeded.as_str().as_bytes(), b"succeeded")
        && matches!(Phase::Failed.as_str().as_bytes(), b"failed")
);

impl WebhookStore {
    /// Creates the deliveries of new events: to these endpoints of the configuration, to those that the owner of the job
    /// had at the time of the event, and to the `callback_url` of the job. Returns whether there may be further events.
    ///
    /// Deliveries and the position in the outbox are one transaction, so an event has its deliveries exactly once. Events
    /// are committed in the order of their numbers, because transactions that write exclude each other: none appears behind the
    /// position.
    pub(crate) async fn fan_out(&self, configured: &[Endpoint]) -> Result<bool, StoreError> {
        // Almost always there is no new event, and reading does not delay writers.
        if sqlx::query(SELECT).bind(1_i64).fetch_optional(self.database.readers()).await?.is_none() {
            return Ok(false);
        }
        let mut transaction = self.database.begin().await?;
        let events = sqlx::query(SELECT).bind(i64::from(BATCH)).fetch_all(&mut *transaction).await?;
        for event in &events {
            match self.deliver(&mut transaction, event, configured).await {
                // One unreadable row must not stop all webhooks.
                Err(error) if error.is_corrupt() => {
                    let id: &str = event.try_get("job_id").unwrap_or_default();
                    tracing::error!(job.id = id, "the end of a video was not turned into webhooks: {error}");
                }
                delivered => delivered?,
            }
            let sequence: i64 = event.try_get("sequence")?;
            sqlx::query("UPDATE webhook_outbox SET sequence = $1").bind(sequence).execute(&mut *transaction).await?;
            let remove = sqlx::query("DELETE FROM deleted_job_events WHERE sequence = $1").bind(sequence);
            remove.execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(events.len() == usize::from(BATCH))
    }

    /// Creates the deliveries of one event.
    async fn deliver(
        &self,
        connection: &mut DbConnection,
        event: &DbRow,
        configured: &[Endpoint],
    ) -> Result<(), StoreError> {
        let now = self.now();
        let Some(event_type) = event::type_of(event.try_get("kind")?) else { return Ok(()) };
        let owner = Owner::new(event.try_get("owner")?);
        let callback_url: Option<String> = event.try_get("callback_url")?;
        let created_at = Timestamp(event.try_get("created_at")?);
        let event = Event::of_job(event.try_get("job_id")?, event.try_get("revision")?, event_type, created_at);
        let query = sqlx::query(sqlx::AssertSqlSafe(format!(
            "{} WHERE endpoint.owner = $1 AND endpoint.created_at <= $2",
            endpoints::SELECT
        )));
        let rows = query.bind(owner.as_str()).bind(created_at.0).fetch_all(&mut *connection).await?;
        let of_owner = rows.iter().map(|found| row::endpoint(found, now)).collect::<Result<Vec<_>, _>>()?;
        for endpoint in configured.iter().chain(&of_owner) {
            if endpoint.is_enabled() && endpoint.event_types.contains(&event_type) {
                let delivery = Delivery::to_endpoint(event.clone(), endpoint, now);
                deliveries::insert(connection, &delivery).await?;
            }
        }
        if let Some(url) = callback_url {
            let delivery = Delivery::to_callback(event, url, owner, now);
            deliveries::insert(connection, &delivery).await?;
        }
        Ok(())
    }
}
