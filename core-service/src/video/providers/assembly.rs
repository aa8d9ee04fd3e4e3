//! Assembles the catalog's video models from the settings.

use std::sync::Arc;

use super::{common::context::ProviderContext, offline, openai, seedance};
use crate::{
    config::{self, GuardSettings, VideoServiceType},
    media::{Downloader, MediaStore},
    models::Entry,
    upstream::{ConcurrencyLimit, Limits, SetupError},
    video::{VideoProvider, guarded::Guarded},
};

/// Model names that existing programs request by default. The default model gets those as aliases that no connected provider
/// serves; responses still carry the model's own name.
const WELL_KNOWN_MODELS: [&str; 2] = ["sora-2", "sora-2-pro"];

/// Returns the entries of all connected providers and of the built-in engine, the default model first. Service types without
/// a provider are refused by the validation of the settings.
///
/// # Errors
/// [`SetupError`] if a provider cannot be set up.
pub(crate) fn entries(
    settings: &config::Video,
    media_store: &MediaStore,
    downloads: Downloader,
    max_file_bytes: u64,
) -> Result<Vec<Entry<dyn VideoProvider>>, SetupError> {
    let config::Video { service_type, connect_timeout, first_byte_timeout, idle_timeout, routing, openai, seedance } =
        settings;
    let limits = Limits { connect: *connect_timeout, first_byte: *first_byte_timeout, idle: *idle_timeout };
    let context = ProviderContext { limits, downloads, max_file_bytes };
    // A provider that is not connected has no entries.
    let mut providers = [
        (VideoServiceType::Offline, offline::entries(media_store)),
        (VideoServiceType::Openai, openai::entries(openai, &context)?),
        (VideoServiceType::Seedance, seedance::entries(seedance, &context)?),
    ];
    let limit = Arc::new(ConcurrencyLimit::new(routing.max_in_flight, routing.queue));
    for (_, entries) in providers.iter_mut().filter(|(kind, _)| *kind != VideoServiceType::Offline) {
        guard(entries, (*routing).into(), &limit);
    }
    providers.sort_by_key(|(kind, _)| kind != service_type);
    let mut entries: Vec<_> = providers.into_iter().flat_map(|(_, entries)| entries).collect();
    let unserved = WELL_KNOWN_MODELS.iter().filter(|name| !entries.iter().any(|entry| entry.id == **name));
    let unserved: Vec<_> = unserved.map(|&name| name.to_owned()).collect();
    if let Some(default) = entries.first_mut() {
        default.aliases.extend(unserved);
    }
    Ok(entries)
}

/// Puts the models of a connected provider behind one circuit breaker and the concurrency limit of all providers.
fn guard(entries: &mut [Entry<dyn VideoProvider>], settings: GuardSettings, limit: &Arc<ConcurrencyLimit>) {
    let Some(first) = entries.first() else { return };
    let (inner, name, model) = (Arc::clone(&first.provider), first.provider_id.clone(), first.upstream_model.clone());
    let guarded = Guarded::new(inner, name, model, settings, Arc::clone(limit));
    for entry in entries {
        entry.provider = Arc::new(guarded.for_model(entry.upstream_model.clone()));
    }
}
