//! One rate limit, of calls or of tokens.

use std::{
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};

use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed, StateStore},
};

use crate::rate_limits::RateState;

const MINUTE: Duration = Duration::from_mins(1);

/// A limit per minute. Unused capacity accumulates for one minute, and is replenished continuously.
#[derive(Debug)]
pub(super) struct Rate<C: Clock<Instant = Nanos> = Elapsed> {
    limit: NonZeroU32,
    limiter: RateLimiter<NotKeyed, SharedState, C, NoOpMiddleware<Nanos>>,
    /// The state of the limiter.
    state: SharedState,
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
        NonZeroU32::new(per_minute).map(|limit| Self::with_clock(limit, Elapsed(Instant::now())))
    }
}

impl<C: Clock<Instant = Nanos>> Rate<C> {
    /// Returns a limit on a clock that is at 0 now.
    fn with_clock(limit: NonZeroU32, clock: C) -> Self {
        let state = SharedState::default();
        Self { limit, limiter: RateLimiter::new(Quota::per_minute(limit), state.clone(), clock), state }
    }

    pub(super) fn limit(&self) -> NonZeroU32 {
        self.limit
    }

    /// Takes `amount` or nothing. An amount above the limit, which could never be taken, counts as the limit.
    pub(super) fn take(&self, amount: NonZeroU32) -> Result<RateState, Refused> {
        match self.limiter.check_n(amount.min(self.limit)) {
            Ok(Err(refused)) => Err(Refused { retry_after: refused.wait_time_from(self.limiter.clock().now()) }),
            // The error, an amount above the burst capacity, cannot occur: the capacity is the limit.
            Ok(Ok(())) | Err(_) => Ok(self.peek()),
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
        // The used part is measured as the time until it is replenished.
        let used = self.state.unused_at().saturating_sub(self.limiter.clock().now());
        let limit = self.limit.get();
        // As the limiter, which replenishes one in whole nanoseconds: it must accept all that remains.
        let replenish_one = (MINUTE.as_nanos() / u128::from(limit)).max(1);
        let taken = u128::from(used.as_u64()).div_ceil(replenish_one);
        let remaining = limit.saturating_sub(u32::try_from(taken).unwrap_or(u32::MAX));
        RateState { limit, remaining, reset: used.into() }
    }
}

/// The state of a limiter, which the limiter itself does not tell without a call.
#[derive(Debug, Clone, Default)]
struct SharedState(Arc<InMemoryState>);

impl SharedState {
    /// When the limit is unused again, on the clock of the limiter: the theoretical arrival time of its algorithm (GCRA).
    fn unused_at(&self) -> Nanos {
        // The error leaves the state as it is.
        let read = self.measure_and_replace(&NotKeyed::NonKey, Err::<((), Nanos), _>);
        read.err().flatten().unwrap_or_default()
    }
}

impl StateStore for SharedState {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, key: &NotKeyed, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.0.measure_and_replace(key, decide)
    }
}

/// A clock that began at this time. Those of the library do not tell when they began, which is the origin of the state's times.
#[derive(Debug)]
pub(super) struct Elapsed(Instant);

impl Clock for Elapsed {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.elapsed().into()
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn amount(amount: u32) -> NonZeroU32 {
        NonZeroU32::new(amount).unwrap()
    }

    #[test]
    fn limit_is_replenished_continuously_and_refusal_has_the_time_to_wait() {
        assert!(Rate::per_minute(0).is_none());
        // One call is replenished each 15 seconds.
        let clock = FakeRelativeClock::default();
        let rate = Rate::with_clock(amount(4), clock.clone());
        let first = rate.take(amount(1)).unwrap();
        assert_eq!(first, RateState { limit: 4, remaining: 3, reset: Duration::from_secs(15) });
        assert_eq!(rate.take(amount(3)).unwrap().remaining, 0);
        let wait = |seconds| Err(Refused { retry_after: Duration::from_secs(seconds) });
        assert_eq!(rate.take(amount(1)), wait(15));
        clock.advance(Duration::from_secs(5));
        assert_eq!(rate.take(amount(1)), wait(10));
        assert_eq!(rate.take(amount(9)), wait(55), "an amount above the limit counts as the limit");
        clock.advance(Duration::from_secs(10));
        assert_eq!(rate.take(amount(1)).unwrap().remaining, 0);
        // After a minute without calls, all can be used at once, and not more.
        clock.advance(Duration::from_mins(5));
        assert_eq!(rate.take(amount(4)).unwrap().remaining, 0);
        assert_eq!(rate.take(amount(1)), wait(15));
    }

    #[test]
    fn each_unit_of_a_limit_that_does_not_divide_a_minute_can_be_taken() {
        for limit in [7, 999, 1_000_003, u32::MAX] {
            let rate = Rate::with_clock(amount(limit), FakeRelativeClock::default());
            let left: Vec<_> = (0..7).map(|_| rate.take(amount(1)).unwrap().remaining).collect();
            assert_eq!(left, (1..=7).map(|taken| limit - taken).collect::<Vec<_>>());
            assert_eq!(rate.take(amount(1)).is_ok(), limit > 7);
        }
    }

    #[test]
    fn all_that_remains_of_any_limit_can_be_taken() {
        for limit in [7, 450_000, 999_983, u32::MAX] {
            let rate = Rate::with_clock(amount(limit), FakeRelativeClock::default());
            let remaining = rate.take(amount(limit / 45 * 44 + 1)).unwrap().remaining;
            assert_eq!(rate.take(amount(remaining)).unwrap().remaining, 0, "{limit}");
        }
    }

    #[test]
    fn take_up_to_takes_what_is_left_of_a_larger_amount_and_peek_takes_nothing() {
        let rate = Rate::with_clock(amount(1000), FakeRelativeClock::default());
        rate.take(amount(900)).unwrap();
        assert_eq!(rate.peek(), rate.peek());
        assert_eq!(rate.peek().remaining, 100);
        rate.take_up_to(amount(500));
        assert_eq!(rate.peek().remaining, 0);
        // 50 are replenished in 3 seconds.
        assert_eq!(rate.take(amount(50)), Err(Refused { retry_after: Duration::from_secs(3) }));
    }
}
