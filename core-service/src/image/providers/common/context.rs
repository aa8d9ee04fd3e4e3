//! Shared settings and resources of image providers, and their catalog entries.

use std::sync::Arc;

use tokio_util::task::TaskTracker;

use crate::{image::ImageProvider, media::Downloader, models::Entry, upstream::Limits};

/// Settings and resources shared by all image providers.
#[derive(Debug)]
pub(crate) struct ProviderContext {
    /// The timeouts of upstream requests.
    pub(crate) limits: Limits,
    /// The maximum number of concurrent upstream calls per request, for upstreams that return one image per call.
    pub(crate) calls_at_once: usize,
    /// Downloads images that an upstream returns as links.
    pub(crate) downloads: Downloader,
    /// Tracks background tasks, for example the cancellation of an upstream task after a client disconnect. The core waits
    /// for them when it closes.
    pub(crate) background: TaskTracker,
}

/// Returns the catalog entries of a provider's models. `names` are the upstream's names of the models.
pub(in crate::image::providers) fn entries(
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
