//! Shared settings and resources of video providers, and their catalog entries.

use std::sync::Arc;

use crate::{media::Downloader, models::Entry, upstream::Limits, video::VideoProvider};

/// Settings and resources shared by all video providers.
#[derive(Debug)]
pub(crate) struct ProviderContext {
    /// The timeouts of upstream requests.
    pub(crate) limits: Limits,
    /// Downloads finished videos.
    pub(crate) downloads: Downloader,
    /// The maximum size of a finished video, in bytes.
    pub(crate) max_file_bytes: u64,
}

/// Returns the catalog entries of a provider's models. `names` are the upstream's names of the models. Jobs store `id`, so
/// it never changes.
pub(in crate::video::providers) fn entries(
    names: &[String],
    id: &str,
    provider: impl VideoProvider + 'static,
) -> Vec<Entry<dyn VideoProvider>> {
    let provider: Arc<dyn VideoProvider> = Arc::new(provider);
    let capabilities = &["input_reference", "remix"];
    names.iter().map(|name| Entry::connected(name, id, capabilities, Arc::clone(&provider))).collect()
}
