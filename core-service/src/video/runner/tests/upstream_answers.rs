//! Answers of a provider to polls and downloads that are neither progress nor a result.

use super::*;
use crate::{error::UpstreamDetails, video::provider::Progress};

fn missing() -> Reply<Progress> {
    Reply::Return(Ok(Progress::Missing))
}

fn reported<T>(error: ProviderError) -> Reply<T> {
    let details = UpstreamDetails { code: "c".to_owned(), ..UpstreamDetails::default() };
    fails(error.with_upstream_details(details))
}

fn expired<T>() -> Reply<T> {
    fails(ProviderError::LinkExpired("the link responded with status 403".to_owned()))
}

#[tokio::test(start_paused = true)]
async fn render_that_is_missing_twice_is_still_polled_and_three_times_fails_the_job() {
    let polls = [working(10), missing(), missing(), working(20), missing(), missing()];
    let harness = Harness::new(FakeProvider::default().with_polls(polls));
    let id = harness.create().await;
    let _runner = harness.start();
    let snapshots = harness.follow(&id).await;
    assert_eq!(snapshots.last().unwrap().state.phase(), Phase::Succeeded);
    let revisions = snapshots.iter().map(|job| job.state.percent()).collect::<Vec<_>>();
    assert!(revisions.windows(2).all(|pair| pair[0] < pair[1] || pair == [0, 0]), "{revisions:?}");

    let polls = [working(10), missing(), unavailable(), missing(), missing()];
    let harness = Harness::new(FakeProvider::default().with_polls(polls));
    let id = harness.create().await;
    let _runner = harness.start();
    let job = harness.outcome(&id).await;
    assert_eq!((failure(&job).0, job.state.percent()), ("upstream_lost", 10));
    assert_eq!((harness.provider.count("poll"), harness.provider.count("cancel")), (5, 0));
}

#[tokio::test(start_paused = true)]
async fn render_that_is_cancelled_at_the_provider_fails_the_job() {
    let harness = Harness::new(FakeProvider::default().with_polls([Reply::Return(Ok(Progress::Cancelled))]));
    let id = harness.create().await;
    let _runner = harness.start();
    assert_eq!(failure(&harness.outcome(&id).await).0, "upstream_cancelled");
}

#[tokio::test(start_paused = true)]
async fn poll_error_with_upstream_details_is_judged_by_the_failure() {
    let refused = reported(ProviderError::ContentPolicy("no boats".to_owned()));
    let harness =
        Harness::new(FakeProvider::default().with_polls([reported(ProviderError::Broken("b".to_owned())), refused]));
    let id = harness.create().await;
    let _runner = harness.start();
    assert_eq!(failure(&harness.outcome(&id).await), ("content_policy_violation", "no boats"));
    assert_eq!(harness.provider.count("poll"), 2);
}

#[tokio::test(start_paused = true)]
async fn submission_error_with_upstream_details_is_judged_by_the_failure() {
    let limited = ProviderError::RateLimited { message: String::new(), retry_after: Some(Duration::from_secs(70)) };
    let broken = ProviderError::Broken("status 500".to_owned());
    let harness = Harness::new(FakeProvider::default().with_submits([reported(limited), reported(broken)]));
    let start = tokio::time::Instant::now();
    let id = harness.create().await;
    let _runner = harness.start();
    assert_eq!(failure(&harness.outcome(&id).await).0, "outcome_unknown");
    assert_eq!((harness.provider.count("submit"), start.elapsed().as_secs()), (2, 70));
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
    let harness = Harness::new(FakeProvider::default().with_fetches([expired()]));
    let id = harness.create().await;
    let _runner = harness.start();
    assert_eq!(harness.outcome(&id).await.state.phase(), Phase::Succeeded);
    assert_eq!((harness.provider.count("poll"), harness.provider.count("fetch video")), (2, 2));

    let harness = Harness::new(FakeProvider::default().with_fetches([expired(), expired()]));
    let id = harness.create().await;
    let _runner = harness.start();
    let job = harness.outcome(&id).await;
    assert_eq!(failure(&job), ("upstream_unreadable", "the link responded with status 403"));
    assert_eq!((harness.provider.count("poll"), harness.provider.count("fetch")), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn render_that_is_missing_three_times_while_its_link_is_renewed_is_lost() {
    let ready = || Reply::Return(Ok(Progress::Ready(crate::video::testing::clip())));
    for missed in [1, 2, 3] {
        let polls = std::iter::once(ready()).chain((0..missed).map(|_| missing())).chain([ready()]);
        let fetches = (0..missed).map(|_| expired());
        let harness = Harness::new(FakeProvider::default().with_polls(polls).with_fetches(fetches));
        let id = harness.create().await;
        let _runner = harness.start();
        let job = harness.outcome(&id).await;
        if missed < 3 {
            assert_eq!(job.state.phase(), Phase::Succeeded, "{missed}");
        } else {
            assert_eq!(failure(&job).0, "upstream_lost");
        }
    }
}
