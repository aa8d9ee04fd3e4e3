//! The ledger: what callers spend and use, and the budgets that limit it.
//!
//! Money is reserved before a call (a *hold*), and replaced by the real cost after it (*settled*). A budget limits the sum of what a key or
//! a team has spent in a period and what is reserved for it now.
//!
//! - The hold of a video job is written in the transaction that creates the job, and ended in the one that ends it: `video::charge`.
//! - Chat calls and image requests do not wait for the database. Each key has an *allowance* in memory (`allowance.rs`), which one
//!   hold in the database covers. It grows when it is used up, and is settled every few seconds. A call never begins without money
//!   for its estimate; only the difference between an estimate and the real cost can exceed a budget.
//!
//! The allowances of a node that was killed count as spent: an overestimate by at most one allowance per key, and never an underestimate.
//! A node that was paused for longer than its lease loses its allowances as well. When it continues, it also settles its calls, so their
//! cost is counted twice, by at most that allowance.

mod allowance;
mod budget;
mod meter;
#[cfg(test)]
mod property_tests;
mod store;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};
use tokio_util::sync::CancellationToken;
use triptych_proto::v1::Modality;

use self::allowance::Allowance;
pub(crate) use self::meter::write_cost;
pub use self::{
    allowance::{Usage, UsageKey},
    budget::{Budget, Payer},
    meter::{COST, CallMeter},
    store::{
        BudgetState, Discrepancy, Grouping, HoldFilter, HoldState, LedgerStore, OpenHold, UsageFilter, UsageRow,
        end_hold, open_hold, record_usage,
    },
};
use crate::{
    error::Error,
    live::Live,
    node::Node,
    prices::{Attributes, ModelNames, PriceTable, Quantities},
    usd::Usd,
};

/// How often usage and cost are written to the database. A crash loses what was used since the last time.
const SETTLE_INTERVAL: Duration = Duration::from_secs(5);
/// After this time without a call, the allowance of a key is returned.
const IDLE_TIME: Duration = Duration::from_mins(1);
/// How long the last settlement may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Meters calls, and holds their money. Clones share the state. The default has no prices and forgets everything.
#[derive(Debug, Clone, Default)]
pub struct Ledger(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    prices: Live<PriceTable>,
    store: LedgerStore,
    /// Names the holds of this process.
    node: Node,
    /// By team and key; idle ones are removed.
    allowances: Mutex<HashMap<String, Arc<Allowance>>>,
}

/// The task that writes usage and cost to the database, until it is stopped.
#[derive(Debug)]
pub struct LedgerHandle {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// A call that is about to begin.
#[derive(Debug, Clone)]
pub struct CallStart<'a> {
    /// Who pays.
    pub payer: &'a Payer,
    /// What kind of model is called.
    pub modality: Modality,
    /// The names of the model.
    pub model: ModelNames<'a>,
    /// What its price depends on.
    pub attributes: Attributes,
}

