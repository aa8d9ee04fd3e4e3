//! Jobs that end without a video: refused, failed, cancelled, deleted, expired.

use super::*;
use crate::video::{provider::Progress, store::memory::MemoryStore, time::Clock};

fn limited<T>(seconds: u64) -> Reply<T> {
    let retry_after = Some(Duration::from_secs(seconds));
    fails(ProviderError::RateLimited { message: "slow down".to_owned(), retry_after })
}

#[tokio::test(start_paused = true)]
async fn refused_submission_fails_with_the_message_of_the_provider() {
    let harness = Harness::new(
        FakeProvider::default().with_submits([fails(ProviderError::ContentPolicy("no boats".to_owned()))]),
    );
    let id = harness.create().await;
    let _runner = harness.start();
    assert_eq!(failure(&harness.outcome(&id).await), ("content_policy_violation", "no boats"));
    assert_eq!((harness.provider.count("submit"), harness.provider.count("poll")), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn rate_limited_submission_is_retried_after_retry_after() {
    let harness = Harness::new(FakeProvider::default().with_submits([limited(7), limited(11)]));
    let start = tokio::time::Instant::now();
    let id = harness.create().await;
    let _runner = harness.start();
    assert_eq!(harness.outcome(&id).await.state.phase(), Phase::Succeeded);
    assert_eq!(harness.provider.count("submit"), 3);
    assert!((18..20).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn submissions_are_limited() {
    let harness = Harness::new(FakeProvider::default().with_submits((0..100).map(|_| limited(1))));
    let id = harness.create().await;
    let _runner = harness.start();
    assert_eq!(failure(&harness.outcome(&id).await).0, "rate_limit_exceeded");
    assert_eq!(harness.provider.count("submit"), 10);
}

#[tokio::test(start_paused = true)]
async fn submission_with_unknown_outcome_is_retried_only_with_a_repeatable_provider() {
    let timeout = || fails(ProviderError::Timeout("timed out".to_owned()));
    let harness = Harness::new(FakeProvider::default().with_submits([timeout()]));
    let id = harness.create().await;
    let _runner = harness.start();
    assert_eq!(failure(&harness.outcome(&id).await).0, "outcome_unknown");
    assert_eq!(harness.provider.count("submit"), 1);

    let harness = Harness::new(FakeProvider::default().repeatable().with_submits([timeout(), unavailable()]));
    let id = harness.create().await;
    let _runner = harness.start();
    assert_eq!(harness.outcome(&id).await.state.phase(), Phase::Succeeded);
    assert_eq!(harness.provider.count(&format!("submit {id}")), 3, "under the same key");
}

#[tokio::test(start_paused = true)]
async fn polling_continues_through_failures_until_the_deadline() {
    let unknown_status = || fails(ProviderError::Unreadable("status `simmering`".to_owned()));
    let harness = Harness::new(FakeProvider::default().with_polls([
        working(30),
        unknown_status(),
        unavailable(),
        working(50),
        unknown_status(),
    ]));
    let id = harness.create().await;
    let _runner = harness.start();
    assert_eq!(harness.outcome(&id).await.state.phase(), Phase::Succeeded);

    let harness = Harness::new(
        FakeProvider::default().with_polls([working(30)].into_iter().chain((0..500).map(|_| unknown_status()))),
    );
    let start = tokio::time::Instant::now();
    let id = harness.create().await;
    let _runner = harness.start();
    let job = harness.outcome(&id).await;
    assert_eq!((failure(&job).0, job.state.percent()), ("deadline_exceeded", 30));
    assert_eq!(start.elapsed().as_secs(), 30 * 60);
    harness.provider.called("cancel task of", 1).await;
}

#[tokio::test(start_paused = true)]
async fn failed_render_fails_the_job_at_its_last_progress() {
    let broken = Reply::Return(Ok(Progress::Failed(ProviderError::unavailable("out of film".to_owned()))));
    let harness = Harness::new(FakeProvider::default().with_polls([working(60), broken]));
    let id = harness.create().await;
    let _runner = harness.start();
    let job = harness.outcome(&id).await;
    assert_eq!((failure(&job), job.state.percent()), (("upstream_unavailable", "out of film"), 60));
}

#[tokio::test(start_paused = true)]
async fn expired_link_fails_the_job_and_leaves_no_file() {
    let gone = fails(ProviderError::Refused { message: "the link has expired".to_owned(), field: None });
    let harness = Harness::new(FakeProvider::default().with_fetches([Reply::Return(Ok("clip".into())), gone]));
    let id = harness.create().await;
    let runner = harness.start();
    assert_eq!(failure(&harness.outcome(&id).await), ("upstream_refused", "the link has expired"));
    runner.stop(Duration::from_secs(5)).await;
    assert_eq!(harness.files(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn panic_counts_as_a_failed_attempt() {
    let harness = Harness::new(FakeProvider::default().with_polls([Reply::Panic, working(10), Reply::Panic]));
    let id = harness.create().await;
    let _runner = harness.start();
    assert_eq!(harness.outcome(&id).await.state.phase(), Phase::Succeeded);

    let harness = Harness::new(FakeProvider::default().with_polls((0..50).map(|_| Reply::Panic)));
    let id = harness.create().await;
    let _runner = harness.start();
    assert_eq!(failure(&harness.outcome(&id).await).0, "internal");

    let harness = Harness::new(FakeProvider::default().with_submits([Reply::Panic]));
    let id = harness.create().await;
    let _runner = harness.start();
    assert_eq!(failure(&harness.outcome(&id).await).0, "outcome_unknown");
    assert_eq!(harness.provider.count("submit"), 1);
}

#[tokio::test(start_paused = true)]
async fn job_of_a_removed_provider_fails_with_provider_gone() {
    let harness = Harness::new(FakeProvider::default());
    let mut removed = request();
    removed.provider_id = "removed".to_owned();
    let id = harness.jobs.create(JobId::new(), removed, &RequestContext::default(), None).await.unwrap().id;
    let _runner = harness.start();
    let job = harness.outcome(&id).await;
    assert_eq!(failure(&job).0, "provider_gone");
    assert!(failure(&job).1.contains("removed"));
}

#[tokio::test(start_paused = true)]
async fn cancellation_during_a_render_takes_effect_at_once_and_stops_the_render() {
    let harness = Harness::new(FakeProvider::default().with_polls([working(20), Reply::Hang]));
    let id = harness.create().await;
    let _runner = harness.start();
    harness.provider.called("poll", 2).await;
    let cancelled = harness.jobs.cancel(id.as_str(), &Owners::All).await.unwrap();
    assert_eq!(cancelled.state, JobState::Cancelled { percent: 20 });
    harness.provider.called(&format!("cancel task of {id}"), 1).await;
    assert_eq!(
        harness.jobs.cancel(id.as_str(), &Owners::All).await.unwrap().state,
        cancelled.state,
        "a second cancel changes nothing"
    );
    assert_eq!(harness.outcome(&id).await.state, cancelled.state);
}

#[tokio::test(start_paused = true)]
async fn cancellation_during_a_submission_stops_the_accepted_render() {
    let (go, gate) = tokio::sync::watch::channel(false);
    let harness = Harness::new(
        FakeProvider::default().with_submits([Reply::Gated(gate, crate::video::UpstreamTask("late".to_owned()))]),
    );
    let id = harness.create().await;
    let _runner = harness.start();
    harness.provider.called("submit", 1).await;
    harness.jobs.cancel(id.as_str(), &Owners::All).await.unwrap();
    go.send(true).unwrap();
    harness.provider.called("cancel late", 1).await;
    assert_eq!(harness.outcome(&id).await.state.phase(), Phase::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn cancellation_of_a_final_job_changes_nothing() {
    let harness = Harness::new(FakeProvider::default());
    let id = harness.create().await;
    let _runner = harness.start();
    let finished = harness.outcome(&id).await;
    assert_eq!(harness.jobs.cancel(id.as_str(), &Owners::All).await.unwrap(), finished);
    assert_eq!(harness.files().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn deletion_stops_the_render_and_removes_the_files() {
    for polls in [vec![working(20), Reply::Hang], Vec::new()] {
        let copying = polls.is_empty();
        let fetches = [Reply::Return(Ok("clip".into())), Reply::Hang];
        let harness = Harness::new(FakeProvider::default().with_polls(polls).with_fetches(fetches));
        let id = harness.create().await;
        let runner = harness.start();
        harness.provider.called(if copying { "fetch" } else { "poll" }, 2).await;
        harness.jobs.delete(id.as_str(), &Owners::All).await.unwrap();
        assert!(harness.jobs.get(id.as_str(), &Owners::All).await.is_err());
        assert!(harness.jobs.delete(id.as_str(), &Owners::All).await.is_err(), "it is already deleted");
        harness.provider.called(&format!("cancel task of {id}"), 1).await;
        runner.stop(Duration::from_secs(5)).await;
        assert_eq!(harness.files(), [""; 0]);
        assert_eq!(harness.queue.next_due(&[]).await.unwrap(), None, "the row is removed");
    }
}

#[tokio::test(start_paused = true)]
async fn expired_job_is_removed_with_its_files() {
    let retention = Some(Duration::from_hours(24));
    let settings = JobSettings { retention, ..JobSettings::default() };
    let harness = Harness::over(Arc::new(MemoryStore::new(Clock::tokio())), FakeProvider::default(), settings);
    let id = harness.create().await;
    let runner = harness.start();
    let job = harness.outcome(&id).await;
    assert_eq!(job.expires_at.unwrap().since(job.completed_at.unwrap()), Duration::from_hours(24));
    tokio::time::sleep(Duration::from_hours(23)).await;
    assert_eq!((harness.jobs.get(id.as_str(), &Owners::All).await.unwrap(), harness.files().len()), (job, 2));
    tokio::time::sleep(Duration::from_hours(2)).await;
    assert!(harness.jobs.get(id.as_str(), &Owners::All).await.is_err());
    runner.stop(Duration::from_secs(5)).await;
    assert_eq!(harness.files(), [""; 0]);
}
