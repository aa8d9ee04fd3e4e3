//! Delays before the next attempt or poll.

use std::time::Duration;

use crate::backoff::Backoff;

/// The delay from the acceptance of a submission to the first poll.
pub(super) const FIRST_POLL: Duration = Duration::from_millis(250);

/// The shortest and the longest poll interval, whatever a provider recommends.
const POLL_INTERVAL: (Duration, Duration) = (Duration::from_millis(50), Duration::from_mins(1));

/// The delays after consecutive failures of a step.
const BACK_OFF: Backoff = Backoff { base: Duration::from_secs(1), max: Duration::from_mins(1) };

/// Bounds the poll interval that a provider recommends.
pub(super) fn poll_interval(recommended: Duration) -> Duration {
    recommended.clamp(POLL_INTERVAL.0, POLL_INTERVAL.1)
}

/// Returns the delay after `failures` consecutive failures of a step.
pub(super) fn back_off(failures: u32) -> Duration {
    BACK_OFF.delay(failures)
}

/// Returns the delay after a failed call: the one that the provider requested, otherwise the usual back-off.
pub(super) fn after_failure(retry_after: Option<Duration>, failures: u32) -> Duration {
    retry_after.map_or_else(|| back_off(failures), |delay| delay.max(POLL_INTERVAL.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recommended_intervals_are_bounded() {
        assert_eq!(poll_interval(Duration::ZERO), POLL_INTERVAL.0);
        assert_eq!(poll_interval(Duration::from_secs(7)), Duration::from_secs(7));
        assert_eq!(poll_interval(Duration::MAX), POLL_INTERVAL.1);
        assert_eq!(after_failure(Some(Duration::from_secs(7)), 1), Duration::from_secs(7));
    }
}