impl Ledger {
    /// Opens the ledger in this store, and starts the task that writes to it. Allowances of dead nodes count as spent.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub(crate) async fn start(
        store: LedgerStore,
        prices: Live<PriceTable>,
        node: Node,
    ) -> Result<(Self, LedgerHandle), Error> {
        let inner = Inner { prices, store, node, allowances: Mutex::default() };
        inner.spend_allowances_of_dead_nodes().await?;
        let ledger = Self(Some(Arc::new(inner)));
        let stop = CancellationToken::new();
        let task = tokio::spawn(settle_at_intervals(ledger.clone(), stop.clone()));
        Ok((ledger, LedgerHandle { stop, task }))
    }

    /// Returns the store, unless this is the default.
    pub fn store(&self) -> Option<&LedgerStore> {
        self.0.as_ref().map(|inner| &inner.store)
    }

    /// Returns the prices.
    pub fn prices(&self) -> Arc<PriceTable> {
        self.0.as_ref().map(|inner| inner.prices.load()).unwrap_or_default()
    }

    /// Reserves the money for a call of chat or images. `most` returns, for a price, the most that the call can use.
    ///
    /// # Errors
    /// [`Error::BudgetExceeded`]; [`Error::Unpriced`], if there is a budget and no price; [`Error::Storage`].
    pub async fn begin(
        &self,
        start: CallStart<'_>,
        most: impl Fn(&crate::config::Price) -> Quantities,
    ) -> Result<CallMeter, Error> {
        let Some(inner) = &self.0 else { return Ok(CallMeter::default()) };
        let CallStart { payer, modality, model, attributes } = start;
        let prices = inner.prices.load().of_model(modality, model);
        let estimate = prices.highest(&attributes, most);
        let held = match (&estimate, payer.budgets.first()) {
            (Some((_, amount)), Some(_)) => *amount,
            (None, Some(budget)) => {
                return Err(Error::Unpriced { model: model.public.to_owned(), subject: budget.description.clone() });
            }
            (_, None) => Usd::ZERO,
        };
        let allowance = inner.allowance(payer);
        while !allowance.take(held) {
            self.grow(inner, &allowance, payer, held).await?;
        }
        Ok(CallMeter::new(allowance, prices, attributes, modality, model.public, held))
    }

    /// Increases an allowance by at least what it lacks for `held`.
    async fn grow(&self, inner: &Inner, allowance: &Arc<Allowance>, payer: &Payer, held: Usd) -> Result<(), Error> {
        if inner.store.grow_allowance(allowance, payer, allowance.lacking(held)).await?.is_ok() {
            return Ok(());
        }
        // What other keys do not use, and the real cost of ended calls, may leave enough.
        self.settle(Returned::All).await?;
        Ok(inner.store.grow_allowance(allowance, payer, allowance.lacking(held)).await??)
    }

    /// Writes usage and cost of the calls that have ended, and returns unused allowances.
    ///
    /// # Errors
    /// [`Error::Storage`]; what was not written is written the next time.
    async fn settle(&self, returned: Returned) -> Result<(), Error> {
        let Some(inner) = &self.0 else { return Ok(()) };
        let allowances: Vec<_> = {
            let allowances = inner.allowances.lock().unwrap_or_else(PoisonError::into_inner);
            allowances.values().cloned().collect()
        };
        let now = Instant::now();
        for allowance in allowances {
            let returns = returned == Returned::All || allowance.is_idle(now, IDLE_TIME);
            if let Some(settlement) = allowance.settlement(returns) {
                inner.store.settle_allowance(allowance, settlement).await?;
            }
        }
        let mut allowances = inner.allowances.lock().unwrap_or_else(PoisonError::into_inner);
        // Calls in flight have a reference of their own.
        allowances.retain(|_, allowance| Arc::strong_count(allowance) > 1 || !allowance.is_idle(now, IDLE_TIME));
        Ok(())
    }
}

impl Inner {
    async fn spend_allowances_of_dead_nodes(&self) -> Result<(), Error> {
        let lost = self.store.spend_allowances_of_dead_nodes().await?;
        if lost > Usd::ZERO {
            tracing::warn!("the allowances of a process that was killed, {lost} USD, count as spent");
        }
        Ok(())
    }

    fn allowance(&self, payer: &Payer) -> Arc<Allowance> {
        let account = payer.account();
        let mut allowances = self.allowances.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(allowance) = allowances.get(account) {
            return Arc::clone(allowance);
        }
        let item = format!("allowance:{}:{account}", self.node.id());
        let allowance = Arc::new(Allowance::new(item, payer));
        allowances.insert(account.to_owned(), Arc::clone(&allowance));
        allowance
    }
}

/// Which unused allowances are returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Returned {
    /// Those without a recent call.
    Idle,
    /// All.
    All,
}

async fn settle_at_intervals(ledger: Ledger, stop: CancellationToken) {
    let mut ticks = interval_at(Instant::now() + SETTLE_INTERVAL, SETTLE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        if let Err(error) = ledger.settle(Returned::Idle).await {
            tracing::error!("usage and cost were not written and will be retried: {error}");
        }
        if let Some(inner) = ledger.0.as_ref().filter(|inner| inner.node.shares_database())
            && let Err(error) = inner.spend_allowances_of_dead_nodes().await
        {
            tracing::warn!("the allowances of dead nodes were not counted and will be tried again: {error}");
        }
    }
    match timeout(CLOSE_TIMEOUT, ledger.settle(Returned::All)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!("usage and cost were not written: {error}"),
        Err(_) => tracing::error!("usage and cost were not written in time"),
    }
}

impl LedgerHandle {
    /// Settles once more and ends the task. Calls must have ended.
    pub async fn stop(self) {
        self.stop.cancel();
        // Fails only after a panic, which is logged.
        let _ = self.task.await;
    }
}
