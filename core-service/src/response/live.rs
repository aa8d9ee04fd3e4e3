//! The responses in the background that calls of this process watch, cancel or generate.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

/// How often a response is read for changes that another node has committed.
const OTHER_NODES_INTERVAL: Duration = Duration::from_millis(500);

/// The shared states of responses by id, as long as anything uses them. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct LiveResponses {
    by_id: Arc<Mutex<HashMap<String, Weak<LiveResponse>>>>,
    /// Whether other nodes can use the database, and so change responses as well.
    is_shared: bool,
}

/// The state of one response that its generation shares with the calls about it.
#[derive(Debug)]
pub(super) struct LiveResponse {
    id: String,
    /// Cancelled when the client cancels or deletes the response.
    pub(super) cancel: CancellationToken,
    changed: watch::Sender<()>,
    all: LiveResponses,
}

/// The changes of one response from some moment on.
#[derive(Debug)]
pub(super) struct Changes {
    /// Owns the sender of `changed`.
    live: Arc<LiveResponse>,
    changed: watch::Receiver<()>,
}

impl Changes {
    /// Waits until the response may have changed: for a change by this process, and for the interval at which it is read if other nodes
    /// can change it.
    pub(super) async fn next(&mut self) {
        // The ignored errors: the sender was dropped, which `live` rules out, or the interval is over.
        if self.live.all.is_shared {
            let _ = timeout(OTHER_NODES_INTERVAL, self.changed.changed()).await;
        } else {
            let _ = self.changed.changed().await;
        }
    }
}

impl LiveResponses {
    /// Returns a map without responses. `is_shared` says whether other nodes can use the database, and so change responses as
    /// well.
    pub(crate) fn new(is_shared: bool) -> Self {
        Self { by_id: Arc::default(), is_shared }
    }

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
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LiveResponse {
    /// Reports a committed change to all that wait.
    pub(super) fn publish(&self) {
        self.changed.send_replace(());
    }

    /// Returns the changes from now on.
    pub(super) fn changes(self: &Arc<Self>) -> Changes {
        Changes { live: Arc::clone(self), changed: self.changed.subscribe() }
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
        let is_shared = false;
        let all = LiveResponses::new(is_shared);
        let (first, second) = (all.of("resp_1"), all.of("resp_1"));
        first.cancel.cancel();
        assert!(second.cancel.is_cancelled());
        drop((first, second));
        assert!(all.lock().is_empty());
        assert!(!all.of("resp_1").cancel.is_cancelled());
    }
}
