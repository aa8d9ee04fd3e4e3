//! The responses in the background that calls of this process watch, cancel or generate.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The shared states of responses by id, as long as anything uses them. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct LiveResponses(Arc<Mutex<HashMap<String, Weak<LiveResponse>>>>);

/// The state of one response that its generation shares with the calls about it.
#[derive(Debug)]
pub(super) struct LiveResponse {
    id: String,
    /// Cancelled when the client cancels or deletes the response.
    pub(super) cancel: CancellationToken,
    changed: watch::Sender<()>,
    all: LiveResponses,
}

impl LiveResponses {
    /// Returns the state of a response; a new one if nothing uses it yet. The response need not exist.
    pub(super) fn of(&self, id: &str) -> Arc<LiveResponse> {
        let mut all = self.lock();
        if let Some(live) = all.get(id).and_then(Weak::upgrade) {
            return live;
        }
        let live = Arc::new(LiveResponse {
            id: id.to_owned(),
            cancel: CancellationToken::new(),
            changed: watch::Sender::new(()),
            all: self.clone(),
        });
        all.insert(id.to_owned(), Arc::downgrade(&live));
        live
    }

    /// The map is complete after every change, so that a panic of another thread leaves it usable.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Weak<LiveResponse>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LiveResponse {
    /// Reports a committed change to all that wait.
    pub(super) fn publish(&self) {
        self.changed.send_replace(());
    }

    /// Returns a receiver of the changes from now on.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}

impl Drop for LiveResponse {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        // Another state may have been created since the last use of this one.
        if all.get(&self.id).is_some_and(|live| live.strong_count() == 0) {
            all.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_is_shared_while_it_is_used_and_removed_after() {
        let all = LiveResponses::default();
        let (first, second) = (all.of("resp_1"), all.of("resp_1"));
        first.cancel.cancel();
        assert!(second.cancel.is_cancelled());
        drop((first, second));
        assert!(all.lock().is_empty());
        assert!(!all.of("resp_1").cancel.is_cancelled());
    }
}
