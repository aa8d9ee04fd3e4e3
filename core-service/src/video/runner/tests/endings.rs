//! Jobs that end without a video because of a failure, and jobs whose retention ends.

use super::*;
use crate::video::{provider::Progress, store::memory::MemoryStore, time::Clock};

/// A rate limit (429) with `Retry-After`.
fn limited<T>(seconds: u64) -> Reply<T> {
    let retry_after = Some(Duration::from_secs(seconds));
    fails(ProviderError::RateLimited { message: "slow down".to_owned(), retry_after })
}

#[tokio::test(start_paused = true)]
async fn refused_submission_fails_with_the_message_of_the_provider() {
    let refused = fails(ProviderError::ContentPolicy("no boats".to_owned()));
    let (harness, job) = run_job(FakeProvider::default().with_submits([refused])).await;
    assert_eq!(failure(&job), ("content_policy_violation", "no boats"));
    assert_eq!((harness.provider.call_count("submit"), harness.provider.call_count("poll")), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn rate_limited_submission_is_retried_after_retry_after() {
    let harness = Harness::new(FakeProvider::default().with_submits([limited(7), limited(11)]));
    let start = tokio::time::Instant::now();
    let id = harness.create().await;
    let _runner = harness.start();
    assert_eq!(harness.outcome(&id).await.state.phase(), Phase::Succeeded);
    assert_eq!(harness.provider.call_count("submit"), 3);
    assert!((18..20).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn tenth_rate_limited_submission_fails_the_job() {
    let (harness, job) = run_job(FakeProvider::default().with_submits((0..100).map(|_| limited(1)))).await;
    assert_eq!(failure(&job).0, "rate_limit_exceeded");
    assert_eq!(harness.provider.call_count("submit"), 10);
}

fn timed_out<T>() -> Reply<T> {
    fails(ProviderError::Timeout("timed out".to_owned()))
}

#[tokio::test(start_paused = true)]
async fn submission_with_unknown_outcome_fails_the_job() {
    let (harness, job) = run_job(FakeProvider::default().with_submits([timed_out()])).await;
    assert_eq!(failure(&job).0, "outcome_unknown");
    assert_eq!(harness.provider.call_count("submit"), 1);
}

#[tokio::test(start_paused = true)]
async fn submission_with_unknown_outcome_is_retried_under_the_same_key_if_the_provider_is_idempotent() {
    let provider = FakeProvider::default().submits_idempotently().with_submits([timed_out(), unavailable()]);
    let (harness, job) = run_job(provider).await;
    assert_eq!(job.state.phase(), Phase::Succeeded);
    assert_eq!(harness.provider.call_count(&format!("submit {}", job.id)), 3);
}

fn unknown_status<T>() -> Reply<T> {
    fails(ProviderError::Unreadable("status `simmering`".to_owned()))
}

#[tokio::test(start_paused = true)]
async fn polling_continues_after_failed_polls() {
    let polls = [working(30), unknown_status(), unavailable(), working(50), unknown_status()];
    let (harness, job) = run_job(FakeProvider::default().with_polls(polls)).await;
    assert_eq!(job.state.phase(), Phase::Succeeded);
    assert_eq!(harness.provider.call_count("poll"), 6);
}

#[tokio::test(start_paused = true)]
async fn job_whose_polls_fail_until_the_deadline_fails_and_its_render_is_cancelled() {
    let polls = std::iter::once(working(30)).chain((0..500).map(|_| unknown_status()));
    let harness = Harness::new(FakeProvider::default().with_polls(polls));
    let start = tokio::time::Instant::now();
    let id = harness.create().await;
    let _runner = harness.start();
    let job = harness.outcome(&id).await;
    assert_eq!((failure(&job).0, job.state.percent()), ("deadline_exceeded", 30));
    assert_eq!(start.elapsed(), harness.jobs.settings.deadline);
    harness.provider.wait_for_calls("cancel task of", 1).await;
}

/// Ends the runner during the first call with this prefix, and starts another one after the deadline of the job. Returns the end
/// of the job.
async fn outage_beyond_the_deadline(provider: FakeProvider, call: &str) -> (Harness, Job) {
    let harness = Harness::new(provider);
    let id = harness.create().await;
    let runner = harness.start();
    harness.provider.wait_for_calls(call, 1).await;
    drop(runner);
    tokio::time::advance(harness.jobs.settings.deadline * 2).await;
    let _runner = harness.start();
    let job = harness.outcome(&id).await;
    (harness, job)
}

#[tokio::test(start_paused = true)]
async fn render_that_was_finished_during_an_outage_beyond_the_deadline_is_stored() {
    let (harness, job) = outage_beyond_the_deadline(FakeProvider::default().with_polls([Reply::Hang]), "poll").await;
    assert_eq!(job.state.phase(), Phase::Succeeded);
    assert_eq!((harness.provider.call_count("submit"), harness.provider.call_count("poll")), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn copy_that_an_outage_beyond_the_deadline_interrupted_is_repeated() {
    let (harness, job) = outage_beyond_the_deadline(FakeProvider::default().with_fetches([Reply::Hang]), "fetch").await;
    assert_eq!(job.state.phase(), Phase::Succeeded);
    assert_eq!(harness.provider.call_count("submit"), 1);
}

#[tokio::test(start_paused = true)]
async fn render_in_progress_after_an_outage_beyond_the_deadline_fails_and_is_cancelled() {
    let polls = [Reply::Hang, working(40)];
    let (harness, job) = outage_beyond_the_deadline(FakeProvider::default().with_polls(polls), "poll").await;
    assert_eq!(failure(&job).0, "deadline_exceeded");
    harness.provider.wait_for_calls("cancel task of", 1).await;
}

#[tokio::test(start_paused = true)]
async fn copy_of_a_render_that_is_finished_shortly_before_the_deadline_has_time_of_its_own() {
    let deadline = Duration::from_secs(30);
    let settings = JobSettings { deadline, ..JobSettings::default() };
    let finished_after = Duration::from_secs(20);
    let working = Reply::Return(Ok(Progress::Working { percent: None, poll_after: finished_after }));
    let provider = FakeProvider::default().with_polls([working]).with_fetches([Reply::Hang]);
    let harness = Harness::with_store(Arc::new(MemoryStore::new(Clock::tokio())), provider, settings);
    let start = tokio::time::Instant::now();
    let id = harness.create().await;
    let _runner = harness.start();
    assert_eq!(failure(&harness.outcome(&id).await).0, "deadline_exceeded");
    // The copy may take as long as a whole job, because that is less than ten minutes. The rest is the delay of the first poll.
    let time = start.elapsed().saturating_sub(finished_after + deadline);
    assert!(!time.is_zero() && time < Duration::from_secs(1), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn failed_render_fails_the_job_at_its_last_progress() {
    let broken = Reply::Return(Ok(Progress::Failed(ProviderError::unavailable("out of film".to_owned()))));
    let (_, job) = run_job(FakeProvider::default().with_polls([working(60), broken])).await;
    assert_eq!((failure(&job), job.state.percent()), (("upstream_unavailable", "out of film"), 60));
}

#[tokio::test(start_paused = true)]
async fn refused_download_fails_the_job_and_leaves_no_file() {
    let gone = fails(ProviderError::Refused { message: "the link has expired".to_owned(), field: None });
    let harness = Harness::new(FakeProvider::default().with_fetches([Reply::Return(Ok("clip".into())), gone]));
    let id = harness.create().await;
    let runner = harness.start();
    assert_eq!(failure(&harness.outcome(&id).await), ("upstream_refused", "the link has expired"));
    runner.stop(Duration::from_secs(5)).await;
    assert_eq!(harness.files(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn polling_continues_after_panics_of_the_provider() {
    let polls = [Reply::Panic, working(10), Reply::Panic];
    let (_, job) = run_job(FakeProvider::default().with_polls(polls)).await;
    assert_eq!(job.state.phase(), Phase::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn repeated_panics_of_the_provider_fail_the_job() {
    let (_, job) = run_job(FakeProvider::default().with_polls((0..50).map(|_| Reply::Panic))).await;
    assert_eq!(failure(&job).0, "internal");
}

#[tokio::test(start_paused = true)]
async fn panic_during_a_submission_fails_with_outcome_unknown() {
    let (harness, job) = run_job(FakeProvider::default().with_submits([Reply::Panic])).await;
    assert_eq!(failure(&job).0, "outcome_unknown");
    assert_eq!(harness.provider.call_count("submit"), 1);
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
async fn expired_job_is_removed_with_its_files() {
    let retention = Some(Duration::from_hours(24));
    let settings = JobSettings { retention, ..JobSettings::default() };
    let harness = Harness::with_store(Arc::new(MemoryStore::new(Clock::tokio())), FakeProvider::default(), settings);
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
