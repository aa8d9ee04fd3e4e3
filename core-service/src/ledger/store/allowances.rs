//! The holds that cover the allowances in memory.

use async_trait::async_trait;
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::{budgets::budgets_left, entry::Entry, usage::record_usage};
use crate::{
    database::Write,
    error::BudgetExceeded,
    ledger::{
        Payer,
        allowance::{Allowance, Settlement, Usage, UsageKey},
    },
    usd::Usd,
};

/// An allowance grows to up to this part of what its budgets have left, if a call does not need more.
const PART: i64 = 100;

/// Increases the hold of an allowance.
pub(super) struct GrowAllowance {
    pub(super) item: String,
    pub(super) payer: Payer,
    pub(super) lacking: Usd,
    pub(super) now: i64,
}

#[async_trait]
impl Write for GrowAllowance {
    type Output = Result<Usd, BudgetExceeded>;

    async fn run(&mut self, connection: &mut SqliteConnection) -> Result<Self::Output, sqlx::Error> {
        let Self { item, payer, lacking, now } = self;
        let left = match budgets_left(connection, payer, *lacking, *now).await? {
            Ok(left) => left,
            Err(exceeded) => return Ok(Err(exceeded)),
        };
        let granted = Usd::from_micros(left.micros() / PART).max(*lacking);
        let query = sqlx::query(
            "INSERT INTO ledger_holds (item, key_name, team, amount, created_at) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (item) DO UPDATE SET amount = amount + excluded.amount",
        );
        let query = query.bind(item.clone()).bind(payer.key.clone()).bind(payer.team.clone());
        query.bind(granted.micros()).bind(*now).execute(connection).await?;
        Ok(Ok(granted))
    }
}

/// Writes what the calls of an allowance have used.
pub(super) struct SettleAllowance {
    item: String,
    key: String,
    team: String,
    /// The item of the entry, so that a repeated write is recognized.
    entry: String,
    cost: Usd,
    released: Usd,
    usage: Vec<(UsageKey, Usage)>,
    now: i64,
}

impl SettleAllowance {
    pub(super) fn new(allowance: &Allowance, settlement: &Settlement, now: i64) -> Self {
        Self {
            item: allowance.item().to_owned(),
            key: allowance.key().to_owned(),
            team: allowance.team().to_owned(),
            entry: format!("calls:{}", Uuid::new_v4()),
            cost: settlement.unsettled.cost,
            released: settlement.released,
            usage: settlement.unsettled.usage.iter().map(|(key, usage)| (key.clone(), *usage)).collect(),
            now,
        }
    }
}

#[async_trait]
impl Write for SettleAllowance {
    type Output = ();

    async fn run(&mut self, connection: &mut SqliteConnection) -> Result<Self::Output, sqlx::Error> {
        let Self { item, key, team, entry, cost, released, usage, now } = self;
        let shrink = sqlx::query("UPDATE ledger_holds SET amount = MAX(amount - $1, 0) WHERE item = $2");
        shrink.bind(released.micros()).bind(item.clone()).execute(&mut *connection).await?;
        let remove = sqlx::query("DELETE FROM ledger_holds WHERE item = $1 AND amount = 0");
        remove.bind(item.clone()).execute(&mut *connection).await?;
        if *cost > Usd::ZERO {
            let entry = Entry { item: entry, kind: "settle", key, team, amount: *cost, price_version: "" };
            entry.write(connection, *now).await?;
        }
        for (of, usage) in usage {
            record_usage(connection, key, team, of.modality, &of.model, usage, *now).await?;
        }
        Ok(())
    }
}

/// Counts the allowances of processes that did not settle them as spent.
pub(super) struct SpendAllowances {
    pub(super) now: i64,
}

#[async_trait]
impl Write for SpendAllowances {
    type Output = Usd;

    async fn run(&mut self, connection: &mut SqliteConnection) -> Result<Self::Output, sqlx::Error> {
        let holds: Vec<(String, String, String, i64)> =
            sqlx::query_as("SELECT item, key_name, team, amount FROM ledger_holds WHERE item LIKE 'allowance:%'")
                .fetch_all(&mut *connection)
                .await?;
        let mut lost = Usd::ZERO;
        for (item, key, team, amount) in holds {
            let amount = Usd::from_micros(amount);
            let entry = Entry { item: &item, kind: "settle", key: &key, team: &team, amount, price_version: "" };
            entry.write(connection, self.now).await?;
            let remove = sqlx::query("DELETE FROM ledger_holds WHERE item = $1");
            remove.bind(item.clone()).execute(&mut *connection).await?;
            lost += amount;
        }
        Ok(lost)
    }
}
