//! Assembles the video models of the catalog from the settings: the built-in engine, and the providers whose key or URL is set.

use std::sync::Arc;

use super::{
    common::context::ProviderContext, fal, gemini, kling, midjourney, minimax, offline, openai, runway, seedance,
    vertex, vidu, wan, xai,
};
use crate::{
    config::{self, VideoServiceType},
    media::{Downloader, MediaStore, clip::ClipInspector},
    models::Entry,
    upstream::{ConcurrencyLimit, SetupError, Timeouts},
    video::VideoModel,
};

/// Model names that OpenAI's SDKs and their examples request. Those that no connected provider serves become aliases of the
/// default model, so that such programs work with any provider; responses have the model's own name.
const WELL_KNOWN_MODELS: [&str; 2] = ["sora-2", "sora-2-pro"];

/// Returns the entries of all connected providers and of the built-in engine, the default model first: the first model of the
/// provider that `settings.service_type` names. `clips` decodes input videos for the built-in engine; `max_file_bytes` is the
/// maximum size of a finished video.
///
/// # Errors
/// [`SetupError`] if a provider cannot be set up.
pub(crate) fn entries(
    settings: &config::Video,
    media_store: &MediaStore,
    clips: &ClipInspector,
    downloads: Downloader,
    max_file_bytes: u64,
) -> Result<Vec<Entry<VideoModel>>, SetupError> {
    let config::Video {
        service_type,
        connect_timeout,
        first_byte_timeout,
        idle_timeout,
        routing,
        model_facts,
        fit_policy,
        fal,
        midjourney,
        openai,
        runway,
        seedance,
        kling,
        minimax,
        vidu,
        wan,
        xai,
        ..
    } = settings;
    let context = ProviderContext {
        timeouts: Timeouts { connect: *connect_timeout, first_byte: *first_byte_timeout, idle: *idle_timeout },
        downloads,
        max_file_bytes,
        facts: model_facts.clone(),
        fit_policy: *fit_policy,
        guard: (*routing).into(),
        submissions: Arc::new(ConcurrencyLimit::new(routing.max_in_flight, routing.queue_limit)),
    };
    let (gemini, vertex) = settings.google();
    // The default provider is sorted to the front; one that is not connected has no entries.
    let mut providers = [
        (VideoServiceType::Offline, offline::entries(media_store, clips, &context.facts, context.fit_policy)),
        (VideoServiceType::Fal, fal::entries(fal, &context)?),
        (VideoServiceType::Gemini, gemini::entries(&gemini, &context)?),
        (VideoServiceType::Midjourney, midjourney::entries(midjourney, &context)?),
        (VideoServiceType::Openai, openai::entries(openai, &context)?),
        (VideoServiceType::Runway, runway::entries(runway, &context)?),
        (VideoServiceType::Seedance, seedance::entries(seedance, &context)?),
        (VideoServiceType::Kling, kling::entries(kling, &context)?),
        (VideoServiceType::Minimax, minimax::entries(minimax, &context)?),
        (VideoServiceType::Vertex, vertex::entries(&vertex, &context)?),
        (VideoServiceType::Vidu, vidu::entries(vidu, &context)?),
        (VideoServiceType::Wan, wan::entries(wan, &context)?),
        (VideoServiceType::Xai, xai::entries(xai, &context)?),
    ];
    providers.sort_by_key(|(kind, _)| kind != service_type);
    let mut entries: Vec<_> = providers.into_iter().flat_map(|(_, entries)| entries).collect();
    let unserved = WELL_KNOWN_MODELS.iter().filter(|name| !entries.iter().any(|entry| entry.id == **name));
    let unserved: Vec<_> = unserved.map(|&name| name.to_owned()).collect();
    if let Some(default) = entries.first_mut() {
        default.aliases.extend(unserved);
    }
    Ok(entries)
}
