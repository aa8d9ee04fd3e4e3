//! Timestamps of jobs, and the clock of a job store.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use crate::database::Database;

/// Milliseconds since 1970, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Returns the timestamp `delay` later.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(delay.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Returns the timestamp `delay` earlier.
    #[must_use]
    pub fn before(self, delay: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(delay.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Returns the time since `earlier`; zero if that is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// Rounds a duration in milliseconds to seconds, at least one.
pub(super) fn whole_seconds(millis: u128) -> u32 {
    u32::try_from((millis + 500) / 1000).unwrap_or(u32::MAX).max(1)
}

impl From<Timestamp> for prost_types::Timestamp {
    fn from(Timestamp(millis): Timestamp) -> Self {
        // The remainder is below 1000, so the product is below 10^9.
        let nanos = i32::try_from(millis.rem_euclid(1000) * 1_000_000).unwrap_or(0);
        Self { seconds: millis.div_euclid(1000), nanos }
    }
}

/// The clock of a job store.
///
/// It belongs to the store because the clocks of nodes differ, while deadlines and leases are compared across nodes. It is
/// a wall clock because deadlines and leases outlive the process.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// Returns the clock of this machine.
    pub fn system() -> Self {
        Self(Arc::new(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            Timestamp(0).after(since)
        }))
    }

    /// Returns the clock of a database: that of its server, or of this machine for SQLite.
    pub fn of(database: &Database) -> Self {
        match database.clock() {
            Some(clock) => Self(Arc::new(move || Timestamp(clock.now_millis()))),
            None => Self::system(),
        }
    }

    /// Returns a clock that follows tokio's, which tests can pause.
    #[cfg(test)]
    pub(crate) fn tokio() -> Self {
        let (start, origin) = (Self::system().now(), tokio::time::Instant::now());
        Self(Arc::new(move || start.after(origin.elapsed())))
    }

    /// Returns a clock whose time this function returns.
    #[cfg(test)]
    pub(crate) fn from_fn(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Returns a clock that a test sets.
    #[cfg(test)]
    pub(crate) fn manual(start: Timestamp) -> (Self, Arc<std::sync::atomic::AtomicI64>) {
        let millis = Arc::new(std::sync::atomic::AtomicI64::new(start.0));
        let read = Arc::clone(&millis);
        (Self(Arc::new(move || Timestamp(read.load(std::sync::atomic::Ordering::SeqCst)))), millis)
    }

    /// Returns the current time.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.now()).finish()
    }
}
