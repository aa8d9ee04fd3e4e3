//! The list of open holds: money that is reserved for calls and video jobs.

use sqlx::Row;

use super::{LedgerStore, reads::storage};
use crate::{
    database::{DbRow, QueryBuilder},
    error::Error,
    usd::Usd,
};

/// An open hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenHold {
    /// The id of the video job, or the name of an allowance.
    pub item: String,
    /// Why it is open.
    pub state: HoldState,
    /// The key that pays; empty for calls without one.
    pub key: String,
    /// Its team; may be empty.
    pub team: String,
    /// The amount.
    pub amount: Usd,
    /// When it was opened, in milliseconds since 1970.
    pub created_at: i64,
}

/// Why a hold is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldState {
    /// It covers the allowance of a key, for chat calls and image requests.
    Calls,
    /// Its video job is not final.
    InProgress,
    /// Its video job is final or deleted, and the runner is still searching for its render at the provider, or stopping it.
    Stopping,
    /// Its video job is final, and it is unknown whether the provider has billed a render, or the cost is implausible. Nothing but an
    /// administrator, or the removal of the job, ends it.
    OutcomeUnknown,
}

/// Which holds to return.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HoldFilter {
    /// Only the hold with this id.
    pub item: Option<String>,
    /// Only holds in this state.
    pub state: Option<HoldState>,
    /// Only holds after this id.
    pub after: Option<String>,
    /// The maximum number of holds.
    pub limit: u32,
}

impl HoldState {
    /// Returns the name in the query.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::InProgress => "in_progress",
            Self::Stopping => "stopping",
            Self::OutcomeUnknown => "outcome_unknown",
        }
    }
}

/// Holds with their states; `*` stands for the columns of the inner select, which are named. A cancelled job has the member `submission`
/// until it is known whether its submission started a render.
const SELECT: &str = "SELECT * FROM (SELECT h.item, h.key_name, h.team, h.amount, h.created_at, \
     CASE WHEN h.item LIKE 'allowance:%' THEN 'calls' \
     WHEN j.id IS NULL THEN 'outcome_unknown' \
     WHEN j.phase NOT IN ('succeeded', 'failed', 'cancelled') THEN 'in_progress' \
     WHEN j.deleted <> 0 OR j.abandoned IS NOT NULL THEN 'stopping' \
     WHEN CASE WHEN json_valid(j.state) THEN json_extract(j.state, '$.submission') END IS NOT NULL THEN 'stopping' \
     ELSE 'outcome_unknown' END AS hold_state \
     FROM ledger_holds AS h LEFT JOIN video_jobs AS j ON j.id = h.item) AS hold WHERE true";

impl LedgerStore {
    /// Returns open holds in the order of their ids: first those of calls, then those of videos, the oldest first.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn holds(&self, filter: &HoldFilter) -> Result<Vec<OpenHold>, Error> {
        let HoldFilter { item, state, after, limit } = filter;
        let mut query = QueryBuilder::new(SELECT);
        if let Some(item) = item {
            query.push(" AND item = ").push_bind(item.clone());
        }
        if let Some(state) = state {
            query.push(" AND hold_state = ").push_bind(state.as_str());
        }
        if let Some(after) = after {
            query.push(" AND item > ").push_bind(after.clone());
        }
        query.push(" ORDER BY item LIMIT ").push_bind(i64::from(*limit));
        let rows = query.build().fetch_all(self.database.readers()).await.map_err(|error| storage(&error))?;
        rows.iter().map(|row| hold(row).map_err(|error| storage(&error))).collect()
    }
}

fn hold(row: &DbRow) -> Result<OpenHold, sqlx::Error> {
    let state = match row.try_get("hold_state")? {
        "calls" => HoldState::Calls,
        "in_progress" => HoldState::InProgress,
        "stopping" => HoldState::Stopping,
        _ => HoldState::OutcomeUnknown,
    };
    Ok(OpenHold {
        item: row.try_get("item")?,
        state,
        key: row.try_get("key_name")?,
        team: row.try_get("team")?,
        amount: Usd::from_micros(row.try_get("amount")?),
        created_at: row.try_get("created_at")?,
    })
}
