//! Delays before the next attempt or poll.

use std::time::Duration;

/// From the acceptance of a submission to the first poll.
pub(super) const FIRST_POLL: Duration = Duration::from_millis(250);

/// The shortest and the longest poll interval, whatever a provider recommends.
const POLL_INTERVAL: (Duration, Duration) = (Duration::from_millis(50), Duration::from_mins(1));

/// The delay after the first failure; it doubles with each further one.
const BACK_OFF_BASE: Duration = Duration::from_secs(1);

/// The longest delay after a failure.
const BACK_OFF_MAX: Duration = Duration::from_mins(1);

/// Bounds the poll interval that a provider recommends.
pub(super) fn poll_interval(recommended: Duration) -> Duration {
    recommended.clamp(POLL_INTERVAL.0, POLL_INTERVAL.1)
}

/// Returns the delay after `failures` consecutive failures: exponential, reduced at random by up to a third, so that jobs
/// that failed together do not retry together.
pub(super) fn back_off(failures: u32) -> Duration {
    let doubled = BACK_OFF_BASE.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(BACK_OFF_MAX);
    doubled.mul_f64(1.0 - fastrand::f64() / 3.0)
}

/// Returns the delay after a rejected submission: the provider's own, otherwise the usual back-off.
pub(super) fn after_rejection(retry_after: Option<Duration>, failures: u32) -> Duration {
    retry_after.map_or_else(|| back_off(failures), |delay| delay.max(POLL_INTERVAL.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_off_grows_to_its_maximum_with_jitter() {
        let delays: Vec<_> = (1..=40).map(back_off).collect();
        assert!(delays.iter().all(|delay| *delay >= BACK_OFF_BASE * 2 / 3 && *delay <= BACK_OFF_MAX));
        assert!(delays[4] > delays[0] && delays[20] >= BACK_OFF_MAX * 2 / 3);
        assert!((0..20).any(|_| back_off(3) != back_off(3)));
        assert!(back_off(u32::MAX) <= BACK_OFF_MAX);
    }

    #[test]
    fn recommended_intervals_are_bounded() {
        assert_eq!(poll_interval(Duration::ZERO), POLL_INTERVAL.0);
        assert_eq!(poll_interval(Duration::from_secs(7)), Duration::from_secs(7));
        assert_eq!(poll_interval(Duration::MAX), POLL_INTERVAL.1);
        assert_eq!(after_rejection(Some(Duration::from_secs(7)), 1), Duration::from_secs(7));
    }
}
