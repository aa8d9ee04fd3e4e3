//! Which failures may be tried again, where, and when.

use std::time::Duration;

use crate::error::ProviderError;

/// The longest pause before the first repetition at the same target; it doubles with each.
const BASE: Duration = Duration::from_millis(250);
/// The same for a target that paces us and does not say for how long, as DashScope's and others' do not.
const PACED: Duration = Duration::from_secs(1);
/// The longest pause of all. What asks for more is told to the caller, who can wait better than we can.
const LONGEST: Duration = Duration::from_secs(5);

/// How often a call is tried again.
#[derive(Debug, Clone, Copy)]
pub struct RetrySettings {
    /// Tries beyond the first of each target.
    pub retries: u32,
    /// Whether failures after which the upstream may be at work all the same are tried again, at the price of paying
    /// twice.
    pub retry_unsafe: bool,
}

/// Where a failed call may be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// At another target, and after a pause at the same one.
    Anywhere,
    /// At another target only: this one would say the same.
    Elsewhere,
    /// Nowhere.
    Never,
}

impl RetrySettings {
    pub(super) fn again(self, error: &ProviderError) -> Again {
        match error {
            ProviderError::RateLimited { .. } | ProviderError::Unreachable(_) | ProviderError::Unavailable { .. } => {
                Again::Anywhere
            }
            ProviderError::Credentials(_) | ProviderError::NotSupported(_) | ProviderError::Overloaded { .. } => {
                Again::Elsewhere
            }
            ProviderError::Timeout(_) | ProviderError::Broken(_) if self.retry_unsafe => Again::Anywhere,
            ProviderError::Timeout(_)
            | ProviderError::Broken(_)
            | ProviderError::Refused { .. }
            | ProviderError::ContentPolicy(_)
            | ProviderError::Unreadable(_) => Again::Never,
        }
    }
}

/// The pause before the `nth` repetition (from 0) at the same target, with jitter, but no earlier than the target asked
/// for. `None`: it asks for more than we wait.
pub(super) fn pause(error: &ProviderError, nth: u32) -> Option<Duration> {
    if let Some(asked) = error.retry_after() {
        return (asked <= LONGEST).then(|| asked + BASE.mul_f64(fastrand::f64()));
    }
    // Who paces is certain to be there, and too early is in vain.
    let (base, least) = if matches!(error, ProviderError::RateLimited { .. }) { (PACED, 0.5) } else { (BASE, 0.0) };
    let most = base.saturating_mul(1 << nth.min(10)).min(LONGEST);
    Some(most.mul_f64(least + (1.0 - least) * fastrand::f64()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_have_been_taken_is_tried_again_only_where_that_is_allowed() {
        let maybe = [ProviderError::Timeout(String::new()), ProviderError::Broken(String::new())];
        for error in maybe {
            let again = |retry_unsafe| RetrySettings { retries: 2, retry_unsafe }.again(&error);
            assert_eq!((again(false), again(true)), (Again::Never, Again::Anywhere), "{error:?}");
        }
    }

    #[test]
    fn a_pause_honours_what_the_target_asked_for() {
        let limited = |seconds| ProviderError::RateLimited {
            message: String::new(),
            retry_after: Some(Duration::from_secs(seconds)),
        };
        assert!(pause(&limited(2), 0).is_some_and(|pause| (2.0..=2.25).contains(&pause.as_secs_f64())));
        assert_eq!(pause(&limited(60), 0), None);
        let away = ProviderError::Unavailable { message: String::new(), retry_after: Some(Duration::from_secs(2)) };
        assert!(pause(&away, 0).is_some_and(|pause| (2.0..=2.25).contains(&pause.as_secs_f64())));
        let paced = ProviderError::RateLimited { message: String::new(), retry_after: None };
        for (nth, seconds) in [(0, 0.5..=1.0), (1, 1.0..=2.0), (9, 2.5..=5.0)] {
            assert!(pause(&paced, nth).is_some_and(|pause| seconds.contains(&pause.as_secs_f64())), "{nth}");
        }
        for nth in 0..40 {
            assert!(pause(&ProviderError::unavailable(String::new()), nth).is_some_and(|pause| pause <= LONGEST));
        }
    }
}
