//! From settings to the models of the image panel: every provider that is connected, the chosen one first.

use std::sync::Arc;

use tokio_util::task::TaskTracker;

use super::{
    ImageProvider,
    guarded::Guarded,
    providers::{self, offline::OfflineImage},
};
use crate::{
    catalog::Entry,
    config::{self, ImageServiceType},
    media::Downloader,
    upstream::{Gate, GuardSettings, Limits, SetupError},
};

/// Names that existing programs ask for out of habit. Whoever makes the pictures by default answers to those that no
/// connected upstream serves, and never claims to be them.
const HABITUAL: [&str; 6] = ["dall-e-2", "dall-e-3", "gpt-image-1", "gpt-image-1-mini", "gpt-image-1.5", "gpt-image-2"];

/// What providers are set up with.
#[derive(Debug)]
pub(crate) struct ProviderContext {
    /// How long an upstream may take.
    pub(crate) limits: Limits,
    /// How many calls one request may have under way, where each gives one picture.
    pub(crate) calls_at_once: usize,
    /// For links to what an upstream made.
    pub(crate) downloads: Downloader,
    /// Counts what is still said to an upstream when its caller has left. Short, and waited for when the core closes.
    pub(crate) background: TaskTracker,
}

/// The models of one provider, by the names that its upstream has for them.
pub(super) fn models(
    names: &[String],
    owned_by: &str,
    capabilities: impl Fn(&str) -> &'static [&'static str],
    provider: impl ImageProvider + 'static,
) -> Vec<Entry<dyn ImageProvider>> {
    let provider: Arc<dyn ImageProvider> = Arc::new(provider);
    let entry = |name: &String| Entry {
        id: name.clone(),
        upstream: name.clone(),
        owned_by: owned_by.to_owned(),
        provider_id: owned_by.to_owned(),
        aliases: Vec::new(),
        capabilities: capabilities(name),
        hidden: false,
        provider: Arc::clone(&provider),
    };
    names.iter().map(entry).collect()
}

/// All models, the default first. The built-in engine is always among them.
///
/// # Errors
/// A provider that cannot be set up.
pub(crate) fn entries(
    settings: &config::Image,
    downloads: Downloader,
    background: TaskTracker,
) -> Result<Vec<Entry<dyn ImageProvider>>, SetupError> {
    let config::Image {
        service_type,
        connect_timeout,
        first_byte_timeout,
        idle_timeout,
        calls_at_once,
        routing,
        openai,
        doubao,
        dashscope,
        nano_banana,
        midjourney,
        ..
    } = settings;
    let limits = Limits { connect: *connect_timeout, first_byte: *first_byte_timeout, idle: *idle_timeout };
    let means = ProviderContext { limits, calls_at_once: *calls_at_once, downloads, background };
    // A provider that is not connected gives none; one line each.
    let mut shelves = [
        (ImageServiceType::Offline, OfflineImage::entries()),
        (ImageServiceType::Openai, providers::openai::entries(openai, &means)?),
        (ImageServiceType::Doubao, providers::doubao::entries(doubao, &means)?),
        (ImageServiceType::Dashscope, providers::dashscope::entries(dashscope, &means)?),
        (ImageServiceType::NanoBanana, providers::nano_banana::entries(nano_banana, &means)?),
        (ImageServiceType::Midjourney, providers::midjourney::entries(midjourney, &means)?),
    ];
    shelves.sort_by_key(|(kind, _)| kind != service_type);
    let gate = Arc::new(Gate::new(routing.max_in_flight, routing.queue));
    for (_, entries) in shelves.iter_mut().filter(|(kind, _)| *kind != ImageServiceType::Offline) {
        for entry in entries {
            guard(entry, *routing, Arc::clone(&gate));
        }
    }
    let mut entries: Vec<_> = shelves.into_iter().flat_map(|(_, entries)| entries).collect();
    let free = HABITUAL.iter().filter(|name| !entries.iter().any(|entry| entry.id == **name));
    let free: Vec<_> = free.map(|&name| name.to_owned()).collect();
    if let Some(default) = entries.first_mut() {
        default.aliases.extend(free);
    }
    Ok(entries)
}

/// Puts the model of a connected provider behind a circuit breaker of its own and the concurrency limit of all providers.
fn guard(entry: &mut Entry<dyn ImageProvider>, settings: GuardSettings, gate: Arc<Gate>) {
    let inner = Arc::clone(&entry.provider);
    entry.provider = Arc::new(Guarded::new(inner, entry.provider_id.clone(), entry.upstream.clone(), settings, gate));
}
