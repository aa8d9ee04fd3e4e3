//! The prices of models, and what calls cost by them.
//!
//! A price has conditions, so that one model can cost more in a higher resolution; the first one that matches applies. Conditions
//! about something that is not known yet, such as the quality `auto`, may be met: an estimate is then the highest of the possible
//! prices. A model without a price in the settings has the vendor's list price, if that is compiled in (`shipped`).

mod cost;
mod names;
mod served;
mod shipped;

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use triptych_proto::v1::Modality;

pub(crate) use self::names::UPSTREAM_PROVIDER_ID;
use self::shipped::Hosts;
pub use self::{
    cost::{Quantities, cost},
    names::ModelNames,
    served::{ServedPrices, served_prices},
    shipped::list_version,
};
use crate::{
    config::{Price, PriceConditions, Settings},
    digest::{Hex, sha256},
    name_pattern,
    size::Size,
    usd::Usd,
};

/// The number of values of [`Modality`].
const MODALITIES: usize = 4;

/// The most models whose prices are remembered. Only names of the catalog are looked up.
const MAX_CACHED: usize = 4096;

/// The provider id of the built-in engines, which call no upstream.
const BUILT_IN: &str = "offline";

/// The prices of all models.
#[derive(Debug, Default)]
pub struct PriceTable {
    configured: Vec<Arc<Price>>,
    /// Where models are served, for the list prices of vendors. `None`: these are off.
    hosts: Option<Hosts>,
    /// The prices that were looked up, by public name, for each modality.
    by_model: [RwLock<HashMap<String, ModelPrices>>; MODALITIES],
}

/// The prices of one model, in the order in which they apply. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct ModelPrices {
    prices: Arc<[Arc<Price>]>,
    are_list_prices: bool,
}

/// Where the prices of a model come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PriceOrigin {
    /// The setting `prices`.
    Configured,
    /// The compiled-in list of the vendor.
    Shipped {
        /// The page of the vendor.
        source: &'static str,
        /// The day on which the figures were taken, `YYYY-MM-DD`.
        read: &'static str,
    },
    /// A built-in engine, which is free.
    BuiltIn,
    /// The model has no price.
    None,
}

/// What prices can depend on, as far as it is known.
#[derive(Debug, Clone, Default)]
pub struct Attributes {
    /// The resolution in the terms of the model.
    pub resolution: Option<String>,
    /// The size in pixels.
    pub size: Option<Size>,
    /// The quality of an image.
    pub quality: Option<&'static str>,
    /// Whether a video has a sound track.
    pub audio: Option<bool>,
    /// Whether a video is among the inputs.
    pub video_input: Option<bool>,
    /// What a video request does.
    pub operation: Option<&'static str>,
}

/// Whether a condition is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Met {
    No,
    /// It depends on an attribute that is not known.
    Maybe,
    Yes,
}

impl PriceTable {
    /// Returns the table of these prices alone, and of the built-in engines.
    pub fn new(configured: &[Price]) -> Self {
        let configured = configured.iter().cloned().map(Arc::new).collect();
        Self { configured, hosts: None, by_model: Default::default() }
    }

    /// Returns the table of the settings: their prices and, unless they are off, the list prices of vendors.
    pub fn of(settings: &Settings) -> Self {
        let hosts = settings.shipped_prices.then(|| Hosts::new(settings));
        Self { hosts, ..Self::new(&settings.prices) }
    }

    /// Returns the prices of a model that have an amount for calls of this modality.
    pub fn of_model(&self, modality: Modality, names: ModelNames) -> ModelPrices {
        // The remainder keeps the index in the array should the gRPC API gain a modality.
        let by_model = &self.by_model[modality as usize % MODALITIES];
        let cached = by_model.read().unwrap_or_else(PoisonError::into_inner).get(names.public).cloned();
        if let Some(prices) = cached {
            return prices;
        }
        let (prices, origin) = self.find(modality, names);
        let are_list_prices = matches!(origin, PriceOrigin::Shipped { .. });
        let prices = ModelPrices { prices: prices.into(), are_list_prices };
        let mut by_model = by_model.write().unwrap_or_else(PoisonError::into_inner);
        if by_model.len() < MAX_CACHED {
            by_model.insert(names.public.to_owned(), prices.clone());
        }
        prices
    }

