//! Values that can be replaced while calls are in progress: what a configuration reload changes.

use std::sync::Arc;

use arc_swap::ArcSwap;

/// A shared value that can be replaced. Clones share it; a call that has loaded it keeps the value it has loaded.
#[derive(Debug)]
pub struct Live<T>(Arc<ArcSwap<T>>);

impl<T> Live<T> {
    /// Shares `value`.
    pub fn new(value: T) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(value)))
    }

    /// Returns the current value.
    pub fn load(&self) -> Arc<T> {
        self.0.load_full()
    }

    /// Replaces the value for all calls that start from now on.
    pub fn store(&self, value: T) {
        self.0.store(Arc::new(value));
    }
}

impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}
