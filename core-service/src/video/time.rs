//! Points in time as jobs keep them, and the clock that tells them.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

/// A point in time: milliseconds since 1970, in UTC. What a database and another node can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// This much later.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long it is from `earlier` to here; nothing if it is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl From<Timestamp> for prost_types::Timestamp {
    fn from(Timestamp(millis): Timestamp) -> Self {
        // The remainder is below 1000, so the product is below 10^9.
        let nanos = i32::try_from(millis.rem_euclid(1000) * 1_000_000).unwrap_or(0);
        Self { seconds: millis.div_euclid(1000), nanos }
    }
}

/// Tells the time. The wall clock, since deadlines and leases outlive the process and are read by other nodes.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The machine's own clock.
    pub fn system() -> Self {
        Self(Arc::new(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            Timestamp(0).after(since)
        }))
    }

    /// A clock that goes with tokio's, which tests can pause.
    #[cfg(test)]
    pub(crate) fn of_tokio() -> Self {
        let (began, origin) = (Self::system().now(), tokio::time::Instant::now());
        Self(Arc::new(move || began.after(origin.elapsed())))
    }

    /// The present.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.now()).finish()
    }
}
