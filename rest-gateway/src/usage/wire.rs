//! The JSON of usage and budgets.

use serde::Serialize;
use triptych_proto::{
    usd::usd,
    v1::{self as pb, budget::Subject},
};

/// A list of usage, in the form of OpenAI's lists.
#[derive(Debug, Serialize)]
pub(super) struct UsageList<'a> {
    object: &'static str,
    start_date: &'a str,
    end_date: &'a str,
    /// Whether there are more rows than the limit.
    has_more: bool,
    data: Vec<Usage<'a>>,
}

/// The sum of some calls. Members that the request does not group by are null.
#[derive(Debug, Serialize)]
struct Usage<'a> {
    object: &'static str,
    day: Option<&'a str>,
    key: Option<&'a str>,
    team: Option<&'a str>,
    modality: Option<&'static str>,
    model: Option<&'a str>,
    calls: u64,
    errors: u64,
    input_tokens: u64,
    cached_tokens: u64,
    output_tokens: u64,
    reasoning_tokens: u64,
    images: u64,
    video_seconds: f64,
    cost: String,
    cost_micros: i64,
}

impl<'a> UsageList<'a> {
    pub(super) fn new(reply: &'a pb::ListUsageResponse) -> Self {
        let pb::ListUsageResponse { rows, truncated, first_day, last_day } = reply;
        Self {
            object: "list",
            start_date: first_day,
            end_date: last_day,
            has_more: *truncated,
            data: rows.iter().map(Usage::new).collect(),
        }
    }
}

impl<'a> Usage<'a> {
    fn new(row: &'a pb::UsageRow) -> Self {
        let pb::UsageRow {
            day,
            key,
            team,
            modality: _,
            model,
            calls,
            errors,
            input_tokens,
            cached_tokens,
            output_tokens,
            reasoning_tokens,
            images,
            video_millis,
            cost_micros,
        } = row;
        Self {
            object: "usage",
            day: day.as_deref(),
            key: key.as_deref(),
            team: team.as_deref(),
            modality: modality(row),
            model: model.as_deref(),
            calls: *calls,
            errors: *errors,
            input_tokens: *input_tokens,
            cached_tokens: *cached_tokens,
            output_tokens: *output_tokens,
            reasoning_tokens: *reasoning_tokens,
            images: *images,
            video_seconds: video_seconds(*video_millis),
            cost: usd(*cost_micros),
            cost_micros: *cost_micros,
        }
    }
}

/// Returns the name of the modality; `None` if the usage is not grouped by model.
pub(super) fn modality(row: &pb::UsageRow) -> Option<&'static str> {
    match row.modality() {
        pb::Modality::Chat => Some("chat"),
        pb::Modality::Image => Some("image"),
        pb::Modality::Video => Some("video"),
        pb::Modality::Unspecified => None,
    }
}

/// Returns milliseconds as seconds.
pub(super) fn video_seconds(millis: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 milliseconds")]
    let seconds = millis as f64 / 1000.0;
    seconds
}

/// A limit for what a key or a team spends in a period.
#[derive(Debug, Serialize)]
pub(super) struct Budget<'a> {
    object: &'static str,
    /// `key` or `team`.
    kind: Option<&'static str>,
    /// The name of the key or team.
    name: Option<&'a str>,
    period: Option<&'static str>,
    limit: String,
    limit_micros: i64,
    spent: String,
    spent_micros: i64,
    reserved: String,
    reserved_micros: i64,
    /// What further calls may reserve: limit - spent - reserved, at least 0.
    remaining: String,
    remaining_micros: i64,
}

impl<'a> Budget<'a> {
    pub(super) fn new(budget: &'a pb::Budget) -> Self {
        let period = match budget.period() {
            pb::budget::Period::Day => Some("day"),
            pb::budget::Period::Month => Some("month"),
            pb::budget::Period::Total => Some("total"),
            pb::budget::Period::Unspecified => None,
        };
        let pb::Budget { subject, period: _, limit_micros, spent_micros, reserved_micros } = budget;
        let (kind, name) = match subject {
            Some(Subject::Key(name)) => (Some("key"), Some(name.as_str())),
            Some(Subject::Team(name)) => (Some("team"), Some(name.as_str())),
            None => (None, None),
        };
        let remaining_micros = limit_micros.saturating_sub(*spent_micros).saturating_sub(*reserved_micros).max(0);
        Self {
            object: "budget",
            kind,
            name,
            period,
            limit: usd(*limit_micros),
            limit_micros: *limit_micros,
            spent: usd(*spent_micros),
            spent_micros: *spent_micros,
            reserved: usd(*reserved_micros),
            reserved_micros: *reserved_micros,
            remaining: usd(remaining_micros),
            remaining_micros,
        }
    }
}
