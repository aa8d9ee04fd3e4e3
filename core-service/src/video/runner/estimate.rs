//! The progress of renders whose provider reports none, from the time that earlier renders took.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::video::job::JobRequest;

/// The assumed time of the first render of a model.
const FIRST_ESTIMATE: Duration = Duration::from_mins(2);

/// The weight of the newest render in the average.
const WEIGHT: f64 = 0.3;

/// The progress when the expected time is over, in percent. From there on it approaches [`MAX_PERCENT`].
const EXPECTED_PERCENT: f64 = 90.0;

/// The highest estimate, in percent: below the progress of a render that has ended, which is 99.
const MAX_PERCENT: f64 = 98.0;

/// The average time of the renders of each model in this process, from the acceptance of the submission to the result. One
/// entry for each configured model.
#[derive(Debug, Default)]
pub(super) struct RenderTimes(Mutex<HashMap<(String, String), Duration>>);

impl RenderTimes {
    /// Adds the time of a finished render.
    pub(super) fn record(&self, request: &JobRequest, took: Duration) {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let average = times.entry(key(request)).or_insert(took);
        *average = average.mul_f64(1.0 - WEIGHT) + took.mul_f64(WEIGHT);
    }

    /// Estimates the progress of a render, in percent: up to [`MAX_PERCENT`], and never less than before while the average
    /// stays the same.
    pub(super) fn percent(&self, request: &JobRequest, elapsed: Duration) -> u8 {
        let times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // At least a second, because it is a divisor.
        let expected = times.get(&key(request)).copied().unwrap_or(FIRST_ESTIMATE).max(Duration::from_secs(1));
        let share = elapsed.as_secs_f64() / expected.as_secs_f64();
        let percent =
            if share < 1.0 { EXPECTED_PERCENT * share } else { MAX_PERCENT - (MAX_PERCENT - EXPECTED_PERCENT) / share };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 98")]
        let percent = percent as u8;
        percent
    }
}

/// Returns the provider and the model of a request.
fn key(request: &JobRequest) -> (String, String) {
    (request.provider_id.clone(), request.model.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::video::testing::request;

    #[test]
    fn estimate_follows_the_time_of_earlier_renders_and_stays_below_the_end() {
        let times = RenderTimes::default();
        let percent = |seconds| times.percent(&request(), Duration::from_secs(seconds));
        // The first render of a model is expected to take 120 s.
        assert_eq!([0, 60, 120, 240, 1_000_000].map(percent), [0, 45, 90, 94, 97]);
        times.record(&request(), Duration::from_secs(40));
        assert_eq!([0, 20, 40].map(percent), [0, 45, 90]);
        times.record(&request(), Duration::from_secs(140));
        assert_eq!(percent(70), 90, "the average is 70 s");
    }
}
