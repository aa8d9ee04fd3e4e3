//! Retry policy: which failures may be retried, at which target (one model at an upstream), and after which delay.

use std::time::Duration;

use crate::{backoff::Backoff, error::ProviderError};

/// The longest delay before a retry. A longer `Retry-After` is passed on to the caller, which can wait without holding a
/// call open.
const MAX_DELAY: Duration = Duration::from_secs(5);
/// Back-off of failures without `Retry-After`.
const BACKOFF: Backoff = Backoff { base: Duration::from_millis(250), max: MAX_DELAY };
/// Back-off of rate limits without `Retry-After`, for example DashScope's. Longer, because a rate limit still applies a moment
/// later.
const RATE_LIMIT_BACKOFF: Backoff = Backoff { base: Duration::from_secs(1), max: MAX_DELAY };

/// How often a call is retried.
#[derive(Debug, Clone, Copy)]
pub struct RetrySettings {
    /// How many attempts of one call are permitted in addition to the first attempt at each target.
    pub retries: u32,
    /// Whether failures after which the upstream may have executed the request are retried, which may be billed twice.
    pub retry_unsafe: bool,
}

/// Where a failed call may be retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RetryScope {
    /// At another target, and after a delay at the same target.
    AnyTarget,
    /// At another target only: the same target would fail again.
    OtherTargets,
    /// Nowhere.
    Never,
}

impl RetrySettings {
    /// Returns where a call with this failure may be retried.
    pub(crate) fn scope(self, error: &ProviderError) -> RetryScope {
        match error.failure() {
            ProviderError::RateLimited { .. } | ProviderError::Unreachable(_) | ProviderError::Unavailable { .. } => {
                RetryScope::AnyTarget
            }
            ProviderError::Credentials(_) | ProviderError::NotSupported(_) | ProviderError::Overloaded { .. } => {
                RetryScope::OtherTargets
            }
            ProviderError::Timeout(_) | ProviderError::Broken(_) if self.retry_unsafe => RetryScope::AnyTarget,
            ProviderError::Timeout(_)
            | ProviderError::Broken(_)
            | ProviderError::Refused { .. }
            | ProviderError::ContentPolicy(_)
            | ProviderError::Reported { .. }
            | ProviderError::LinkExpired(_)
            | ProviderError::Unreadable(_) => RetryScope::Never,
        }
    }
}

/// Returns the delay before the next attempt at the same target after `failures` failures (from 1) there, the last of them
/// `error`: with jitter, and no shorter than the error's `Retry-After`. `None` if that is longer than a retry waits.
pub(crate) fn delay(error: &ProviderError, failures: u32) -> Option<Duration> {
    if let Some(retry_after) = error.retry_after() {
        return (retry_after <= MAX_DELAY).then(|| retry_after + BACKOFF.delay(1));
    }
    let backoff = if matches!(error, ProviderError::RateLimited { .. }) { RATE_LIMIT_BACKOFF } else { BACKOFF };
    Some(backoff.delay(failures))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_that_may_have_executed_are_retried_only_with_retry_unsafe() {
        for error in [ProviderError::Timeout(String::new()), ProviderError::Broken(String::new())] {
            let scope = |retry_unsafe| RetrySettings { retries: 2, retry_unsafe }.scope(&error);
            assert_eq!((scope(false), scope(true)), (RetryScope::Never, RetryScope::AnyTarget), "{error:?}");
        }
    }

    #[test]
    fn delay_honours_retry_after_and_grows_without_it() {
        let limited = |retry_after| ProviderError::RateLimited { message: String::new(), retry_after };
        let seconds = |error: &ProviderError, failures| delay(error, failures).unwrap().as_secs_f64();
        let two = Some(Duration::from_secs(2));
        assert!((2.0..=2.25).contains(&seconds(&limited(two), 1)));
        assert_eq!(delay(&limited(Some(Duration::from_mins(1))), 1), None);
        let unavailable = ProviderError::Unavailable { message: String::new(), retry_after: two };
        assert!((2.0..=2.25).contains(&seconds(&unavailable, 1)));
        // With jitter, from half of the delay to all of it.
        for (failures, range) in [(1, 0.5..=1.0), (2, 1.0..=2.0), (10, 2.5..=5.0)] {
            assert!(range.contains(&seconds(&limited(None), failures)), "{failures} failures");
        }
        for failures in 1..40 {
            assert!(delay(&ProviderError::unavailable(""), failures).unwrap() <= MAX_DELAY);
        }
    }
}
