//! The list prices of vendors that are compiled in (`list.toml`), and which of them apply to a served model.
//!
//! A shipped price belongs to the vendor's own API. It applies if the host of the provider's base URL is one of the vendor's and the
//! provider's name of the model is the one in the list: a local server with a model called `gpt-4o`, a reseller, and another region
//! of the vendor have no shipped price. A chat model that several upstreams serve, fallbacks included, has one only if it is the same at
//! all of them.

mod hosts;

use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Deserializer};
use triptych_proto::v1::Modality;

pub(super) use self::hosts::Hosts;
use super::names::ModelNames;
use crate::{config::Price, name_pattern};

/// The compiled-in lists. A test parses them.
static LISTS: LazyLock<File> = LazyLock::new(|| toml::from_str(include_str!("list.toml")).unwrap_or_default());

/// The file `list.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// The day of the last change, `YYYY-MM-DD`.
    version: String,
    lists: Vec<PriceList>,
}

/// The prices of one page of a vendor, for models of one modality.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PriceList {
    modality: ListModality,
    /// The hosts of the vendor's API to which the prices apply, with `*` for any characters.
    hosts: Vec<String>,
    /// The page.
    pub(super) source: String,
    /// The day on which the figures were taken, `YYYY-MM-DD`.
    pub(super) read: String,
    #[serde(deserialize_with = "shared")]
    prices: Vec<Arc<Price>>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ListModality {
    Chat,
    Image,
    Video,
}

/// The shipped prices of one model.
pub(super) struct Found {
    pub(super) list: &'static PriceList,
    /// In the order in which they apply.
    pub(super) prices: Vec<Arc<Price>>,
}

/// Returns the version of the list: the day of its last change, `YYYY-MM-DD`.
pub fn list_version() -> &'static str {
    &LISTS.version
}

/// Returns the shipped prices of a served model.
pub(super) fn find(hosts: &Hosts, modality: Modality, names: ModelNames) -> Option<Found> {
    let mut found = hosts.of_model(modality, names).into_iter().map(|at| at_host(modality, &at.host, &at.model));
    let first = found.next()??;
    // Two lists have no price in common, so equal prices are of the same list.
    found.all(|other| other.is_some_and(|other| other.prices == first.prices)).then_some(first)
}

/// Returns the prices of a model, by the vendor's name of it, at a host.
fn at_host(modality: Modality, host: &str, model: &str) -> Option<Found> {
    LISTS.lists.iter().find_map(|list| {
        let is_vendor = Modality::from(list.modality) == modality
            && list.hosts.iter().any(|known| name_pattern::matches(known, host));
        let prices: Vec<_> = list.prices.iter().filter(|price| is_vendor && price.model == model).cloned().collect();
        (!prices.is_empty()).then_some(Found { list, prices })
    })
}

impl From<ListModality> for Modality {
    fn from(modality: ListModality) -> Self {
        match modality {
            ListModality::Chat => Self::Chat,
            ListModality::Image => Self::Image,
            ListModality::Video => Self::Video,
        }
    }
}

fn shared<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Arc<Price>>, D::Error> {
    Vec::<Price>::deserialize(deserializer).map(|prices| prices.into_iter().map(Arc::new).collect())
}

#[cfg(test)]
mod tests;
