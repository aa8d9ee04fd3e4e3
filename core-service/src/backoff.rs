//! Exponential back-off with jitter: the one formula for every delay that grows with failures.

use std::time::Duration;

/// A delay that doubles with each consecutive failure up to a maximum. The jitter keeps callers that failed together from
/// coming back together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Backoff {
    /// The delay after the first failure, before jitter.
    pub(crate) base: Duration,
    /// The longest delay.
    pub(crate) max: Duration,
}

impl Backoff {
    /// Returns the delay after `failures` consecutive failures, the first of which counts as 1: between half of
    /// `min(base * 2^(failures - 1), max)` and all of it.
    pub(crate) fn delay(&self, failures: u32) -> Duration {
        let factor = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.max).mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delay_doubles_up_to_the_maximum_with_jitter_of_one_half() {
        let backoff = Backoff { base: Duration::from_secs(1), max: Duration::from_secs(5) };
        for (failures, most) in
            [(0, 1.0), (1, 1.0), (2, 2.0), (3, 4.0), (4, 5.0), (32, 5.0), (33, 5.0), (u32::MAX, 5.0)]
        {
            let delays: Vec<_> = (0..100).map(|_| backoff.delay(failures)).collect();
            assert!(
                delays.iter().all(|delay| (most / 2.0..=most).contains(&delay.as_secs_f64())),
                "{failures} failures"
            );
            assert!(delays.iter().any(|delay| *delay != delays[0]), "{failures} failures");
        }
    }
}
