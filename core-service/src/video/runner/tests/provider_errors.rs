//! Responses of a provider to submissions, polls and downloads that are neither progress nor a result.

use super::*;
use crate::{
    error::UpstreamDetails,
    video::{provider::Progress, testing::clip},
};

fn missing() -> Reply<Progress> {
    Reply::Return(Ok(Progress::Missing))
}

/// The error together with the provider's own error code, as most providers report it.
fn reported<T>(error: ProviderError) -> Reply<T> {
    let details = UpstreamDetails { code: "c".to_owned(), ..UpstreamDetails::default() };
    fails(error.with_upstream_details(details))
}

fn expired<T>() -> Reply<T> {
    fails(ProviderError::LinkExpired("the link responded with status 403".to_owned()))
}

#[tokio::test(start_paused = true)]
async fn render_missing_in_two_consecutive_polls_is_still_polled() {
    let polls = [working(10), missing(), missing(), working(20), missing(), missing()];
    let harness = Harness::new(FakeProvider::default().with_polls(polls));
    let id = harness.create().await;
    let _runner = harness.start();
    let snapshots = harness.follow(&id).await;
    assert_eq!(snapshots.last().unwrap().state.phase(), Phase::Succeeded);
    let percents = snapshots.iter().map(|job| job.state.percent()).collect::<Vec<_>>();
    // The progress is 0 in more than one state, and a missed poll changes nothing that callers see.
    assert!(percents.windows(2).all(|pair| pair[0] < pair[1] || pair == [0, 0]), "{percents:?}");
}

#[tokio::test(start_paused = true)]
async fn render_missing_in_three_polls_fails_the_job_with_upstream_lost() {
    let polls = [working(10), missing(), unavailable(), missing(), missing()];
    let (harness, job) = run_job(FakeProvider::default().with_polls(polls)).await;
    assert_eq!((failure(&job).0, job.state.percent()), ("upstream_lost", 10));
    assert_eq!((harness.provider.call_count("poll"), harness.provider.call_count("cancel")), (5, 0));
}

#[tokio::test(start_paused = true)]
async fn render_that_is_cancelled_at_the_provider_fails_the_job() {
    let (_, job) = run_job(FakeProvider::default().with_polls([Reply::Return(Ok(Progress::Cancelled))])).await;
    assert_eq!(failure(&job).0, "upstream_cancelled");
}

#[tokio::test(start_paused = true)]
async fn poll_error_with_upstream_details_is_classified_by_its_cause() {
    let refused = reported(ProviderError::ContentPolicy("no boats".to_owned()));
    let broken = reported(ProviderError::Broken("b".to_owned()));
    let (harness, job) = run_job(FakeProvider::default().with_polls([broken, refused])).await;
    assert_eq!(failure(&job), ("content_policy_violation", "no boats"));
    assert_eq!(harness.provider.call_count("poll"), 2);
}

#[tokio::test(start_paused = true)]
async fn submission_error_with_upstream_details_is_classified_by_its_cause() {
    let limited = ProviderError::RateLimited { message: String::new(), retry_after: Some(Duration::from_secs(70)) };
    let broken = ProviderError::Broken("status 500".to_owned());
    let harness = Harness::new(FakeProvider::default().with_submits([reported(limited), reported(broken)]));
    let start = tokio::time::Instant::now();
    let id = harness.create().await;
    let _runner = harness.start();
    assert_eq!(failure(&harness.outcome(&id).await).0, "outcome_unknown");
    assert_eq!((harness.provider.call_count("submit"), start.elapsed().as_secs()), (2, 70));
}

#[tokio::test(start_paused = true)]
async fn failed_poll_is_repeated_after_the_requested_delay() {
    let requested = Some(Duration::from_secs(100));
    let limited = ProviderError::RateLimited { message: String::new(), retry_after: requested };
    let unavailable = ProviderError::Unavailable { message: String::new(), retry_after: requested };
    let harness = Harness::new(FakeProvider::default().with_polls([reported(limited), fails(unavailable)]));
    let start = tokio::time::Instant::now();
    let id = harness.create().await;
    let _runner = harness.start();
    assert_eq!(harness.outcome(&id).await.state.phase(), Phase::Succeeded);
    assert!((200..202).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn expired_link_is_renewed_by_one_poll() {
    let (harness, job) = run_job(FakeProvider::default().with_fetches([expired()])).await;
    assert_eq!(job.state.phase(), Phase::Succeeded);
    assert_eq!((harness.provider.call_count("poll"), harness.provider.call_count("fetch video")), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn renewed_link_that_does_not_work_yet_is_tried_again_and_renewed_again() {
    let (harness, job) = run_job(FakeProvider::default().with_fetches((0..6).map(|_| expired()))).await;
    assert_eq!(job.state.phase(), Phase::Succeeded);
    assert_eq!((harness.provider.call_count("poll"), harness.provider.call_count("fetch video")), (4, 7));
}

#[tokio::test(start_paused = true)]
async fn links_that_are_dead_after_three_renewals_fail_the_job() {
    // One attempt with the first link, two with the second, three with the third, one with the last.
    let (harness, job) = run_job(FakeProvider::default().with_fetches((0..7).map(|_| expired()))).await;
    assert_eq!(failure(&job), ("upstream_unreadable", "the link responded with status 403"));
    assert_eq!((harness.provider.call_count("poll"), harness.provider.call_count("fetch")), (4, 7));
}

/// Returns a provider whose links expire `times` times, each time followed by a poll that does not find the render.
fn missing_at_each_renewal(times: usize) -> FakeProvider {
    let ready = || Reply::Return(Ok(Progress::Ready(clip())));
    let polls = std::iter::once(ready()).chain((0..times).map(|_| missing())).chain([ready()]);
    FakeProvider::default().with_polls(polls).with_fetches((0..times).map(|_| expired()))
}

#[tokio::test(start_paused = true)]
async fn job_succeeds_if_its_render_is_missing_twice_while_its_link_is_renewed() {
    for times in [1, 2] {
        let (_, job) = run_job(missing_at_each_renewal(times)).await;
        assert_eq!(job.state.phase(), Phase::Succeeded, "{times}");
    }
}

#[tokio::test(start_paused = true)]
async fn job_fails_if_its_render_is_missing_three_times_while_its_link_is_renewed() {
    let (_, job) = run_job(missing_at_each_renewal(3)).await;
    assert_eq!(failure(&job).0, "upstream_lost");
}
