//! Submissions whose response is lost: the render is searched for, the submission is sent again, or the outcome is unknown.

use super::*;
use crate::video::{UpstreamTask, provider::Search};

fn timed_out() -> Reply<UpstreamTask> {
    fails(ProviderError::Timeout("timed out".to_owned()))
}

fn found(task: &str) -> Reply<Search> {
    Reply::Return(Ok(Search::Found(UpstreamTask(task.to_owned()))))
}

fn absent() -> Reply<Search> {
    Reply::Return(Ok(Search::Absent))
}

#[tokio::test(start_paused = true)]
async fn job_continues_with_the_render_that_a_search_finds() {
    let provider = FakeProvider::default().with_submits([timed_out()]).with_searches([absent(), found("found")]);
    let (harness, job) = run_job(provider).await;
    assert_eq!(job.state.phase(), Phase::Succeeded);
    let calls = |prefix: &str| harness.provider.call_count(prefix);
    assert_eq!((calls("submit"), calls(&format!("find {}", job.id)), calls("poll found")), (1, 2, 1));
}

#[tokio::test(start_paused = true)]
async fn submission_is_sent_again_after_the_provider_lists_no_render_three_times() {
    let start = tokio::time::Instant::now();
    let provider = FakeProvider::default().with_submits([timed_out()]).with_searches([absent(), absent(), absent()]);
    let (harness, job) = run_job(provider).await;
    assert_eq!(job.state.phase(), Phase::Succeeded);
    assert_eq!((harness.provider.call_count("submit"), harness.provider.call_count("find")), (2, 3));
    // The searches are 20 s apart.
    assert!(start.elapsed() >= Duration::from_secs(40), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn search_is_repeated_through_failures_of_the_provider() {
    let searches = [unavailable(), fails(ProviderError::Credentials("expired".to_owned())), found("found")];
    let (_, job) = run_job(FakeProvider::default().with_submits([timed_out()]).with_searches(searches)).await;
    assert_eq!(job.state.phase(), Phase::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn outcome_is_unknown_if_the_provider_cannot_search() {
    let (harness, job) = run_job(FakeProvider::default().with_submits([timed_out()])).await;
    let (code, message) = failure(&job);
    assert_eq!((code, harness.provider.call_count("submit")), ("outcome_unknown", 1));
    assert!(message.starts_with("timed out; whether there is a render is unknown"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn outcome_is_unknown_if_no_search_succeeds_until_the_deadline() {
    let searches = (0..500).map(|_| unavailable());
    let (harness, job) = run_job(FakeProvider::default().with_submits([timed_out()]).with_searches(searches)).await;
    assert_eq!((failure(&job).0, harness.provider.call_count("submit")), ("outcome_unknown", 1));
}

#[tokio::test(start_paused = true)]
async fn render_of_another_job_is_not_taken_for_that_of_a_lost_submission() {
    // The second job's search returns the render of the first.
    let twin = Reply::Return(Ok(UpstreamTask("twin".to_owned())));
    let provider = FakeProvider::default().with_submits([twin, timed_out()]).with_searches([found("twin")]);
    let harness = Harness::new(provider);
    let _runner = harness.start();
    let first = harness.create().await;
    assert_eq!(harness.outcome(&first).await.state.phase(), Phase::Succeeded);
    let second = harness.create().await;
    assert_eq!(failure(&harness.outcome(&second).await).0, "outcome_unknown");
}
