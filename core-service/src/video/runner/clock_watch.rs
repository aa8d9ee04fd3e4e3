//! Detects that the clock of the store was set back. Due times and leases, which were computed with the clock before, would then
//! be far in the future.

use std::time::Duration;

use tokio::time::Instant;

use crate::video::time::Timestamp;

/// How far the clock may be behind the time that has passed. A smaller step back only delays polls.
const TOLERANCE: Duration = Duration::from_secs(10);

/// Compares the clock of the store, a wall clock, with the monotonic clock of the process.
#[derive(Debug)]
pub(super) struct ClockWatch {
    /// The wall clock at the last call.
    clock: Timestamp,
    /// The monotonic clock at the last call.
    at: Instant,
}

impl ClockWatch {
    pub(super) fn new(clock: Timestamp) -> Self {
        Self { clock, at: Instant::now() }
    }

    /// Returns whether the clock was set back since the last call.
    pub(super) fn was_set_back(&mut self, clock: Timestamp) -> bool {
        let expected = self.clock.after(self.at.elapsed());
        *self = Self::new(clock);
        expected.since(clock) > TOLERANCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_a_clock_that_goes_back_is_noticed() {
        let mut watch = ClockWatch::new(Timestamp(1_000_000));
        // Lets seconds pass; the clock then has this time, in milliseconds.
        let mut after = async |passed: u64, clock| {
            tokio::time::advance(Duration::from_secs(passed)).await;
            watch.was_set_back(Timestamp(clock))
        };
        assert!(!after(5, 1_005_000).await);
        assert!(!after(5, 1_002_000).await, "within the tolerance");
        assert!(!after(5, 9_000_000).await, "forwards");
        assert!(after(5, 8_994_000).await);
        assert!(!after(5, 8_999_000).await);
    }
}
