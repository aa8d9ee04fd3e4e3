//! One rate limit, of calls or of tokens: the generic cell rate algorithm (GCRA).

use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use crate::rate_limits::RateState;

/// A minute in nanoseconds.
const MINUTE: u64 = 60_000_000_000;

/// A limit per minute. Unused capacity accumulates for one minute, and is replenished continuously.
#[derive(Debug)]
pub(super) struct Rate {
    limit: NonZeroU32,
    start: Instant,
    /// When the limit is unused again, in nanoseconds since `start`: the theoretical arrival time of the algorithm.
    unused_at: AtomicU64,
}

/// A rate limit does not permit a call now. It has taken nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refused {
    /// The time until it would permit the call.
    pub(super) retry_after: Duration,
}

impl Rate {
    /// Returns a limit; `None` if `per_minute` is 0.
    pub(super) fn per_minute(per_minute: u32) -> Option<Self> {
        let limit = NonZeroU32::new(per_minute)?;
        Some(Self { limit, start: Instant::now(), unused_at: AtomicU64::new(0) })
    }

    pub(super) fn limit(&self) -> NonZeroU32 {
        self.limit
    }

    /// Takes `amount` or nothing. An amount above the limit, which could never be taken, counts as the limit.
    pub(super) fn take(&self, amount: NonZeroU32) -> Result<RateState, Refused> {
        self.take_at(self.now(), amount)
    }

    fn take_at(&self, now: u64, amount: NonZeroU32) -> Result<RateState, Refused> {
        let amount = self.time_of(amount.min(self.limit).get());
        let mut unused_at = self.unused_at.load(Relaxed);
        loop {
            let used = unused_at.saturating_sub(now) + amount;
            if used > MINUTE {
                return Err(Refused { retry_after: Duration::from_nanos(used - MINUTE) });
            }
            match self.unused_at.compare_exchange_weak(unused_at, now + used, Relaxed, Relaxed) {
                Ok(_) => return Ok(self.state(used)),
                Err(changed) => unused_at = changed,
            }
        }
    }

    /// Takes `amount`, or what is left of it.
    pub(super) fn take_up_to(&self, amount: NonZeroU32) {
        if self.take(amount).is_err()
            && let Some(rest) = NonZeroU32::new(self.peek().remaining)
        {
            // Fails if another call has taken it in the meantime.
            let _ = self.take(rest);
        }
    }

    /// Returns the state and takes nothing.
    pub(super) fn peek(&self) -> RateState {
        self.state(self.unused_at.load(Relaxed).saturating_sub(self.now()))
    }

    /// Returns the state after a part of the limit was used. It is measured as the time until it is replenished.
    fn state(&self, used: u64) -> RateState {
        let limit = self.limit.get();
        let remaining = u128::from(MINUTE.saturating_sub(used)) * u128::from(limit) / u128::from(MINUTE);
        RateState { limit, remaining: u32::try_from(remaining).unwrap_or(limit), reset: Duration::from_nanos(used) }
    }

    /// Returns the time in which an amount is replenished. Rounded down, so that all of the limit fits into a minute.
    fn time_of(&self, amount: u32) -> u64 {
        // Both factors are below 2^36 and 2^32, and the quotient is at most a minute.
        u64::try_from(u128::from(amount) * u128::from(MINUTE) / u128::from(self.limit.get())).unwrap_or(MINUTE)
    }

    fn now(&self) -> u64 {
        // Sufficient for 584 years.
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX - MINUTE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn amount(amount: u32) -> NonZeroU32 {
        NonZeroU32::new(amount).unwrap()
    }

    #[test]
    fn limit_is_replenished_continuously_and_refusal_has_the_time_to_wait() {
        assert!(Rate::per_minute(0).is_none());
        // One call is replenished each 15 seconds.
        let rate = Rate::per_minute(4).unwrap();
        let first = rate.take_at(0, amount(1)).unwrap();
        assert_eq!(first, RateState { limit: 4, remaining: 3, reset: Duration::from_secs(15) });
        assert_eq!(rate.take_at(0, amount(3)).unwrap().remaining, 0);
        let wait = |seconds| Err(Refused { retry_after: Duration::from_secs(seconds) });
        assert_eq!(rate.take_at(0, amount(1)), wait(15));
        assert_eq!(rate.take_at(5 * SECOND, amount(1)), wait(10));
        assert_eq!(rate.take_at(5 * SECOND, amount(9)), wait(55), "an amount above the limit counts as the limit");
        assert_eq!(rate.take_at(15 * SECOND, amount(1)).unwrap().remaining, 0);
        // After a minute without calls, all can be used at once, and not more.
        assert_eq!(rate.take_at(300 * SECOND, amount(4)).unwrap().remaining, 0);
        assert_eq!(rate.take_at(300 * SECOND, amount(1)), wait(15));
    }

    #[test]
    fn each_unit_of_a_limit_that_does_not_divide_a_minute_can_be_taken() {
        for limit in [7, 999, 1_000_003, u32::MAX] {
            let rate = Rate::per_minute(limit).unwrap();
            let left: Vec<_> = (0..7).map(|_| rate.take_at(0, amount(1)).unwrap().remaining).collect();
            assert_eq!(left, (1..=7).map(|taken| limit - taken).collect::<Vec<_>>());
            assert_eq!(rate.take_at(0, amount(1)).is_ok(), limit > 7);
        }
    }

    #[test]
    fn take_up_to_takes_what_is_left_of_a_larger_amount_and_peek_takes_nothing() {
        let rate = Rate::per_minute(1000).unwrap();
        rate.take(amount(900)).unwrap();
        assert!((100..200).contains(&rate.peek().remaining), "{rate:?}");
        rate.take_up_to(amount(500));
        assert!(rate.peek().remaining < 50, "{rate:?}");
        // 50 are replenished in 3 seconds.
        let refused = rate.take(amount(50)).unwrap_err();
        assert!(refused.retry_after <= Duration::from_secs(3), "{refused:?}");
    }
}
