//! Values that can be replaced while calls are in flight.

use std::sync::Arc;

use arc_swap::ArcSwap;

/// A shared value that can be replaced. Clones share the value. A call that has loaded a value keeps it until it ends.
#[derive(Debug, Default)]
pub struct Live<T>(Arc<ArcSwap<T>>);

impl<T> Live<T> {
    /// Creates a shared value.
    pub fn new(value: T) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(value)))
    }

    /// Returns the current value.
    pub fn load(&self) -> Arc<T> {
        self.0.load_full()
    }

    /// Replaces the value. Calls that load it from now on get the new one.
    pub fn store(&self, value: T) {
        self.0.store(Arc::new(value));
    }
}

impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}
