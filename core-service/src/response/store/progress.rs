//! The progress of responses in the background: claim, events, and the end.

use async_trait::async_trait;
use sqlx::Row as _;

use super::{
    ResponseStore, length,
    removal::{add_to_total, evict},
    row::{self, ResponseStatus, StoredEvent, StoredResponse},
    storage,
};
use crate::{
    database::{DbConnection, Write},
    error::Error,
    node::NodeId,
};

/// The end of a response.
#[derive(Debug, Clone)]
pub(crate) struct Finished {
    pub(crate) id: String,
    /// The state in which the response must be, so that only the first of two concurrent ends is written.
    pub(crate) from: ResponseStatus,
    /// A final state.
    pub(crate) to: ResponseStatus,
    pub(crate) response: String,
    /// A JSON array.
    pub(crate) output_items: String,
    /// The last events.
    pub(crate) events: Vec<StoredEvent>,
}

impl ResponseStore {
    /// Claims the oldest queued response for this node, of the owner with the fewest in progress. It is in progress from then on, in the
    /// database as well: after a crash it is known that its call may have been sent.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub(crate) async fn claim(&self, node: &NodeId) -> Result<Option<StoredResponse>, Error> {
        self.database.write(Claim { node: node.clone() }).await.map_err(|error| storage(&error))
    }

    /// Appends events to a response that is in progress, and replaces its response object by `snapshot` if there is one. Returns
    /// `false` if the response was cancelled or deleted.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub(crate) async fn append(
        &self,
        id: &str,
        events: Vec<StoredEvent>,
        snapshot: Option<String>,
    ) -> Result<bool, Error> {
        let append = Append { id: id.to_owned(), events, snapshot, max_bytes: self.max_bytes };
        self.database.write(append).await.map_err(|error| storage(&error))
    }

    /// Ends a response. Returns `false` if it is not in the expected state any more.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub(crate) async fn finish(&self, finished: Finished) -> Result<bool, Error> {
        let finish = Finish { finished, max_bytes: self.max_bytes };
        self.database.write(finish).await.map_err(|error| storage(&error))
    }

    /// Records that the node which generates a response must cancel it.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub(crate) async fn request_cancel(&self, id: &str) -> Result<(), Error> {
        let query = sqlx::query("UPDATE responses SET cancel_requested = 1 WHERE id = $1").bind(id);
        self.database.execute(query).await.map(drop).map_err(|error| storage(&error))
    }

    /// Returns whether the generation of a response must end: a client has cancelled it, or it was deleted or ended by another node.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub(crate) async fn must_end(&self, id: &str) -> Result<bool, Error> {
        let query = "SELECT 1 FROM responses WHERE id = $1 AND status = 'in_progress' AND cancel_requested = 0";
        let found = sqlx::query(query).bind(id).fetch_optional(self.database.readers()).await;
        found.map(|row| row.is_none()).map_err(|error| storage(&error))
    }

    /// Returns up to `limit` responses that are in progress and that no running node generates. With `own`, those of that node, which has
    /// stopped generating, are among them.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub(crate) async fn interrupted(&self, own: Option<&NodeId>, limit: u32) -> Result<Vec<StoredResponse>, Error> {
        // The first condition is that of the partial index `responses_active`, which SQLite uses only if the query repeats it.
        let query = concat!(
            "SELECT ",
            row::columns!(),
            " FROM responses WHERE status IN ('queued', 'in_progress') AND status = 'in_progress' \
             AND (node = $1 OR node NOT IN (SELECT id FROM nodes)) ORDER BY created_at, id LIMIT $2"
        );
        let query = sqlx::query(query).bind(own.map(NodeId::as_str)).bind(i64::from(limit));
        let rows = query.fetch_all(self.database.readers()).await.map_err(|error| storage(&error))?;
        rows.iter().map(row::response).collect::<Result<_, _>>().map_err(|error| storage(&error))
    }
}

struct Claim {
    node: NodeId,
}

#[async_trait]
impl Write for Claim {
    type Output = Option<StoredResponse>;

