//! The entries of the ledger, and the time at which they are written.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::database::DbConnection;
use crate::usd::Usd;

/// Returns the current time in milliseconds since 1970.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Returns the day of a time in milliseconds since 1970, in UTC: `2026-11-28`.
pub(super) fn day(millis: i64) -> String {
    let mut day = prost_types::Timestamp { seconds: millis.div_euclid(1000), nanos: 0 }.to_string();
    day.truncate("2026-11-28".len());
    day
}

/// An entry of the ledger: a row of `ledger_entries`, which is never changed.
pub(super) struct Entry<'a> {
    /// The id of a video job, or a unique name for a settlement of an allowance (an amount that a node reserves for many calls at once).
    pub(super) item: &'a str,
    /// `hold` (reserved), `settle` (spent) or `release` (no longer reserved, and not spent). The schema also permits `adjust`
    /// (spent), which nothing writes.
    pub(super) kind: &'static str,
    pub(super) key: &'a str,
    pub(super) team: &'a str,
    /// How much was reserved, spent or released; not negative.
    pub(super) amount: Usd,
    /// The version of the price by which the amount was computed; empty if several prices were used.
    pub(super) price_version: &'a str,
    /// The administrator who resolved a hold; empty if a call or a job made the entry.
    pub(super) author: &'a str,
}

impl Entry<'_> {
    /// Writes the entry, unless the item has one of this kind already. Returns whether it was written.
    pub(super) async fn write(&self, connection: &mut DbConnection, now: i64) -> Result<bool, sqlx::Error> {
        let Self { item, kind, key, team, amount, price_version, author } = *self;
        let query = sqlx::query(
            "INSERT INTO ledger_entries (item, kind, key_name, team, amount, price_version, created_at, author) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
        );
        let query = query.bind(item.to_owned()).bind(kind).bind(key.to_owned()).bind(team.to_owned());
        let query = query.bind(amount.micros()).bind(price_version.to_owned()).bind(now).bind(author.to_owned());
        Ok(query.execute(connection).await?.rows_affected() > 0)
    }
}
