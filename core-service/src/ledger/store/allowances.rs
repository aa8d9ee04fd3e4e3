//! The holds (reserved money in the database) that cover the allowances of keys in memory.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{budgets::budgets_left, entry::Entry, usage::record_usage};
use crate::{
    database::{DbConnection, Readers, Write},
    error::BudgetExceeded,
    ledger::{
        Payer,
        allowance::{Allowance, Settlement, Unsettled},
    },
    usd::Usd,
};

/// An allowance grows by what its budgets have left divided by this number, or by what a call lacks if that is more.
const SHARES: i64 = 100;

/// Increases an allowance and its hold. The allowance grows with the commit, also if the call that needs it has been dropped.
pub(super) struct GrowAllowance {
    pub(super) allowance: Arc<Allowance>,
    pub(super) payer: Payer,
    pub(super) lacking: Usd,
    pub(super) now: i64,
}

#[async_trait]
impl Write for GrowAllowance {
    type Output = Result<Usd, BudgetExceeded>;

    async fn run(&mut self, connection: &mut DbConnection) -> Result<Self::Output, sqlx::Error> {
        let Self { allowance, payer, lacking, now } = self;
        let left = match budgets_left(connection, payer, *lacking, *now).await? {
            Ok(left) => left,
            Err(exceeded) => return Ok(Err(exceeded)),
        };
        let granted = Usd::from_micros(left.micros() / SHARES).max(*lacking);
        let query = sqlx::query(
            "INSERT INTO ledger_holds AS hold (item, key_name, team, amount, created_at) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (item) DO UPDATE SET amount = hold.amount + excluded.amount",
        );
        let query = query.bind(allowance.item().to_owned()).bind(payer.key.clone()).bind(payer.team.clone());
        query.bind(granted.micros()).bind(*now).execute(connection).await?;
        Ok(Ok(granted))
    }

    fn on_commit(&self, output: &Self::Output) {
        if let Ok(granted) = output {
            self.allowance.add(*granted);
        }
    }
}

/// Writes what the calls of an allowance have used, and shrinks its hold. Without a commit, the allowance gets the settlement back.
pub(super) struct SettleAllowance {
    allowance: Arc<Allowance>,
    settlement: Option<Settlement>,
    is_committed: AtomicBool,
    /// The item of the ledger entry: unique, because an item has at most one entry of a kind.
    entry: String,
    now: i64,
}

impl SettleAllowance {
    pub(super) fn new(allowance: Arc<Allowance>, settlement: Settlement, now: i64) -> Self {
        let entry = format!("calls:{}", Uuid::new_v4());
        Self { allowance, settlement: Some(settlement), is_committed: AtomicBool::new(false), entry, now }
    }
}

#[async_trait]
impl Write for SettleAllowance {
    type Output = ();

    async fn run(&mut self, connection: &mut DbConnection) -> Result<Self::Output, sqlx::Error> {
        let Self { allowance, settlement, entry, now, .. } = self;
        let Some(Settlement { unsettled: Unsettled { cost, usage }, released, .. }) = settlement else { return Ok(()) };
        let (item, key, team) = (allowance.item(), allowance.key(), allowance.team());
        let shrink = sqlx::query(
            "UPDATE ledger_holds SET amount = CASE WHEN amount > $1 THEN amount - $1 ELSE 0 END WHERE item = $2",
        );
        shrink.bind(released.micros()).bind(item.to_owned()).execute(&mut *connection).await?;
        let remove = sqlx::query("DELETE FROM ledger_holds WHERE item = $1 AND amount = 0");
        remove.bind(item.to_owned()).execute(&mut *connection).await?;
        if *cost > Usd::ZERO {
            let entry = Entry { item: entry, kind: "settle", key, team, amount: *cost, price_version: "", author: "" };
            entry.write(connection, *now).await?;
        }
        for (of, usage) in usage {
            record_usage(connection, key, team, of.modality, &of.model, usage, *now).await?;
        }
        Ok(())
    }

    fn on_commit(&self, (): &Self::Output) {
        self.is_committed.store(true, Ordering::Relaxed);
    }
}

impl Drop for SettleAllowance {
    fn drop(&mut self) {
        if let Some(settlement) = self.settlement.take().filter(|_| !*self.is_committed.get_mut()) {
            self.allowance.restore(settlement);
        }
    }
}

/// The SQL condition for the holds of allowances whose node has no lease. Their items are `allowance:`, the id of the node (36
/// characters, from the 11th on), `:` and the account.
const OF_DEAD_NODES: &str = "item LIKE 'allowance:%' AND substr(item, 11, 36) NOT IN (SELECT id FROM nodes)";

/// Counts as spent the allowances that dead nodes did not settle.
pub(super) struct SpendAllowances {
    pub(super) now: i64,
}

impl SpendAllowances {
    /// Returns whether there are such allowances.
    pub(super) async fn is_needed(readers: Readers<'_>) -> Result<bool, sqlx::Error> {
        let query = format!("SELECT 1 FROM ledger_holds WHERE {OF_DEAD_NODES} LIMIT 1");
        Ok(sqlx::query(AssertSqlSafe(query)).fetch_optional(readers).await?.is_some())
    }
}

#[async_trait]
impl Write for SpendAllowances {
    type Output = Usd;

    async fn run(&mut self, connection: &mut DbConnection) -> Result<Self::Output, sqlx::Error> {
        let query = format!("SELECT item, key_name, team, amount FROM ledger_holds WHERE {OF_DEAD_NODES}");
        let holds: Vec<(String, String, String, i64)> =
            sqlx::query_as(AssertSqlSafe(query)).fetch_all(&mut *connection).await?;
        let mut lost = Usd::ZERO;
        for (item, key, team, amount) in holds {
            let amount = Usd::from_micros(amount);
            // The time makes the name unique: a node that was only paused continues with the same item, which may be lost again.
            let entry = format!("{item}:{}", self.now);
            let entry =
                Entry { item: &entry, kind: "settle", key: &key, team: &team, amount, price_version: "", author: "" };
            entry.write(connection, self.now).await?;
            let remove = sqlx::query("DELETE FROM ledger_holds WHERE item = $1");
            remove.bind(item.clone()).execute(&mut *connection).await?;
            lost += amount;
        }
        Ok(lost)
    }
}
