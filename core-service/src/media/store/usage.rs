//! Which media are being read, and when each was last: what must not be removed under a reader.

use std::{
    collections::HashMap,
    fs::File,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use super::MediaKey;

/// How long a medium counts as being read after a read ended: players and resumed downloads come back for the next range.
pub(super) const LINGER: Duration = Duration::from_mins(5);

/// A file's time of change tells when it was last used. It is not written anew more often than this.
pub(super) const STAMPED_AT_MOST: Duration = Duration::from_hours(1);

/// The media that this process reads. Clones share everything.
#[derive(Debug, Clone, Default)]
pub(super) struct Leases(Arc<Mutex<HashMap<MediaKey, Reading>>>);

#[derive(Debug)]
struct Reading {
    readers: usize,
    /// When the last one of them went.
    ended: Instant,
}

impl Reading {
    fn is_over(&self) -> bool {
        self.readers == 0 && self.ended.elapsed() >= LINGER
    }
}

impl Leases {
    /// Keeps the medium from being removed for as long as the lease lives, and a little longer.
    pub(super) fn hold(&self, key: &MediaKey) -> Lease {
        let mut held = self.held();
        let reading = held.entry(key.clone()).or_insert_with(|| Reading { readers: 0, ended: Instant::now() });
        reading.readers += 1;
        Lease { leases: self.clone(), key: key.clone() }
    }

    /// Does `remove` unless somebody reads the medium. Nobody begins to read it meanwhile: keep it short.
    pub(super) fn unless_read<T>(&self, key: &MediaKey, remove: impl FnOnce() -> T) -> Option<T> {
        let held = self.held();
        let free = held.get(key).is_none_or(Reading::is_over);
        free.then(remove)
    }

    /// Forgets those that nobody reads any more.
    pub(super) fn prune(&self) {
        self.held().retain(|_, reading| !reading.is_over());
    }

    fn held(&self) -> MutexGuard<'_, HashMap<MediaKey, Reading>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One reader of one medium.
#[derive(Debug)]
pub(super) struct Lease {
    leases: Leases,
    key: MediaKey,
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(reading) = self.leases.held().get_mut(&self.key) {
            reading.readers -= 1;
            reading.ended = Instant::now();
        }
    }
}

/// Notes on a file that it was used now, unless that was noted within `every`.
pub(super) fn stamp(file: &File, every: Duration) {
    let used = file.metadata().and_then(|meta| meta.modified());
    // A stamp in the future, from a clock that was set back, counts as fresh.
    if used.is_ok_and(|used| used.elapsed().is_ok_and(|idle| idle >= every))
        && let Err(error) = file.set_modified(SystemTime::now())
    {
        tracing::debug!("the use of a medium could not be noted: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_read_or_was_just_now_is_not_removed() {
        let (leases, key) = (Leases::default(), MediaKey::parse("a.png").unwrap());
        let removed = |leases: &Leases| leases.unless_read(&key, || ()).is_some();
        assert!(removed(&leases));
        let (one, other) = (leases.hold(&key), leases.hold(&key));
        tokio::time::advance(LINGER * 2).await;
        drop(one);
        assert!(!removed(&leases), "one of two still reads");
        drop(other);
        assert!(!removed(&leases), "it may come back");
        leases.prune();
        assert_eq!(leases.held().len(), 1);
        tokio::time::advance(LINGER).await;
        assert!(removed(&leases));
        leases.prune();
        assert!(leases.held().is_empty());
    }
}