    /// Returns the prices of a model with their origin. Prices of the settings replace all others of the model.
    fn find(&self, modality: Modality, names: ModelNames) -> (Vec<Arc<Price>>, PriceOrigin) {
        let is_applicable = |price: &&Arc<Price>| is_for(price, names) && has_amount(price, modality);
        let configured: Vec<_> = self.configured.iter().filter(is_applicable).cloned().collect();
        if !configured.is_empty() {
            return (configured, PriceOrigin::Configured);
        }
        if names.provider == BUILT_IN {
            return (vec![Arc::new(free())], PriceOrigin::BuiltIn);
        }
        let shipped = self.hosts.as_ref().and_then(|hosts| shipped::find(hosts, modality, names));
        shipped.map_or((Vec::new(), PriceOrigin::None), |found| {
            (found.prices, PriceOrigin::Shipped { source: &found.list.source, read: &found.list.read })
        })
    }
}

/// Returns the price of the built-in engines.
fn free() -> Price {
    Price { model: "*".to_owned(), provider: BUILT_IN.to_owned(), per_call: Some(Usd::ZERO), ..Price::default() }
}

fn is_for(price: &Price, names: ModelNames) -> bool {
    let is_provider = price.provider.is_empty() || price.provider == names.provider;
    is_provider && [names.public, names.upstream].iter().any(|name| name_pattern::matches(&price.model, name))
}

/// Returns whether a price has an amount for calls of a modality. One without would make them free: a price per second does not concern
/// chat.
fn has_amount(price: &Price, modality: Modality) -> bool {
    let tokens = price.per_million_input_tokens.or(price.per_million_output_tokens).or(price.per_million_cached_tokens);
    let amount = match modality {
        Modality::Chat => tokens,
        Modality::Image => price.per_image.or(tokens),
        Modality::Video => price.per_second,
        Modality::Unspecified => None,
    };
    amount.or(price.per_call).is_some()
}

impl ModelPrices {
    /// Returns whether the model has no price at all.
    pub fn is_empty(&self) -> bool {
        self.prices.is_empty()
    }

    /// Returns whether these are the list prices of the vendor, and not prices of the settings.
    pub fn are_list_prices(&self) -> bool {
        self.are_list_prices
    }

    /// Returns the price that applies; of several possible ones that with the highest cost. `quantities` is called with a price,
    /// because the maximum of a response can depend on it.
    pub fn highest(
        &self,
        attributes: &Attributes,
        quantities: impl Fn(&Price) -> Quantities,
    ) -> Option<(Arc<Price>, Usd)> {
        let mut highest = None;
        for price in &*self.prices {
            let met = attributes.meet(&price.when);
            if met == Met::No {
                continue;
            }
            let amount = cost(price, &quantities(price));
            if highest.as_ref().is_none_or(|(_, earlier)| amount > *earlier) {
                highest = Some((Arc::clone(price), amount));
            }
            if met == Met::Yes {
                break;
            }
        }
        highest
    }
}

impl Attributes {
    fn meet(&self, conditions: &PriceConditions) -> Met {
        // Destructured, so that a new condition stops the build here.
        let PriceConditions { resolution, size, quality, audio, video_input, operation } = conditions;
        let text =
            |wanted: &Option<String>, known: Option<&str>| compare(wanted.as_deref(), known, str::eq_ignore_ascii_case);
        let size = compare(size.as_deref(), self.size, |wanted, known| {
            let turned = Size::new(known.height, known.width);
            [known, turned].iter().any(|size| size.to_string() == wanted)
        });
        [
            text(resolution, self.resolution.as_deref()),
            size,
            text(quality, self.quality),
            compare(*audio, self.audio, |wanted, known| wanted == known),
            compare(*video_input, self.video_input, |wanted, known| wanted == known),
            text(operation, self.operation),
        ]
        .into_iter()
        .min()
        .unwrap_or(Met::Yes)
    }
}

fn compare<W, K>(wanted: Option<W>, known: Option<K>, is_equal: impl FnOnce(W, K) -> bool) -> Met {
    let Some(wanted) = wanted else { return Met::Yes };
    match known.map(|known| is_equal(wanted, known)) {
        None => Met::Maybe,
        Some(true) => Met::Yes,
        Some(false) => Met::No,
    }
}

/// Returns the version of a price: a digest of it, so that an amount can be traced to the price that led to it.
pub fn version(price: &Price) -> String {
    let json = serde_json::to_vec(price).unwrap_or_default();
    Hex(&sha256(&json)[..6]).to_string()
}

#[cfg(test)]
mod tests;
