//! The log filter, which a reload can replace.

use tracing_subscriber::{EnvFilter, Registry, reload};

/// Replaces the log filter. Clones replace the same filter.
#[derive(Debug, Clone)]
pub(crate) struct LogFilter(reload::Handle<EnvFilter, Registry>);

impl LogFilter {
    /// Returns the layer with this filter, and the handle that replaces it.
    pub(crate) fn new(filter: EnvFilter) -> (reload::Layer<EnvFilter, Registry>, Self) {
        let (layer, handle) = reload::Layer::new(filter);
        (layer, Self(handle))
    }

    /// Replaces the filter.
    ///
    /// # Errors
    /// The subscriber is gone.
    pub(crate) fn replace(&self, filter: EnvFilter) -> anyhow::Result<()> {
        Ok(self.0.reload(filter)?)
    }
}
