//! The insert of a new response.

use async_trait::async_trait;
use sqlx::Row as _;

use super::{
    ResponseStore, length,
    progress::insert_events,
    removal::{add_to_total, evict},
    row::{self, CallOrigin, ResponseStatus, StoredEvent, StoredResponse},
    storage,
};
use crate::{
    database::{DbConnection, Write},
    error::Error,
    idempotency::{Fingerprint, Idempotency, Key, SDK_WINDOW},
    keys::Owner,
    video::time::Timestamp,
};

/// A response that is stored for the first time.
#[derive(Debug, Clone)]
pub(crate) struct NewResponse {
    pub(crate) id: String,
    pub(crate) owner: Owner,
    pub(crate) status: ResponseStatus,
    pub(crate) background: bool,
    pub(crate) created_at: Timestamp,
    pub(crate) origin: CallOrigin,
    /// Empty if the response is final.
    pub(crate) request: String,
    pub(crate) response: String,
    /// The items of the input, as a JSON array; `output_items` likewise.
    pub(crate) input_items: String,
    pub(crate) output_items: String,
    pub(crate) events: Vec<StoredEvent>,
    /// The responses that it continues, the direct predecessor first. Their retention begins again.
    pub(crate) predecessors: Vec<String>,
    /// The idempotency key and fingerprint of the call, if it can be repeated.
    pub(crate) call: Option<Idempotency>,
}

/// The result of an insert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Inserted {
    /// The response was inserted.
    New,
    /// The call repeats an earlier one, whose response this is.
    Existing(Box<StoredResponse>),
}

/// How many responses may be queued.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueueLimits {
    pub(crate) per_owner: u32,
    pub(crate) total: u32,
}

struct Insert {
    new: NewResponse,
    limits: QueueLimits,
    max_bytes: i64,
    now: Timestamp,
}

/// Finds the response with an idempotency key.
const FIND_KEY: &str = concat!("SELECT ", row::columns!(), " FROM responses WHERE owner = $1 AND idempotency_key = $2");

impl ResponseStore {
    /// Inserts a response, unless its call repeats an earlier one.
    ///
    /// # Errors
    /// [`Error::IdempotencyConflict`]; [`Error::QueueFull`] for a queued response beyond a limit; [`Error::Storage`].
    pub(crate) async fn insert(&self, new: NewResponse, limits: QueueLimits) -> Result<Inserted, Error> {
        let insert = Insert { new, limits, max_bytes: self.max_bytes, now: self.now() };
        self.database.write(insert).await.map_err(|error| storage(&error))?
    }

    /// Returns the response of an earlier call that this call repeats.
    ///
    /// # Errors
    /// [`Error::IdempotencyConflict`]; [`Error::Storage`].
    pub(crate) async fn repeated(&self, call: &Idempotency) -> Result<Option<StoredResponse>, Error> {
        let row = sqlx::query(FIND_KEY)
            .bind(call.scope.owner.as_str())
            .bind(call.scope.key.to_column())
            .fetch_optional(self.database.readers())
            .await
            .map_err(|error| storage(&error))?;
        let Some(row) = row else { return Ok(None) };
        let stored = row::response(&row).map_err(|error| storage(&error))?;
        let fingerprint: Option<String> = row.try_get("fingerprint").map_err(|error| storage(&error))?;
        is_repetition(&stored, fingerprint.as_deref(), call, self.now()).map(|repeated| repeated.then_some(stored))
    }
}

/// Returns whether a call repeats the one that created a response in the same scope.
fn is_repetition(
    stored: &StoredResponse,
    fingerprint: Option<&str>,
    call: &Idempotency,
    now: Timestamp,
) -> Result<bool, Error> {
    let has_expired = match call.scope.key {
        Key::Explicit(_) => false,
        Key::Content(_) => stored.created_at.after(SDK_WINDOW) <= now,
    };
    if has_expired || !call.may_be_repetition {
        return Ok(false);
    }
    if fingerprint.and_then(Fingerprint::from_hex) != Some(call.fingerprint) {
        return Err(Error::IdempotencyConflict(call.scope.explicit_key().to_owned()));
    }
    Ok(true)
}

