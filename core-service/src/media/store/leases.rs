//! Read leases of this process: which files are being read, and which were until a moment ago.
//!
//! The pins in the database protect a file from the sweepers of all processes, but expire if a reader takes no data for
//! long. These leases do not: a file that this process reads is never removed by its own sweeper.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;

use super::index::REUSE_WINDOW;
use crate::media::key::MediaKey;

/// All read leases of this process. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Leases(Arc<Mutex<HashMap<MediaKey, Readers>>>);

/// The readers of one file.
#[derive(Debug)]
struct Readers {
    count: usize,
    /// When the last reader ended.
    ended: Instant,
}

impl Readers {
    fn have_expired(&self) -> bool {
        self.count == 0 && self.ended.elapsed() >= REUSE_WINDOW
    }
}

impl Leases {
    /// Keeps the file in use until the lease is dropped, and for [`REUSE_WINDOW`] after that.
    pub(super) fn acquire(&self, key: &MediaKey) -> Lease {
        let mut leases = self.lock();
        let readers = leases.entry(key.clone()).or_insert_with(|| Readers { count: 0, ended: Instant::now() });
        readers.count += 1;
        Lease { leases: self.clone(), key: key.clone() }
    }

    /// Returns whether the file is in use.
    pub(super) fn is_in_use(&self, key: &MediaKey) -> bool {
        self.lock().get(key).is_some_and(|readers| !readers.have_expired())
    }

    /// Frees the memory of expired leases.
    pub(super) fn prune(&self) {
        self.lock().retain(|_, readers| !readers.have_expired());
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<MediaKey, Readers>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lease of one reader of one file.
#[derive(Debug)]
pub(super) struct Lease {
    leases: Leases,
    key: MediaKey,
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(readers) = self.leases.lock().get_mut(&self.key) {
            readers.count -= 1;
            readers.ended = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn file_is_in_use_until_its_last_reader_ended_and_the_reuse_window_passed() {
        let (leases, key) = (Leases::default(), MediaKey::parse("a.png").unwrap());
        assert!(!leases.is_in_use(&key));
        let (first, second) = (leases.acquire(&key), leases.acquire(&key));
        tokio::time::advance(REUSE_WINDOW * 2).await;
        drop(first);
        assert!(leases.is_in_use(&key), "the second reader is still reading");
        drop(second);
        assert!(leases.is_in_use(&key), "the reader may return for the next range");
        leases.prune();
        assert_eq!(leases.lock().len(), 1);
        tokio::time::advance(REUSE_WINDOW).await;
        assert!(!leases.is_in_use(&key));
        leases.prune();
        assert!(leases.lock().is_empty());
    }
}
