//! How long to wait before the next try.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

/// From a provider's acceptance to the first question.
pub(super) const FIRST_POLL: Duration = Duration::from_millis(250);

/// How often a provider is asked at most and at least, whatever it says.
const POLL: (Duration, Duration) = (Duration::from_millis(50), Duration::from_mins(1));

/// The wait after the first failure; it doubles with each further one.
const FIRST: Duration = Duration::from_secs(1);

/// The longest wait after failures.
const LONGEST: Duration = Duration::from_mins(1);

/// A provider's wish, within reason.
pub(super) fn poll(wished: Duration) -> Duration {
    wished.clamp(POLL.0, POLL.1)
}

/// The wait after `failures` failures in a row: doubling, and cut by up to a third at random, so that jobs that failed
/// together do not come back together.
pub(super) fn back_off(failures: u32) -> Duration {
    let doubled = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(LONGEST);
    doubled.mul_f64(1.0 - chance() / 3.0)
}

/// What a provider asks for after it turned us away, or the usual.
pub(super) fn turned_away(wished: Option<Duration>, failures: u32) -> Duration {
    wished.map_or_else(|| back_off(failures), |wished| wished.max(POLL.0))
}

/// From 0 to 1. The standard library seeds each hasher at random, which is chance enough for a jitter.
fn chance() -> f64 {
    let word = RandomState::new().build_hasher().finish();
    f64::from(u32::try_from(word >> 32).unwrap_or(u32::MAX)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_differ() {
        let waits: Vec<_> = (1..=40).map(back_off).collect();
        assert!(waits.iter().all(|wait| *wait >= FIRST * 2 / 3 && *wait <= LONGEST));
        assert!(waits[4] > waits[0] && waits[20] >= LONGEST * 2 / 3);
        assert!((0..20).any(|_| back_off(3) != back_off(3)));
        assert_eq!(back_off(u32::MAX).max(LONGEST), LONGEST);
    }

    #[test]
    fn a_provider_is_asked_at_its_own_pace_within_reason() {
        assert_eq!(poll(Duration::ZERO), POLL.0);
        assert_eq!(poll(Duration::from_secs(7)), Duration::from_secs(7));
        assert_eq!(poll(Duration::MAX), POLL.1);
        assert_eq!(turned_away(Some(Duration::from_secs(7)), 1), Duration::from_secs(7));
    }
}
