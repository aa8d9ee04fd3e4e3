//! One rate limit, of calls or of tokens.

use std::{num::NonZeroU32, time::Duration};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::StateInformationMiddleware,
    state::{InMemoryState, NotKeyed},
};

use crate::rate_limits::RateState;

const MINUTE: Duration = Duration::from_mins(1);

/// A limit per minute. Unused capacity accumulates for one minute, and is replenished continuously.
#[derive(Debug)]
pub(super) struct Rate {
    limit: NonZeroU32,
    limiter: RateLimiter<NotKeyed, InMemoryState, DefaultClock, StateInformationMiddleware>,
}

/// A rate limit that does not permit a call now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refused {
    /// The time until it would permit the call.
    pub(super) retry_after: Duration,
    /// Its state now, from which the call has taken nothing.
    pub(super) state: RateState,
}

impl Rate {
    /// Returns a limit; `None` if `per_minute` is 0.
    pub(super) fn per_minute(per_minute: u32) -> Option<Self> {
        let limit = NonZeroU32::new(per_minute)?;
        let limiter = RateLimiter::direct(Quota::per_minute(limit)).with_middleware();
        Some(Self { limit, limiter })
    }

    pub(super) fn limit(&self) -> NonZeroU32 {
        self.limit
    }

    /// Takes `amount` or nothing. An amount above the limit, which could never be taken, counts as the limit.
    pub(super) fn take(&self, amount: NonZeroU32) -> Result<RateState, Refused> {
        let amount = amount.min(self.limit);
        // The error, an amount above the burst capacity, cannot occur: the capacity is the limit.
        let Ok(result) = self.limiter.check_n(amount) else { return Ok(self.state(self.limit.get())) };
        result.map(|snapshot| self.state(snapshot.remaining_burst_capacity())).map_err(|refused| {
            let retry_after = refused.wait_time_from(self.limiter.clock().now());
            Refused { retry_after, state: self.state(self.remaining(amount, retry_after)) }
        })
    }

    /// Takes `amount`, or what is left of it.
    pub(super) fn take_up_to(&self, amount: NonZeroU32) {
        if let Err(refused) = self.take(amount)
            && let Some(rest) = NonZeroU32::new(refused.state.remaining)
        {
            // Fails if another call has taken it in the meantime.
            let _ = self.take(rest);
        }
    }

    /// Calculates how much is left. After a refusal, the limiter gives only the time to wait for `amount`.
    fn remaining(&self, amount: NonZeroU32, wait: Duration) -> u32 {
        let missing = (wait.as_nanos() * u128::from(self.limit.get())).div_ceil(MINUTE.as_nanos());
        amount.get().saturating_sub(u32::try_from(missing).unwrap_or(u32::MAX))
    }

    fn state(&self, remaining: u32) -> RateState {
        let limit = self.limit.get();
        let used = limit.saturating_sub(remaining);
        RateState { limit, remaining, reset: MINUTE.mul_f64(f64::from(used) / f64::from(limit)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(rate: &Rate, amount: u32) -> Result<RateState, Refused> {
        rate.take(NonZeroU32::new(amount).unwrap())
    }

    #[test]
    fn refusal_of_a_used_up_limit_has_the_time_to_wait() {
        assert!(Rate::per_minute(0).is_none());
        // One call is replenished each 15 seconds.
        let rate = Rate::per_minute(4).unwrap();
        assert_eq!(take(&rate, 1).unwrap(), RateState { limit: 4, remaining: 3, reset: Duration::from_secs(15) });
        assert_eq!(take(&rate, 3).unwrap().remaining, 0);
        let refused = take(&rate, 1).unwrap_err();
        assert!(refused.retry_after <= Duration::from_secs(15), "{refused:?}");
        assert_eq!(refused.state.remaining, 0);
    }

    #[test]
    fn take_up_to_takes_what_is_left_of_a_larger_amount() {
        let rate = Rate::per_minute(1000).unwrap();
        take(&rate, 900).unwrap();
        rate.take_up_to(NonZeroU32::new(500).unwrap());
        let refused = take(&rate, 50).unwrap_err();
        assert!(refused.state.remaining < 50, "{refused:?}");
        // 50 are replenished in 3 seconds.
        assert!(refused.retry_after <= Duration::from_secs(3), "{refused:?}");
    }
}
