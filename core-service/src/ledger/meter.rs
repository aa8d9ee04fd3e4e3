//! Meters one call: from the reservation of its money to its cost.

use std::sync::{Arc, Mutex, PoisonError};

use tonic::metadata::MetadataMap;
use triptych_proto::v1::Modality;

use super::allowance::{Allowance, Usage, UsageKey};
use crate::{
    prices::{Attributes, ModelPrices, Quantities},
    usd::Usd,
};

/// The metadata key, and HTTP header, of the cost of a call, in US dollars.
pub const COST: &str = "x-triptych-cost-usd";

/// Adds the cost of a call to the metadata of its response.
pub(crate) fn write_cost(cost: Option<Usd>, metadata: &mut MetadataMap) {
    // Digits and a point are valid metadata.
    if let Some(cost) = cost
        && let Ok(text) = cost.to_string().parse()
    {
        metadata.insert(COST, text);
    }
}

/// Meters a call of chat or images. The call is settled by [`settle`](Self::settle), or when the last clone is dropped. The default
/// meters nothing.
#[derive(Debug, Clone, Default)]
pub struct CallMeter(Option<Arc<Metered>>);

#[derive(Debug)]
struct Metered {
    allowance: Arc<Allowance>,
    prices: ModelPrices,
    attributes: Attributes,
    key: UsageKey,
    held: Usd,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    quantities: Quantities,
    failed: bool,
    /// Set once the call is settled.
    cost: Option<Usd>,
}

impl CallMeter {
    pub(super) fn new(
        allowance: Arc<Allowance>,
        prices: ModelPrices,
        attributes: Attributes,
        modality: Modality,
        model: &str,
        held: Usd,
    ) -> Self {
        let key = UsageKey { modality, model: model.to_owned() };
        Self(Some(Arc::new(Metered { allowance, prices, attributes, key, held, state: Mutex::default() })))
    }

    /// Returns whether anything is metered.
    pub fn is_active(&self) -> bool {
        self.0.is_some()
    }

    /// Records what the call has used so far, instead of what was recorded before.
    pub fn record(&self, quantities: Quantities) {
        if let Some(metered) = &self.0 {
            metered.state.lock().unwrap_or_else(PoisonError::into_inner).quantities = quantities;
        }
    }

    /// Records that the call has failed, for the number of errors. It costs what is recorded, such as finished images.
    pub fn fail(&self) {
        if let Some(metered) = &self.0 {
            metered.state.lock().unwrap_or_else(PoisonError::into_inner).failed = true;
        }
    }

    /// Returns what the call costs if it has used this; `None` if its model has no price.
    pub fn cost(&self, quantities: Quantities) -> Option<Usd> {
        let metered = self.0.as_ref().filter(|metered| !metered.prices.is_empty())?;
        Some(metered.cost(quantities))
    }

    /// Ends the call and returns its cost; `None` if its model has no price. What is recorded later has no effect.
    pub fn settle(&self) -> Option<Usd> {
        let metered = self.0.as_ref()?;
        let cost = metered.settle();
        (!metered.prices.is_empty()).then_some(cost)
    }
}

impl Metered {
    fn cost(&self, quantities: Quantities) -> Usd {
        // A call that has used nothing has failed, or was cancelled.
        let has_used = quantities != Quantities::default();
        let cost = has_used.then(|| self.prices.highest(&self.attributes, |_| quantities)).flatten();
        cost.map_or(Usd::ZERO, |(_, cost)| cost)
    }

    fn settle(&self) -> Usd {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cost) = state.cost {
            return cost;
        }
        let State { quantities, failed, .. } = *state;
        let cost = self.cost(quantities);
        state.cost = Some(cost);
        self.allowance.end(self.held, self.key.clone(), Usage::of_call(quantities, cost, failed));
        cost
    }
}

impl Drop for Metered {
    fn drop(&mut self) {
        self.settle();
    }
}
