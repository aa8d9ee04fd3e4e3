//! The models that an upstream lists, read in the background, so that no call waits for them.

use std::{future::Future, time::Duration};

use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use crate::{backoff::Backoff, error::ProviderError, live::Live};

/// The interval between two reads of the list.
const INTERVAL: Duration = Duration::from_mins(5);
/// The delay of a read after a failed one.
const BACKOFF: Backoff = Backoff { base: Duration::from_secs(5), max: INTERVAL };
/// How many models are kept at most.
const MAX_MODELS: usize = 1000;
/// The longest name of a model that is kept, in bytes.
const MAX_NAME: usize = 256;

/// The models that an upstream lists. Dropping it ends the reads.
#[derive(Debug)]
pub(crate) struct DiscoveredModels {
    names: Live<Vec<String>>,
    _task: AbortOnDropHandle<()>,
}

impl DiscoveredModels {
    /// Reads the list with `list` now and at intervals, and keeps the names for which `is_kept` holds. Must be called within a
    /// runtime. A failed read keeps the list of the last one.
    pub(crate) fn start<F>(
        upstream: String,
        list: impl Fn() -> F + Send + Sync + 'static,
        is_kept: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Vec<String>, ProviderError>> + Send,
    {
        let names = Live::new(Vec::new());
        let discovered = names.clone();
        let task = tokio::spawn(async move {
            let mut failures = 0_u32;
            loop {
                let delay = match list().await {
                    Ok(mut listed) => {
                        failures = 0;
                        listed.retain(|name| !name.is_empty() && name.len() <= MAX_NAME && is_kept(name));
                        if listed.len() > MAX_MODELS {
                            tracing::warn!(
                                upstream,
                                models = listed.len(),
                                "only the first {MAX_MODELS} models are listed"
                            );
                            listed.truncate(MAX_MODELS);
                        }
                        discovered.store(listed);
                        INTERVAL
                    }
                    Err(error) => {
                        failures = failures.saturating_add(1);
                        tracing::warn!(upstream, %error, "the models of the upstream cannot be listed");
                        BACKOFF.delay(failures)
                    }
                };
                sleep(delay).await;
            }
        });
        Self { names, _task: AbortOnDropHandle::new(task) }
    }

    /// Returns the names, in the order of the upstream.
    pub(crate) fn names(&self) -> Vec<String> {
        self.names.load().to_vec()
    }
}
