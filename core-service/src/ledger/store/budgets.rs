//! Compares what payers have spent and reserved with their budgets.

use super::entry::day;
use crate::{
    budget_period::BudgetPeriod,
    database::{DbConnection, DbExecutor},
    error::BudgetExceeded,
    ledger::Payer,
    usd::Usd,
};

/// Returns what a subject has spent in the period at this time, and what is reserved for it.
pub(super) async fn spent_and_reserved(
    executor: impl DbExecutor<'_>,
    subject: &str,
    period: BudgetPeriod,
    now: i64,
) -> Result<(Usd, Usd), sqlx::Error> {
    let query = sqlx::query_as(
        "SELECT COALESCE((SELECT amount FROM ledger_spent WHERE subject = $1 AND period = $2), 0), \
         COALESCE((SELECT amount FROM ledger_reserved WHERE subject = $1), 0)",
    );
    let query = query.bind(subject.to_owned()).bind(period_name(period, now));
    let (spent, reserved) = query.fetch_one(executor).await?;
    Ok((Usd::from_micros(spent), Usd::from_micros(reserved)))
}

/// Returns the name of the period at this time in the table `ledger_spent`.
fn period_name(period: BudgetPeriod, now: i64) -> String {
    match period {
        BudgetPeriod::Day => day(now),
        BudgetPeriod::Month => day(now).chars().take("2026-11".len()).collect(),
        BudgetPeriod::Total => "total".to_owned(),
    }
}

/// Returns how much the budgets of a payer have left, or the first one that has less than `needed`.
pub(super) async fn budgets_left(
    connection: &mut DbConnection,
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
