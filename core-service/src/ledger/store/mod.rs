//! The ledger in the core's database.

mod allowances;
mod holds;
mod reads;
mod usage;
mod verify;

use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use sqlx::SqliteConnection;

use self::{
    allowances::{GrowAllowance, SettleAllowance, SpendAllowances},
    holds::ResolveHold,
};
pub use self::{
    holds::{end_hold, open_hold},
    reads::{BudgetState, Grouping, UsageFilter, UsageRow},
    usage::record_usage,
    verify::Discrepancy,
};
use super::{
    Payer,
    allowance::{Allowance, Settlement},
};
use crate::{
    budget_period::BudgetPeriod,
    database::{Database, Write},
    error::{BudgetExceeded, Error},
    storage_failure::storage_error,
    usd::Usd,
};

/// The ledger's tables. Clones share the database.
#[derive(Debug, Clone)]
pub struct LedgerStore {
    database: Database,
}

impl LedgerStore {
    /// Returns the ledger in this database.
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// Increases the hold of an allowance by at least `lacking`, and by more if the budgets have plenty left. Returns the increase, or
    /// the budget that refuses it.
    pub(super) async fn grow_allowance(
        &self,
        allowance: &Allowance,
        payer: &Payer,
        lacking: Usd,
    ) -> Result<Result<Usd, BudgetExceeded>, Error> {
        let item = allowance.item().to_owned();
        self.write(GrowAllowance { item, payer: payer.clone(), lacking, now: now() }).await
    }

    /// Writes usage and cost of ended calls, and shrinks the hold of the allowance.
    pub(super) async fn settle_allowance(&self, allowance: &Allowance, settlement: &Settlement) -> Result<(), Error> {
        self.write(SettleAllowance::new(allowance, settlement, now())).await
    }

    /// Counts the allowances of all processes as spent, and returns their sum. There must be no other process.
    pub(super) async fn spend_allowances(&self) -> Result<Usd, Error> {
        self.write(SpendAllowances { now: now() }).await
    }

    /// Ends the open hold of an item whose outcome was unknown: `cost` was spent. Returns whether there was one.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn resolve_hold(&self, item: &str, cost: Usd) -> Result<bool, Error> {
        self.write(ResolveHold { item: item.to_owned(), cost, now: now() }).await
    }

    async fn write<W: Write>(&self, write: W) -> Result<W::Output, Error> {
        self.database.write(write).await.map_err(|error| storage_error("ledger", &error))
    }
}

/// Returns the current time in milliseconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// An entry of the ledger.
struct Entry<'a> {
    item: &'a str,
    /// `hold`, `settle`, `release` or `adjust`.
    kind: &'static str,
    key: &'a str,
    team: &'a str,
    amount: Usd,
    price_version: &'a str,
}

impl Entry<'_> {
    /// Writes the entry, unless the item has one of this kind already. Returns whether it was written.
    async fn write(&self, connection: &mut SqliteConnection, now: i64) -> Result<bool, sqlx::Error> {
        let Self { item, kind, key, team, amount, price_version } = *self;
        let query = sqlx::query(
            "INSERT OR IGNORE INTO ledger_entries (item, kind, key_name, team, amount, price_version, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        );
        let query = query.bind(item.to_owned()).bind(kind).bind(key.to_owned()).bind(team.to_owned());
        let query = query.bind(amount.micros()).bind(price_version.to_owned()).bind(now);
        Ok(query.execute(connection).await?.rows_affected() > 0)
    }
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
async fn budgets_left(
    connection: &mut SqliteConnection,
    payer: &Payer,
    needed: Usd,
    now: i64,
) -> Result<Result<Usd, BudgetExceeded>, sqlx::Error> {
    let mut left = Usd::from_micros(i64::MAX);
    for budget in &payer.budgets {
        for &(period, limit) in &budget.limits {
            let sql = format!(
                "SELECT COALESCE((SELECT amount FROM ledger_spent WHERE subject = $2 AND period = {}), 0), \
                 COALESCE((SELECT amount FROM ledger_reserved WHERE subject = $2), 0)",
                period_sql(period)
            );
            let query = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(now).bind(budget.subject.clone());
            let (spent, reserved): (i64, i64) = query.fetch_one(&mut *connection).await?;
            let (spent, reserved) = (Usd::from_micros(spent), Usd::from_micros(reserved));
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

#[async_trait]
impl Write for ResolveHold {
    type Output = bool;

    async fn run(&mut self, connection: &mut SqliteConnection) -> Result<Self::Output, sqlx::Error> {
        end_hold(connection, &self.item, Some(self.cost), "", self.now).await
    }
}
