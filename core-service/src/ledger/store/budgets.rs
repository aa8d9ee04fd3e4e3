//! Compares what payers have spent and reserved with their budgets.

use sqlx::{SqliteConnection, SqliteExecutor};

use crate::{budget_period::BudgetPeriod, error::BudgetExceeded, ledger::Payer, usd::Usd};

/// Returns what a subject has spent in the period at this time, and what is reserved for it.
pub(super) async fn spent_and_reserved(
    executor: impl SqliteExecutor<'_>,
    subject: &str,
    period: BudgetPeriod,
    now: i64,
) -> Result<(Usd, Usd), sqlx::Error> {
    let sql = format!(
        "SELECT COALESCE((SELECT amount FROM ledger_spent WHERE subject = $2 AND period = {}), 0), \
         COALESCE((SELECT amount FROM ledger_reserved WHERE subject = $2), 0)",
        period_sql(period)
    );
    let query = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(now).bind(subject.to_owned());
    let (spent, reserved) = query.fetch_one(executor).await?;
    Ok((Usd::from_micros(spent), Usd::from_micros(reserved)))
}

/// Returns SQL that names the period at the time `$1`, in milliseconds since 1970.
const fn period_sql(period: BudgetPeriod) -> &'static str {
    match period {
        BudgetPeriod::Day => "strftime('%Y-%m-%d', $1 / 1000, 'unixepoch')",
        BudgetPeriod::Month => "strftime('%Y-%m', $1 / 1000, 'unixepoch')",
        BudgetPeriod::Total => "'total'",
    }
}

/// Returns how much the budgets of a payer have left, or the first one that has less than `needed`.
pub(super) async fn budgets_left(
    connection: &mut SqliteConnection,
    payer: &Payer,
    needed: Usd,
    now: i64,
) -> Result<Result<Usd, BudgetExceeded>, sqlx::Error> {
    let mut left = Usd::from_micros(i64::MAX);
    for budget in &payer.budgets {
        for &(period, limit) in &budget.limits {
            let (spent, reserved) = spent_and_reserved(&mut *connection, &budget.subject, period, now).await?;
            let rest = limit.minus(spent).minus(reserved);
            if rest < needed {
                let subject = budget.description.clone();
                return Ok(Err(BudgetExceeded { subject, period, limit, spent, reserved, needed }));
            }
            left = left.min(rest);
        }
    }
    Ok(Ok(left))
}
