//! Assembles the catalog's image models from the settings.

use std::sync::Arc;

use tokio_util::task::TaskTracker;

use super::{common::context::ProviderContext, dashscope, doubao, midjourney, nano_banana, offline, openai};
use crate::{
    config::{self, GuardSettings, ImageServiceType},
    image::{ImageProvider, guarded::Guarded},
    media::{Downloader, PictureBudget},
    models::Entry,
    upstream::{ConcurrencyLimit, SetupError, Timeouts},
};

/// Model names that existing programs request by default. The default model gets those as aliases that no connected provider
/// serves; responses still carry the model's own name.
const WELL_KNOWN_MODELS: [&str; 6] =
    ["dall-e-2", "dall-e-3", "gpt-image-1", "gpt-image-1-mini", "gpt-image-1.5", "gpt-image-2"];

/// Returns the entries of all connected providers and of the built-in engine, the default model first.
///
/// # Errors
/// [`SetupError`] if a provider cannot be set up.
pub(crate) fn entries(
    settings: &config::Image,
    downloads: Downloader,
    budget: PictureBudget,
    background: TaskTracker,
) -> Result<Vec<Entry<dyn ImageProvider>>, SetupError> {
    let config::Image {
        service_type,
        connect_timeout,
        first_byte_timeout,
        idle_timeout,
        calls_at_once,
        openai,
        doubao,
        dashscope,
        nano_banana,
        midjourney,
        routing,
        ..
    } = settings;
    let timeouts = Timeouts { connect: *connect_timeout, first_byte: *first_byte_timeout, idle: *idle_timeout };
    let context = ProviderContext { timeouts, calls_at_once: *calls_at_once, downloads, background };
    // A provider that is not connected has no entries.
    let mut providers = [
        (ImageServiceType::Offline, offline::entries(budget)),
        (ImageServiceType::Openai, openai::entries(openai, &context)?),
        (ImageServiceType::Doubao, doubao::entries(doubao, &context)?),
        (ImageServiceType::Dashscope, dashscope::entries(dashscope, &context)?),
        (ImageServiceType::NanoBanana, nano_banana::entries(nano_banana, &context)?),
        (ImageServiceType::Midjourney, midjourney::entries(midjourney, &context)?),
    ];
    let limit = Arc::new(ConcurrencyLimit::new(routing.max_in_flight, routing.queue_limit));
    for (_, entries) in providers.iter_mut().filter(|(kind, _)| *kind != ImageServiceType::Offline) {
        for entry in entries {
            guard(entry, *routing, Arc::clone(&limit));
        }
    }
    // `false` sorts before `true`: the configured provider comes first, and its first model is the default.
    providers.sort_by_key(|(kind, _)| kind != service_type);
    let mut entries: Vec<_> = providers.into_iter().flat_map(|(_, entries)| entries).collect();
    let unserved = WELL_KNOWN_MODELS.iter().filter(|name| !entries.iter().any(|entry| entry.id == **name));
    let unserved: Vec<_> = unserved.map(|&name| name.to_owned()).collect();
    if let Some(default) = entries.first_mut() {
        default.aliases.extend(unserved);
    }
    Ok(entries)
}

/// Puts the model of a connected provider behind a circuit breaker of its own and the concurrency limit of all providers.
fn guard(entry: &mut Entry<dyn ImageProvider>, settings: GuardSettings, limit: Arc<ConcurrencyLimit>) {
    let inner = Arc::clone(&entry.provider);
    entry.provider =
        Arc::new(Guarded::new(inner, entry.provider_id.clone(), entry.upstream_model.clone(), settings, limit));
}
