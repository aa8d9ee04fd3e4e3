//! When the attempts of a delivery are due.

use std::time::Duration;

use crate::video::time::Timestamp;

/// The longest delay that a receiver can request with `Retry-After`: the longest of the default schedule.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(10);

/// Returns when the attempt after the `attempt`th one, which has just failed, is due; `None` if that was the last. A receiver
/// can request a longer delay than that of the schedule; the number of attempts stays the same.
pub(super) fn next_due(
    delays: &[Duration],
    attempt: u32,
    retry_after: Option<Duration>,
    now: Timestamp,
) -> Option<Timestamp> {
    let delay = *delays.get(usize::try_from(attempt).ok()?.checked_sub(1)?)?;
    let requested = retry_after.unwrap_or_default().min(MAX_RETRY_AFTER);
    Some(now.after(delay.max(requested)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Webhooks;

    const NOW: Timestamp = Timestamp(0);

    fn delay(attempt: u32, retry_after: Option<u64>) -> Option<u64> {
        let delays = Webhooks::default().retry_delays;
        let due = next_due(&delays, attempt, retry_after.map(Duration::from_secs), NOW)?;
        Some(due.since(NOW).as_secs())
    }

    #[test]
    fn default_schedule_has_eight_attempts() {
        let delays: Vec<_> = (1..=9).map(|attempt| delay(attempt, None)).collect();
        let hour = 3600;
        let expected =
            [5, 300, 1800, 2 * hour, 5 * hour, 10 * hour, 10 * hour].map(Some).into_iter().chain([None, None]);
        assert_eq!(delays, expected.collect::<Vec<_>>());
    }

    #[test]
    fn retry_after_delays_the_next_attempt_and_never_adds_one() {
        assert_eq!(delay(1, Some(60)), Some(60));
        assert_eq!(delay(2, Some(60)), Some(300));
        assert_eq!(delay(1, Some(10_000_000)), Some(36_000));
        assert_eq!(delay(8, Some(60)), None);
    }
}
