//! Shared settings and resources of video providers, and their catalog entries.

use std::sync::Arc;

use url::Url;

use crate::{
    config::GuardSettings,
    media::Downloader,
    model_facts::{FactsTable, fit::FitPolicy},
    models::Entry,
    upstream::{ConcurrencyLimit, SetupError, Timeouts},
    video::{VideoModel, VideoProvider, guarded::Guarded},
};

/// Settings and resources shared by all video providers.
#[derive(Debug)]
pub(crate) struct ProviderContext {
    /// The timeouts of upstream requests.
    pub(crate) timeouts: Timeouts,
    /// Downloads finished videos.
    pub(crate) downloads: Downloader,
    /// The maximum size of a finished video, in bytes.
    pub(crate) max_file_bytes: u64,
    /// The parameters that each model accepts, and the videos that it returns.
    pub(crate) facts: FactsTable,
    /// What happens to parameters that a model does not accept.
    pub(crate) fit_policy: FitPolicy,
    /// The settings of the circuit breaker that each provider gets.
    pub(crate) guard: GuardSettings,
    /// The limit of submissions in flight, which all connected providers share.
    pub(crate) submissions: Arc<ConcurrencyLimit>,
}

impl ProviderContext {
    /// Returns the catalog entries of a provider's models, behind one circuit breaker and the concurrency limit. `names` are
    /// the upstream's names of the models, the default first. `id` is the provider's id, which never changes, because jobs
    /// store it.
    pub(in crate::video::providers) fn entries(
        &self,
        names: &[String],
        id: &str,
        provider: impl VideoProvider + 'static,
    ) -> Vec<Entry<VideoModel>> {
        let Some(first) = names.first() else { return Vec::new() };
        let limit = Arc::clone(&self.submissions);
        let guarded = Guarded::new(Arc::new(provider), id.to_owned(), first.clone(), self.guard, limit);
        let entry = |name: &String| {
            let facts = self.facts.find(id, name);
            let capabilities = facts.capabilities();
            let provider = Arc::new(guarded.for_model(name.clone()));
            let model = VideoModel { provider, facts, fit_policy: self.fit_policy };
            Entry::connected(name, id, capabilities, Arc::new(model))
        };
        names.iter().map(entry).collect()
    }
}

/// Returns the configured base URL of a provider, otherwise its default.
///
/// # Errors
/// [`SetupError::Key`] if `default` is not a URL. The defaults of all providers are valid.
pub(in crate::video::providers) fn url_or_default(configured: Option<&Url>, default: &str) -> Result<Url, SetupError> {
    configured.cloned().map_or_else(|| Url::parse(default).map_err(|_| SetupError::Key), Ok)
}