#[async_trait]
impl Write for Insert {
    type Output = Result<Inserted, Error>;

    async fn run(&mut self, connection: &mut DbConnection) -> Result<Self::Output, sqlx::Error> {
        let Self { new, limits, max_bytes, now } = self;
        // Writes run one after the other, so nothing comes between the look-up of the key, the count and the insert.
        let column = new.call.as_ref().map(|call| call.scope.key.to_column());
        if let (Some(call), Some(column)) = (&new.call, &column) {
            let query = sqlx::query(FIND_KEY);
            let known = query.bind(new.owner.as_str()).bind(column).fetch_optional(&mut *connection).await?;
            if let Some(known) = known {
                let stored = row::response(&known)?;
                let fingerprint: Option<String> = known.try_get("fingerprint")?;
                match is_repetition(&stored, fingerprint.as_deref(), call, *now) {
                    Ok(true) => return Ok(Ok(Inserted::Existing(Box::new(stored)))),
                    Ok(false) => {}
                    Err(conflict) => return Ok(Err(conflict)),
                }
                let free = "UPDATE responses SET idempotency_key = NULL, fingerprint = NULL WHERE id = $1";
                sqlx::query(free).bind(&stored.id).execute(&mut *connection).await?;
            }
        }
        if new.status == ResponseStatus::Queued
            && let Err(full) = check_limits(connection, &new.owner, *limits).await?
        {
            return Ok(Err(full));
        }
        let texts = [&new.request, &new.response, &new.input_items, &new.output_items];
        let size =
            texts.into_iter().chain(new.events.iter().map(|event| &event.data)).map(|text| length(text)).sum::<i64>();
        let query = sqlx::query(
            "INSERT INTO responses (id, owner, status, background, previous_id, created_at, used_at, request_id, request, \
             response, input_items, output_items, size_bytes, idempotency_key, fingerprint) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
        );
        let query = query.bind(&new.id).bind(new.owner.as_str()).bind(new.status.as_str());
        let query = query.bind(i64::from(new.background)).bind(new.predecessors.first());
        let query = query.bind(new.created_at.0).bind(now.0).bind(new.origin.to_column()).bind(&new.request);
        let query = query.bind(&new.response).bind(&new.input_items).bind(&new.output_items).bind(size);
        let fingerprint = new.call.as_ref().map(|call| call.fingerprint.to_hex());
        query.bind(column).bind(fingerprint).execute(&mut *connection).await?;
        insert_events(connection, &new.id, &new.events).await?;
        if !new.predecessors.is_empty() {
            let ids: serde_json::Value = new.predecessors.iter().map(String::as_str).collect();
            let touch = "UPDATE responses SET used_at = $1 WHERE id IN (SELECT value FROM json_each($2))";
            sqlx::query(touch).bind(now.0).bind(ids.to_string()).execute(&mut *connection).await?;
        }
        add_to_total(connection, size).await?;
        evict(connection, &new.id, *max_bytes).await?;
        Ok(Ok(Inserted::New))
    }
}

/// Fails if no further response of this owner may be queued.
async fn check_limits(
    connection: &mut DbConnection,
    owner: &Owner,
    limits: QueueLimits,
) -> Result<Result<(), Error>, sqlx::Error> {
    // The first condition is that of the partial index `responses_active`, which SQLite uses only if the query repeats it.
    let query = sqlx::query_as(
        "SELECT COUNT(*) FILTER (WHERE owner = $1), COUNT(*) FROM responses \
         WHERE status IN ('queued', 'in_progress') AND status = 'queued'",
    );
    let (of_owner, of_all): (i64, i64) = query.bind(owner.as_str()).fetch_one(connection).await?;
    let full = |setting, limit| Ok(Err(Error::QueueFull { what: "responses", setting, limit }));
    if of_owner >= i64::from(limits.per_owner) {
        return full("responses.max_queued_per_owner", limits.per_owner);
    }
    if of_all >= i64::from(limits.total) {
        return full("responses.max_queued", limits.total);
    }
    Ok(Ok(()))
}
