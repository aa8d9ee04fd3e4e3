//! The removal of responses: by clients, after their retention, and above the total size.

use std::time::Duration;

use async_trait::async_trait;

use super::{ResponseStore, reads::only, storage};
use crate::{
    database::{DbConnection, Write},
    error::Error,
    keys::Owners,
    video::time::Timestamp,
};

/// How many responses one write removes to make space, and how many at a time.
const EVICTED_AT_MOST: u32 = 256;
const EVICTED_AT_ONCE: u32 = 32;

impl ResponseStore {
    /// Removes a response of these owners, in whatever state.
    ///
    /// # Errors
    /// [`Error::ResponseNotFound`]; [`Error::Storage`].
    pub(crate) async fn delete(&self, id: &str, owners: &Owners) -> Result<(), Error> {
        let delete = Delete { id: id.to_owned(), owner: only(owners).map(str::to_owned) };
        let deleted = self.database.write(delete).await.map_err(|error| storage(&error))?;
        if deleted { Ok(()) } else { Err(Error::ResponseNotFound(id.to_owned())) }
    }

    /// Removes up to `limit` final responses that were last used longer ago than `retention`. Returns their number.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub(crate) async fn remove_expired(&self, retention: Duration, limit: u32) -> Result<usize, Error> {
        let remove = RemoveExpired { before: self.expiry(retention), limit };
        self.database.write(remove).await.map_err(|error| storage(&error))
    }

    /// Returns the total size of all responses, in bytes.
    ///
    /// # Errors
    /// [`Error::Storage`].
    #[cfg(test)]
    pub(crate) async fn total_bytes(&self) -> Result<i64, Error> {
        let query = sqlx::query_scalar("SELECT size_bytes FROM response_totals");
        query.fetch_one(self.database.readers()).await.map_err(|error| storage(&error))
    }
}

struct Delete {
    id: String,
    owner: Option<String>,
}

#[async_trait]
impl Write for Delete {
    type Output = bool;

    async fn run(&mut self, connection: &mut DbConnection) -> Result<bool, sqlx::Error> {
        let query = "SELECT id FROM responses WHERE id = $1 AND ($2 IS NULL OR owner = $2)";
        let ids = sqlx::query_scalar(query).bind(&self.id).bind(&self.owner).fetch_all(&mut *connection).await?;
        Ok(remove(connection, &ids).await? > 0)
    }
}

struct RemoveExpired {
    before: Timestamp,
    limit: u32,
}

#[async_trait]
impl Write for RemoveExpired {
    type Output = usize;

    /// A removal that is lost in a power failure is repeated by the next pass of the sweeper.
    fn must_be_durable(&self) -> bool {
        false
    }

    async fn run(&mut self, connection: &mut DbConnection) -> Result<usize, sqlx::Error> {
        let query = sqlx::query_scalar(
            "SELECT id FROM responses WHERE status NOT IN ('queued', 'in_progress') AND used_at < $1 \
             ORDER BY used_at, id LIMIT $2",
        );
        let ids: Vec<String> =
            query.bind(self.before.0).bind(i64::from(self.limit)).fetch_all(&mut *connection).await?;
        remove(connection, &ids).await
    }
}

/// Adds a size to the total.
pub(super) async fn add_to_total(connection: &mut DbConnection, bytes: i64) -> Result<(), sqlx::Error> {
    let query = sqlx::query("UPDATE response_totals SET size_bytes = size_bytes + $1").bind(bytes);
    query.execute(connection).await.map(drop)
}

/// Removes the final responses that were not used for the longest time, except for `kept`, until the total is within `max_bytes`.
/// Removes a bounded number, so that a write does not take long after the setting was lowered.
pub(super) async fn evict(connection: &mut DbConnection, kept: &str, max_bytes: i64) -> Result<(), sqlx::Error> {
    for _ in 0..EVICTED_AT_MOST / EVICTED_AT_ONCE {
        let total = sqlx::query_scalar("SELECT size_bytes FROM response_totals");
        let total: i64 = total.fetch_one(&mut *connection).await?;
        if total <= max_bytes {
            break;
        }
        // As many of the oldest as free the surplus `$3`; `before` is the sum of the sizes of the rows before each.
        let query = sqlx::query_scalar(
            "SELECT id FROM (SELECT id, used_at, SUM(size_bytes) OVER (ORDER BY used_at, id) - size_bytes AS before FROM \
             (SELECT id, used_at, size_bytes FROM responses WHERE status NOT IN ('queued', 'in_progress') AND id <> $1 \
             ORDER BY used_at, id LIMIT $2) AS oldest) AS summed WHERE before < $3 ORDER BY used_at, id",
        );
        let query = query.bind(kept).bind(i64::from(EVICTED_AT_ONCE)).bind(total - max_bytes);
        let ids: Vec<String> = query.fetch_all(&mut *connection).await?;
        if remove(connection, &ids).await? == 0 {
            break;
        }
    }
    Ok(())
}

/// Removes responses with their events. Returns their number.
async fn remove(connection: &mut DbConnection, ids: &[String]) -> Result<usize, sqlx::Error> {
    for id in ids {
        // The events follow by their foreign key.
        let query = sqlx::query_scalar("DELETE FROM responses WHERE id = $1 RETURNING size_bytes");
        let bytes: i64 = query.bind(id).fetch_one(&mut *connection).await?;
        add_to_total(connection, -bytes).await?;
    }
    Ok(ids.len())
}
