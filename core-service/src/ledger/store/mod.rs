//! The ledger in the core's database.

mod allowances;
mod budgets;
mod entry;
mod holds;
mod open_holds;
mod reads;
mod usage;
mod verify;

use std::sync::Arc;

use self::allowances::{GrowAllowance, SettleAllowance, SpendAllowances};
pub use self::{
    holds::{end_hold, open_hold},
    open_holds::{HoldFilter, HoldState, OpenHold},
    reads::{BudgetState, Grouping, UsageFilter, UsageRow},
    usage::record_usage,
    verify::Discrepancy,
};
use super::{
    Payer,
    allowance::{Allowance, Settlement},
};
use crate::{
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

    /// Increases an allowance and its hold by at least `lacking`, and by more if the budgets have plenty left, unless a budget refuses
    /// it.
    pub(super) async fn grow_allowance(
        &self,
        allowance: &Arc<Allowance>,
        payer: &Payer,
        lacking: Usd,
    ) -> Result<Result<(), BudgetExceeded>, Error> {
        let (allowance, payer) = (Arc::clone(allowance), payer.clone());
        Ok(self.write(GrowAllowance { allowance, payer, lacking, now: self.now() }).await?.map(drop))
    }

    /// Writes usage and cost of ended calls, and shrinks the hold of the allowance. If that fails, the allowance gets them back.
    pub(super) async fn settle_allowance(
        &self,
        allowance: Arc<Allowance>,
        settlement: Settlement,
    ) -> Result<(), Error> {
        self.write(SettleAllowance::new(allowance, settlement, self.now())).await
    }

    /// Counts the allowances of nodes without a lease as spent, and returns their sum.
    pub(super) async fn spend_allowances_of_dead_nodes(&self) -> Result<Usd, Error> {
        let is_needed = SpendAllowances::is_needed(self.database.readers()).await;
        if !is_needed.map_err(|error| storage_error("ledger", &error))? {
            return Ok(Usd::ZERO);
        }
        self.write(SpendAllowances { now: self.now() }).await
    }

    /// Returns the current time on the clock of the database, in milliseconds since 1970.
    fn now(&self) -> i64 {
        self.database.clock().map_or_else(entry::now, |clock| clock.now_millis())
    }

    async fn write<W: Write>(&self, write: W) -> Result<W::Output, Error> {
        self.database.write(write).await.map_err(|error| storage_error("ledger", &error))
    }
}
