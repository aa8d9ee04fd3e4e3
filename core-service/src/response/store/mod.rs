//! Stored responses and the events of those in the background, in the core's database.
//!
//! All texts are JSON as clients get it. The total size is bounded: a write that exceeds it removes the final responses that were
//! not used for the longest time, in the same transaction.

mod insert;
mod progress;
mod reads;
mod removal;
mod row;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub(crate) use self::insert::QueueLimits;
pub(super) use self::{
    insert::{Inserted, NewResponse},
    progress::Finished,
    reads::ChainedResponse,
    row::{CallOrigin, ResponseStatus, StoredEvent, StoredResponse},
};
use crate::{
    database::Database,
    error::Error,
    storage_failure::is_not_writable,
    video::time::{Clock, Timestamp},
};

/// The store of responses. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct ResponseStore {
    database: Database,
    clock: Clock,
    max_bytes: i64,
}

impl ResponseStore {
    /// Returns the store in this database, which holds about `max_bytes` at most.
    pub(crate) fn new(database: Database, max_bytes: u64) -> Self {
        let clock = Clock::of(&database);
        Self::with_clock(database, max_bytes, clock)
    }

    pub(crate) fn with_clock(database: Database, max_bytes: u64, clock: Clock) -> Self {
        Self { database, clock, max_bytes: i64::try_from(max_bytes).unwrap_or(i64::MAX) }
    }

    /// Returns whether other nodes can change the responses.
    pub(super) fn is_shared(&self) -> bool {
        self.database.is_shared()
    }

    /// Returns the current time of the store. All its timestamps come from this clock.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Returns the time since which a response must have been used to be kept.
    fn expiry(&self, retention: Duration) -> Timestamp {
        self.now().before(retention)
    }
}

/// Converts a failure of the database.
fn storage(error: &sqlx::Error) -> Error {
    let text = format!("the response database failed: {error}");
    if is_not_writable(error) { Error::StorageNotWritable(text) } else { Error::Storage(text) }
}

/// The length of a text in a column, in bytes.
fn length(text: &str) -> i64 {
    i64::try_from(text.len()).unwrap_or(i64::MAX)
}
