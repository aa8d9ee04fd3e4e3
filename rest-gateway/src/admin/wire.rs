//! The JSON of keys, holds and the verification of the ledger. Times are Unix seconds. Amounts are decimal texts in US dollars; members
//! with `micros` have the same amount as an integer of millionths.

use prost_types::Timestamp;
use serde::Serialize;
use triptych_proto::{
    usd::usd,
    v1::{
        self as pb,
        api_key::{Origin, Priority},
        hold::State,
    },
};

/// A key. `secret` is in the responses to its creation and its rotation only.
#[derive(Debug, Serialize)]
pub(super) struct Key {
    object: &'static str,
    pub(super) name: String,
    /// `configuration` or `stored`.
    origin: &'static str,
    team: Option<String>,
    admin: bool,
    /// What happens to its calls when the client disconnects: `cancel`, `continue` or a duration; null: as the settings say.
    on_disconnect: Option<String>,
    /// `low`, `normal` or `high`.
    priority: &'static str,
    limits: Limits,
    expires_at: Option<i64>,
    previous_secret_expires_at: Option<i64>,
    secret_hint: Option<String>,
    created_at: Option<i64>,
    created_by: Option<String>,
    updated_at: Option<i64>,
    updated_by: Option<String>,
    revoked_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

/// What the calls of a key may use; 0, null and an empty list are no limit, as in the settings.
#[derive(Debug, Serialize)]
struct Limits {
    models: Vec<String>,
    requests_per_minute: u32,
    tokens_per_minute: u32,
    concurrent_calls: u32,
    jobs_in_flight: u32,
    budget_per_day: Option<String>,
    budget_per_month: Option<String>,
    budget_total: Option<String>,
}

impl Key {
    pub(super) fn of(key: pb::ApiKey, secret: Option<String>) -> Self {
        let origin = match key.origin() {
            Origin::Configuration => "configuration",
            Origin::Stored | Origin::Unspecified => "stored",
        };
        let priority = match key.priority() {
            Priority::Low => "low",
            Priority::Normal | Priority::Unspecified => "normal",
            Priority::High => "high",
        };
        let pb::ApiKey {
            name,
            origin: _,
            team,
            admin,
            on_disconnect,
            limits,
            expire_time,
            previous_secret_expire_time,
            secret_hint,
            create_time,
            created_by,
            update_time,
            updated_by,
            revoke_time,
            priority: _,
        } = key;
        Self {
            object: "api_key",
            name,
            origin,
            team: non_empty(team),
            admin,
            on_disconnect,
            priority,
            limits: Limits::of(limits.unwrap_or_default()),
            expires_at: seconds(expire_time),
            previous_secret_expires_at: seconds(previous_secret_expire_time),
            secret_hint: non_empty(secret_hint),
            created_at: seconds(create_time),
            created_by: non_empty(created_by),
            updated_at: seconds(update_time),
            updated_by: non_empty(updated_by),
            revoked_at: seconds(revoke_time),
            secret,
        }
    }
}

impl Limits {
    fn of(limits: pb::KeyLimits) -> Self {
        let pb::KeyLimits {
            models,
            requests_per_minute,
            tokens_per_minute,
            concurrent_calls,
            jobs_in_flight,
            budget_per_day_micros,
            budget_per_month_micros,
            budget_total_micros,
        } = limits;
        Self {
            models,
            requests_per_minute,
            tokens_per_minute,
            concurrent_calls,
            jobs_in_flight,
            budget_per_day: budget_per_day_micros.map(usd),
            budget_per_month: budget_per_month_micros.map(usd),
            budget_total: budget_total_micros.map(usd),
        }
    }
}

/// The result of a verification of the ledger.
#[derive(Debug, Serialize)]
pub(super) struct Verification {
    object: &'static str,
    consistent: bool,
    discrepancies: Vec<Discrepancy>,
}

/// Two figures that must be equal and are not.
#[derive(Debug, Serialize)]
struct Discrepancy {
    /// Which figure: of a key, a team or a video.
    subject: String,
    /// The figure that budgets use.
    stored: String,
    stored_micros: i64,
    /// The sum of the rows behind it.
    sum: String,
    sum_micros: i64,
}

impl Verification {
    pub(super) fn of(discrepancies: Vec<pb::LedgerDiscrepancy>) -> Self {
        let discrepancy = |discrepancy: pb::LedgerDiscrepancy| {
            let pb::LedgerDiscrepancy { subject, stored_micros, sum_micros } = discrepancy;
            Discrepancy { subject, stored: usd(stored_micros), stored_micros, sum: usd(sum_micros), sum_micros }
        };
        Self {
            object: "ledger.verification",
            consistent: discrepancies.is_empty(),
            discrepancies: discrepancies.into_iter().map(discrepancy).collect(),
        }
    }
}

/// Money that is reserved and not yet settled.
#[derive(Debug, Serialize)]
pub(super) struct Hold {
    object: &'static str,
    pub(super) id: String,
    /// Null for the calls of a key, which have one hold together.
    video_id: Option<String>,
    /// Why the money is still reserved: `calls` of a key that are not settled yet, or a video that is `in_progress`, `stopping` at its
    /// provider, or of `outcome_unknown`.
    state: &'static str,
    key: String,
    team: Option<String>,
    amount: String,
    amount_micros: i64,
    created_at: Option<i64>,
}

impl Hold {
    pub(super) fn of(hold: pb::Hold) -> Self {
        let state = match hold.state() {
            State::Calls | State::Unspecified => "calls",
            State::InProgress => "in_progress",
            State::Stopping => "stopping",
            State::OutcomeUnknown => "outcome_unknown",
        };
        let pb::Hold { id, video_id, state: _, key, team, amount_micros, create_time } = hold;
        Self {
            object: "ledger.hold",
            id,
            video_id: non_empty(video_id),
            state,
            key,
            team: non_empty(team),
            amount: usd(amount_micros),
            amount_micros,
            created_at: seconds(create_time),
        }
    }
}

/// A hold that was ended, and what was spent.
#[derive(Debug, Serialize)]
pub(super) struct Resolution {
    object: &'static str,
    hold: Hold,
    cost: String,
    cost_micros: i64,
}

impl Resolution {
    pub(super) fn new(hold: Hold, cost_micros: i64) -> Self {
        Self { object: "ledger.resolution", hold, cost: usd(cost_micros), cost_micros }
    }
}

fn seconds(time: Option<Timestamp>) -> Option<i64> {
    time.map(|time| time.seconds)
}

fn non_empty(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}
