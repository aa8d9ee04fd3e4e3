//! Transitions of a breaker that opens after three failures, with a paused clock. The first argument of the `record_` methods
//! is the kind of the call.

use tokio::time::advance;

use super::*;

const COOLDOWN: Duration = Duration::from_secs(10);

fn breaker() -> Breaker {
    Breaker::new(BreakerSettings { failure_threshold: 3, cooldown: COOLDOWN })
}

#[tokio::test(start_paused = true)]
async fn consecutive_failures_open_and_a_successful_probe_closes() {
    let breaker = breaker();
    for _ in 0..2 {
        breaker.record_failure(CallKind::Regular, None);
    }
    breaker.record_success(CallKind::Regular);
    for _ in 0..2 {
        breaker.record_failure(CallKind::Regular, None);
        assert_eq!(breaker.state(), BreakerState::Closed);
    }
    breaker.record_failure(CallKind::Regular, None);
    assert!(matches!(breaker.state(), BreakerState::Open { cause: OpenCause::Failures, .. }));
    assert!(breaker.try_pass().is_none());
    advance(COOLDOWN).await;
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
    assert_eq!((breaker.try_pass(), breaker.try_pass()), (Some(CallKind::Probe), None), "one probe at a time");
    breaker.record_success(CallKind::Probe);
    assert_eq!((breaker.state(), breaker.try_pass()), (BreakerState::Closed, Some(CallKind::Regular)));
}

#[tokio::test(start_paused = true)]
async fn failed_probe_reopens_and_released_probe_leaves_room_for_the_next() {
    let breaker = breaker();
    (0..3).for_each(|_| breaker.record_failure(CallKind::Regular, None));
    advance(COOLDOWN).await;
    assert_eq!(breaker.try_pass(), Some(CallKind::Probe));
    breaker.record_failure(CallKind::Probe, None);
    assert!(!breaker.allows_call());
    advance(COOLDOWN).await;
    assert_eq!(breaker.try_pass(), Some(CallKind::Probe));
    breaker.release_probe();
    assert_eq!(breaker.try_pass(), Some(CallKind::Probe));
}

#[tokio::test(start_paused = true)]
async fn retry_after_opens_at_once_and_late_results_do_not_shorten_it() {
    let breaker = breaker();
    breaker.record_rate_limit(CallKind::Regular, Some(Duration::from_mins(1)));
    breaker.record_rate_limit(CallKind::Regular, Some(Duration::from_secs(1)));
    breaker.record_success(CallKind::Regular);
    advance(Duration::from_secs(59)).await;
    assert!(matches!(breaker.state(), BreakerState::Open { cause: OpenCause::RateLimit, .. }));
    advance(Duration::from_secs(1)).await;
    assert!(breaker.allows_call());
}

#[tokio::test(start_paused = true)]
async fn cooldowns_of_retry_after_do_not_count_as_failures() {
    let breaker = breaker();
    for _ in 0..3 {
        breaker.record_rate_limit(CallKind::Regular, Some(Duration::from_secs(1)));
        advance(Duration::from_secs(1)).await;
    }
    assert_eq!(breaker.state(), BreakerState::Closed);
    assert_eq!((breaker.try_pass(), breaker.try_pass()), (Some(CallKind::Regular), Some(CallKind::Regular)));
    breaker.record_failure(CallKind::Regular, None);
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn rate_limits_and_announced_unavailability_close_without_a_probe() {
    let limited = breaker();
    (0..3).for_each(|_| limited.record_rate_limit(CallKind::Regular, None));
    assert!(matches!(limited.state(), BreakerState::Open { cause: OpenCause::RateLimit, .. }));
    advance(COOLDOWN).await;
    assert_eq!((limited.try_pass(), limited.try_pass()), (Some(CallKind::Regular), Some(CallKind::Regular)));

    let unavailable = breaker();
    unavailable.record_failure(CallKind::Regular, Some(Duration::from_mins(1)));
    advance(Duration::from_secs(59)).await;
    assert!(matches!(unavailable.state(), BreakerState::Open { cause: OpenCause::Unavailable, .. }));
    advance(Duration::from_secs(1)).await;
    assert_eq!((unavailable.try_pass(), unavailable.try_pass()), (Some(CallKind::Regular), Some(CallKind::Regular)));
}

#[tokio::test(start_paused = true)]
async fn streams_that_fail_after_their_start_open_the_breaker() {
    let breaker = breaker();
    for _ in 0..3 {
        assert_eq!(breaker.state(), BreakerState::Closed);
        breaker.record_start(CallKind::Regular);
        breaker.record_failure(CallKind::Regular, None);
    }
    advance(COOLDOWN).await;
    assert_eq!(breaker.try_pass(), Some(CallKind::Probe));
    breaker.record_start(CallKind::Probe);
    assert_eq!(breaker.state(), BreakerState::Closed, "other calls do not wait for the end of the probe's stream");
    breaker.record_failure(CallKind::Regular, None);
    assert!(!breaker.allows_call(), "the failure count survives the start of the probe's stream");
    advance(COOLDOWN).await;
    assert_eq!(breaker.try_pass(), Some(CallKind::Probe));
    breaker.record_start(CallKind::Probe);
    breaker.record_success(CallKind::Regular);
    breaker.record_failure(CallKind::Regular, None);
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn results_of_calls_that_did_not_ask_to_pass_count_after_a_rate_limit_has_ended() {
    let breaker = breaker();
    breaker.record_failure(CallKind::Regular, None);
    breaker.record_rate_limit(CallKind::Regular, Some(COOLDOWN));
    advance(COOLDOWN).await;
    breaker.record_success(CallKind::Regular);
    (0..2).for_each(|_| breaker.record_failure(CallKind::Regular, None));
    assert_eq!(breaker.state(), BreakerState::Closed, "the success has reset the count");
    breaker.record_rate_limit(CallKind::Regular, Some(COOLDOWN));
    advance(COOLDOWN).await;
    breaker.record_failure(CallKind::Regular, None);
    assert!(matches!(breaker.state(), BreakerState::Open { cause: OpenCause::Failures, .. }));
}

#[tokio::test(start_paused = true)]
async fn late_rate_limit_does_not_close_a_breaker_that_failures_have_opened() {
    let breaker = breaker();
    (0..3).for_each(|_| breaker.record_failure(CallKind::Regular, None));
    breaker.record_rate_limit(CallKind::Regular, Some(2 * COOLDOWN));
    assert!(matches!(breaker.state(), BreakerState::Open { cause: OpenCause::Failures, .. }));
    advance(2 * COOLDOWN).await;
    assert_eq!((breaker.try_pass(), breaker.try_pass()), (Some(CallKind::Probe), None), "a probe decides");
}
