//! Webhook endpoints, deliveries and the position in the outbox of job events, in the core's database.

mod deliveries;
mod endpoints;
mod outbox;
mod row;
#[cfg(test)]
mod tests;

use std::error::Error as StdError;

pub(crate) use self::deliveries::{Claim, DeliveryFilter, Recorded};
use crate::{
    database::Database,
    error::Error,
    storage_failure::is_not_writable,
    video::time::{Clock, Timestamp},
};

/// The store of webhooks. Clones share it.
#[derive(Debug, Clone)]
pub struct WebhookStore {
    database: Database,
    clock: Clock,
}

/// An operation of the store failed.
#[derive(Debug, thiserror::Error)]
#[error("the webhook database failed: {0}")]
pub struct StoreError(#[from] sqlx::Error);

impl StoreError {
    /// Returns the error of a row that cannot be read.
    fn corrupt(why: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self(sqlx::Error::Decode(why.into()))
    }

    /// Returns whether the cause is a row that cannot be read.
    fn is_corrupt(&self) -> bool {
        matches!(self.0, sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. })
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let text = error.to_string();
        if is_not_writable(&error.0) { Self::StorageNotWritable(text) } else { Self::Storage(text) }
    }
}

impl WebhookStore {
    /// Returns the store in this database, on the clock of the database.
    pub fn new(database: Database) -> Self {
        let clock = Clock::of(&database);
        Self::with_clock(database, clock)
    }

    pub(crate) fn with_clock(database: Database, clock: Clock) -> Self {
        Self { database, clock }
    }

    /// Returns the current time of the store. All its timestamps come from this clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
