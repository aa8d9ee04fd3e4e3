//! Reads responses, their items and their events.

use sqlx::Row as _;

use super::{
    ResponseStore,
    row::{self, ResponseStatus, StoredEvent, StoredResponse},
    storage,
};
use crate::{
    error::Error,
    keys::{Owner, Owners},
};

/// One response of a chain, with its items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChainedResponse {
    pub(crate) id: String,
    pub(crate) status: ResponseStatus,
    pub(crate) previous_id: Option<String>,
    /// The items of the input, as a JSON array; `output_items` likewise.
    pub(crate) input_items: String,
    pub(crate) output_items: String,
}

impl ResponseStore {
    /// Returns a response of these owners.
    ///
    /// # Errors
    /// [`Error::ResponseNotFound`]; [`Error::Storage`].
    pub(crate) async fn get(&self, id: &str, owners: &Owners) -> Result<StoredResponse, Error> {
        let query = sqlx::query(concat!(
            "SELECT ",
            row::columns!(),
            " FROM responses WHERE id = $1 AND ($2 IS NULL OR owner = $2)"
        ));
        let found = query.bind(id).bind(only(owners)).fetch_optional(self.database.readers()).await;
        let found = found.map_err(|error| storage(&error))?;
        let found = found.ok_or_else(|| Error::ResponseNotFound(id.to_owned()))?;
        row::response(&found).map_err(|error| storage(&error))
    }

    /// Returns a response with its items, for a chain. `None` if these owners have none with this id.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub(crate) async fn chained(&self, id: &str, owners: &Owners) -> Result<Option<ChainedResponse>, Error> {
        let query = sqlx::query(
            "SELECT id, status, previous_id, input_items, output_items FROM responses \
             WHERE id = $1 AND ($2 IS NULL OR owner = $2)",
        );
        let found = query.bind(id).bind(only(owners)).fetch_optional(self.database.readers()).await;
        let Some(found) = found.map_err(|error| storage(&error))? else { return Ok(None) };
        let chained = || -> Result<ChainedResponse, sqlx::Error> {
            Ok(ChainedResponse {
                id: found.try_get("id")?,
                status: row::status(&found)?,
                previous_id: found.try_get("previous_id")?,
                input_items: found.try_get("input_items")?,
                output_items: found.try_get("output_items")?,
            })
        };
        chained().map(Some).map_err(|error| storage(&error))
    }

    /// Returns the input items of a response of these owners, as a JSON array.
    ///
    /// # Errors
    /// [`Error::ResponseNotFound`]; [`Error::Storage`].
    pub(crate) async fn input_items(&self, id: &str, owners: &Owners) -> Result<String, Error> {
        let query = "SELECT input_items FROM responses WHERE id = $1 AND ($2 IS NULL OR owner = $2)";
        let query = sqlx::query_scalar(query).bind(id).bind(only(owners));
        let found = query.fetch_optional(self.database.readers()).await.map_err(|error| storage(&error))?;
        found.ok_or_else(|| Error::ResponseNotFound(id.to_owned()))
    }

    /// Returns up to `limit` events of a response from number `first` on, and the state of the response before they were read: a
    /// final state means that no events follow those that exist.
    ///
    /// # Errors
    /// [`Error::ResponseNotFound`]; [`Error::Storage`].
    pub(crate) async fn events(
        &self,
        id: &str,
        first: u64,
        limit: u32,
    ) -> Result<(ResponseStatus, Vec<StoredEvent>), Error> {
        let query = sqlx::query("SELECT status FROM responses WHERE id = $1").bind(id);
        let found = query.fetch_optional(self.database.readers()).await.map_err(|error| storage(&error))?;
        let found = found.ok_or_else(|| Error::ResponseNotFound(id.to_owned()))?;
        let status = row::status(&found).map_err(|error| storage(&error))?;
        let query = sqlx::query(
            "SELECT sequence_number, type, data FROM response_events WHERE response_id = $1 AND sequence_number >= $2 \
             ORDER BY sequence_number LIMIT $3",
        );
        let query = query.bind(id).bind(i64::try_from(first).unwrap_or(i64::MAX)).bind(i64::from(limit));
        let rows = query.fetch_all(self.database.readers()).await.map_err(|error| storage(&error))?;
        let events = rows.iter().map(row::event).collect::<Result<_, _>>().map_err(|error| storage(&error))?;
        Ok((status, events))
    }

    /// Returns the number of the event that follows the stored ones.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub(crate) async fn next_event(&self, id: &str) -> Result<u64, Error> {
        let query = "SELECT COALESCE(MAX(sequence_number) + 1, 0) FROM response_events WHERE response_id = $1";
        let next: i64 = sqlx::query_scalar(query)
            .bind(id)
            .fetch_one(self.database.readers())
            .await
            .map_err(|error| storage(&error))?;
        Ok(next.cast_unsigned())
    }
}

/// Returns the name of the only owner, for a query.
pub(super) fn only(owners: &Owners) -> Option<&str> {
    owners.only().map(Owner::as_str)
}
