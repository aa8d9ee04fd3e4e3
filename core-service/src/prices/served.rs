//! The prices of all served models, for a report to the operator.

use std::sync::Arc;

use triptych_proto::v1::Modality;

use super::{
    PriceOrigin, PriceTable,
    names::{ModelNames, UPSTREAM_PROVIDER_ID},
    shipped::Hosts,
};
use crate::config::{Price, Settings};

/// The prices of a served model of a connected provider.
#[derive(Debug, Clone)]
pub struct ServedPrices {
    /// What kind of model it is.
    pub modality: Modality,
    /// The public name.
    pub model: String,
    /// The prices, in the order in which they apply. Empty: the model has none.
    pub prices: Vec<Arc<Price>>,
    /// Where they come from.
    pub origin: PriceOrigin,
}

/// Returns the prices of all models of connected providers, in the order of the settings. Models that are passed through by a
/// pattern are not among them, because their names are not known.
pub fn served_prices(settings: &Settings) -> Vec<ServedPrices> {
    let (table, hosts) = (PriceTable::of(settings), Hosts::new(settings));
    let served = |modality, names: ModelNames| {
        let (prices, origin) = table.find(modality, names);
        ServedPrices { modality, model: names.public.to_owned(), prices, origin }
    };
    let chat = hosts.chat_models().into_iter().map(|name| {
        served(Modality::Chat, ModelNames { public: name, upstream: name, provider: UPSTREAM_PROVIDER_ID })
    });
    let others = [(Modality::Image, &hosts.images), (Modality::Video, &hosts.videos)];
    let others = others.into_iter().flat_map(|(modality, providers)| {
        let models = providers.iter().flat_map(|provider| provider.models.iter().map(|model| (provider.id, model)));
        models.map(move |(provider, name)| served(modality, ModelNames { public: name, upstream: name, provider }))
    });
    chat.chain(others).collect()
}
