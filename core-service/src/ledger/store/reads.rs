//! Queries for usage and budgets.

use sqlx::Row;
use triptych_proto::v1::Modality;

use super::{LedgerStore, budgets::spent_and_reserved, usage};
use crate::{
    budget_period::BudgetPeriod,
    database::{DbRow, QueryBuilder},
    error::Error,
    ledger::{Budget, allowance::Usage},
    prices::Quantities,
    storage_failure::storage_error,
    usd::Usd,
};

/// The columns by which usage is grouped (`GROUP BY`). Rows that differ only in the others are summed up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Grouping {
    /// The day.
    pub day: bool,
    /// The name of the key.
    pub key: bool,
    /// The team.
    pub team: bool,
    /// The modality and the model.
    pub model: bool,
}

/// Which usage to return.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsageFilter {
    /// The first day, `YYYY-MM-DD`.
    pub first_day: String,
    /// The last day, which is included.
    pub last_day: String,
    /// Only the usage of this key.
    pub key: Option<String>,
    /// Only the usage of this model.
    pub model: Option<String>,
    /// The columns by which the usage is grouped.
    pub grouping: Grouping,
    /// The maximum number of rows.
    pub limit: u32,
}

/// The sums of a group of calls. Members by which the usage is not grouped are empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageRow {
    /// The day, `YYYY-MM-DD`.
    pub day: String,
    /// The name of the key.
    pub key: String,
    /// The team.
    pub team: String,
    /// The modality.
    pub modality: Modality,
    /// The public name of the model.
    pub model: String,
    /// The sums.
    pub usage: Usage,
}

/// The state of one budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetState {
    /// `key:NAME` or `team:NAME`.
    pub subject: String,
    /// The period to which the limit applies.
    pub period: BudgetPeriod,
    /// The limit.
    pub limit: Usd,
    /// What was spent in the current period.
    pub spent: Usd,
    /// What is reserved now.
    pub reserved: Usd,
}

impl LedgerStore {
    /// Returns usage, in the order of day, key, team, modality and model.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn usage(&self, filter: &UsageFilter) -> Result<Vec<UsageRow>, Error> {
        let UsageFilter { first_day, last_day, key, model, grouping, limit } = filter;
        let columns = [
            (grouping.day, "day"),
            (grouping.key, "key_name"),
            (grouping.team, "team"),
            (grouping.model, "modality"),
            (grouping.model, "model"),
        ];
        let mut query = QueryBuilder::new("SELECT ");
        for (is_kept, column) in columns {
            query.push(if is_kept { column } else { "''" }).push(" AS ").push(column).push(", ");
        }
        query.push(
            "CAST(SUM(calls) AS BIGINT) AS calls, CAST(SUM(errors) AS BIGINT) AS errors, \
             CAST(SUM(input_tokens) AS BIGINT) AS input_tokens, CAST(SUM(cached_tokens) AS BIGINT) AS cached_tokens, \
             CAST(SUM(output_tokens) AS BIGINT) AS output_tokens, CAST(SUM(reasoning_tokens) AS BIGINT) AS reasoning_tokens, \
             CAST(SUM(images) AS BIGINT) AS images, CAST(SUM(video_millis) AS BIGINT) AS video_millis, \
             CAST(SUM(cost) AS BIGINT) AS cost FROM usage_daily AS d WHERE d.day >= ",
        );
        query.push_bind(first_day.clone()).push(" AND d.day <= ").push_bind(last_day.clone());
        for (column, value) in [("key_name", key), ("model", model)] {
            if let Some(value) = value {
                query.push(format!(" AND d.{column} = ")).push_bind(value.clone());
            }
        }
        // By position: a name would mean the column of the table, also where the query selects an empty text in its place. A cost may be
        // recorded on a later day than its call; days with neither are left out.
        query
            .push(" GROUP BY 1, 2, 3, 4, 5 HAVING SUM(calls) > 0 OR SUM(cost) <> 0 ORDER BY 1, 2, 3, 4, 5 LIMIT ")
            .push_bind(i64::from(*limit));
        let rows = query.build().fetch_all(self.database.readers()).await.map_err(|error| storage(&error))?;
        rows.iter().map(|row| usage_row(row).map_err(|error| storage(&error))).collect()
    }

    /// Returns the state of these budgets.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn budgets(&self, budgets: &[Budget]) -> Result<Vec<BudgetState>, Error> {
        let mut states = Vec::new();
        for budget in budgets {
            for &(period, limit) in &budget.limits {
                let sums = spent_and_reserved(self.database.readers(), &budget.subject, period, self.now()).await;
                let (spent, reserved) = sums.map_err(|error| storage(&error))?;
                states.push(BudgetState { subject: budget.subject.clone(), period, limit, spent, reserved });
            }
        }
        Ok(states)
    }
}

pub(super) fn storage(error: &sqlx::Error) -> Error {
    storage_error("ledger", error)
}

fn usage_row(row: &DbRow) -> Result<UsageRow, sqlx::Error> {
    let count = |column: &str| row.try_get::<i64, _>(column).map(|count| u64::try_from(count).unwrap_or(0));
    let quantities = Quantities {
        input_tokens: count("input_tokens")?,
        cached_tokens: count("cached_tokens")?,
        output_tokens: count("output_tokens")?,
        reasoning_tokens: count("reasoning_tokens")?,
        images: count("images")?,
        video_millis: count("video_millis")?,
    };
    let cost = Usd::from_micros(row.try_get("cost")?);
    Ok(UsageRow {
        day: row.try_get("day")?,
        key: row.try_get("key_name")?,
        team: row.try_get("team")?,
        modality: usage::modality(row.try_get("modality")?),
        model: row.try_get("model")?,
        usage: Usage { calls: count("calls")?, errors: count("errors")?, quantities, cost },
    })
}