    async fn run(&mut self, connection: &mut DbConnection) -> Result<Self::Output, sqlx::Error> {
        // The id alone first, so that the texts of the other rows are not sorted.
        let query = sqlx::query_scalar(
            "WITH active AS (SELECT id, owner, status, created_at FROM responses WHERE status IN ('queued', 'in_progress')), \
             busy AS (SELECT owner, COUNT(*) AS calls FROM active WHERE status = 'in_progress' GROUP BY owner) \
             SELECT active.id FROM active LEFT JOIN busy ON busy.owner = active.owner WHERE active.status = 'queued' \
             ORDER BY COALESCE(busy.calls, 0), active.created_at, active.id LIMIT 1",
        );
        let Some(id): Option<String> = query.fetch_optional(&mut *connection).await? else { return Ok(None) };
        let update = sqlx::query(concat!(
            "UPDATE responses SET status = 'in_progress', node = $2 WHERE id = $1 RETURNING ",
            row::columns!()
        ));
        row::response(&update.bind(id).bind(self.node.as_str()).fetch_one(connection).await?).map(Some)
    }
}

struct Append {
    id: String,
    events: Vec<StoredEvent>,
    snapshot: Option<String>,
    max_bytes: i64,
}

#[async_trait]
impl Write for Append {
    type Output = bool;

    /// The events of the last moment may be lost in a power failure, after which the response has failed anyway.
    fn must_be_durable(&self) -> bool {
        false
    }

    async fn run(&mut self, connection: &mut DbConnection) -> Result<bool, sqlx::Error> {
        let events = self.events.iter().map(|event| length(&event.data)).sum::<i64>();
        // `$3` is the size of the events, `$4` that of the snapshot, which replaces the response object.
        let query = sqlx::query(
            "UPDATE responses SET response = COALESCE($2, response), size_bytes = size_bytes + $3 \
             + COALESCE($4 - OCTET_LENGTH(response), 0) WHERE id = $1 AND status = 'in_progress' \
             RETURNING size_bytes",
        );
        let old: Option<i64> = size(connection, &self.id).await?;
        let snapshot = self.snapshot.as_deref();
        let query = query.bind(&self.id).bind(snapshot).bind(events).bind(snapshot.map(length));
        let (Some(old), Some(new)) = (old, query.fetch_optional(&mut *connection).await?) else { return Ok(false) };
        add_to_total(connection, new.try_get::<i64, _>("size_bytes")? - old).await?;
        insert_events(connection, &self.id, &self.events).await?;
        evict(connection, &self.id, self.max_bytes).await?;
        Ok(true)
    }
}

struct Finish {
    finished: Finished,
    max_bytes: i64,
}

#[async_trait]
impl Write for Finish {
    type Output = bool;

    async fn run(&mut self, connection: &mut DbConnection) -> Result<bool, sqlx::Error> {
        let Finished { id, from, to, response, output_items, events } = &self.finished;
        let added =
            events.iter().map(|event| length(&event.data)).sum::<i64>() + length(response) + length(output_items);
        let query = sqlx::query(
            "UPDATE responses SET status = $3, response = $4, output_items = $5, request = '', size_bytes = size_bytes + $6 \
             - OCTET_LENGTH(request) - OCTET_LENGTH(response) - OCTET_LENGTH(output_items) \
             WHERE id = $1 AND status = $2 RETURNING size_bytes",
        );
        let old: Option<i64> = size(connection, id).await?;
        let query = query.bind(id).bind(from.as_str()).bind(to.as_str()).bind(response).bind(output_items).bind(added);
        let (Some(old), Some(new)) = (old, query.fetch_optional(&mut *connection).await?) else { return Ok(false) };
        add_to_total(connection, new.try_get::<i64, _>("size_bytes")? - old).await?;
        insert_events(connection, id, events).await?;
        evict(connection, id, self.max_bytes).await?;
        Ok(true)
    }
}

async fn size(connection: &mut DbConnection, id: &str) -> Result<Option<i64>, sqlx::Error> {
    let query = sqlx::query_scalar("SELECT size_bytes FROM responses WHERE id = $1");
    query.bind(id).fetch_optional(connection).await
}

/// Inserts events of a response, whose size the caller counts.
pub(super) async fn insert_events(
    connection: &mut DbConnection,
    id: &str,
    events: &[StoredEvent],
) -> Result<(), sqlx::Error> {
    for event in events {
        let query = "INSERT INTO response_events (response_id, sequence_number, type, data) VALUES ($1, $2, $3, $4)";
        let query = sqlx::query(query).bind(id).bind(event.sequence_number.cast_signed());
        query.bind(&event.kind).bind(&event.data).execute(&mut *connection).await?;
    }
    Ok(())
}
