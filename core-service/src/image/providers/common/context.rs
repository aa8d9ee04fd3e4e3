//! Shared settings and resources of image providers, and their catalog entries.

use std::sync::Arc;

use tokio_util::task::TaskTracker;

use crate::{image::ImageProvider, media::Downloader, models::Entry, upstream::Timeouts};

/// Settings and resources shared by all image providers.
#[derive(Debug)]
pub(crate) struct ProviderContext {
    /// The timeouts of upstream requests.
    pub(crate) timeouts: Timeouts,
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
    names.iter().map(|name| Entry::connected(name, owned_by, capabilities(name), Arc::clone(&provider))).collect()
}
