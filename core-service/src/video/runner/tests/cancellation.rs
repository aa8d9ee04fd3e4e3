//! Jobs that a caller cancels or deletes.

use super::*;
use crate::{
    database::Database,
    error::Error,
    video::{Cancellation, Search, UpstreamTask, store::sql::SqlStore},
};

#[tokio::test(start_paused = true)]
async fn cancellation_during_a_render_cancels_the_job_at_once_and_the_render_at_the_provider() {
    let harness = Harness::new(FakeProvider::default().with_polls([working(20), Reply::Hang]));
    let id = harness.create().await;
    let _runner = harness.start();
    harness.provider.wait_for_calls("poll", 2).await;
    let cancelled = harness.jobs.cancel(id.as_str(), &Owners::All).await.unwrap();
    assert_eq!(cancelled.state, JobState::Cancelled { percent: 20, submission: None, may_be_billed: false });
    harness.provider.wait_for_calls(&format!("cancel task of {id}"), 1).await;
    assert_eq!(harness.outcome(&id).await.state, cancelled.state);
}

#[tokio::test(start_paused = true)]
async fn second_cancellation_returns_the_cancelled_job_unchanged() {
    let harness = Harness::new(FakeProvider::default());
    let id = harness.create().await;
    let cancelled = harness.jobs.cancel(id.as_str(), &Owners::All).await.unwrap();
    assert_eq!(harness.jobs.cancel(id.as_str(), &Owners::All).await.unwrap().state, cancelled.state);
}

#[tokio::test(start_paused = true)]
async fn cancellation_during_a_submission_cancels_the_render_after_its_acceptance() {
    let (go, gate) = tokio::sync::watch::channel(false);
    let harness =
        Harness::new(FakeProvider::default().with_submits([Reply::Gated(gate, UpstreamTask("late".to_owned()))]));
    let id = harness.create().await;
    let _runner = harness.start();
    harness.provider.wait_for_calls("submit", 1).await;
    harness.jobs.cancel(id.as_str(), &Owners::All).await.unwrap();
    go.send(true).unwrap();
    harness.provider.wait_for_calls("cancel late", 1).await;
    assert_eq!(harness.outcome(&id).await.state.phase(), Phase::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn cancellation_after_a_repeated_submission_stops_the_render_of_the_last_one() {
    let submits = [unavailable(), Reply::Return(Ok(UpstreamTask("second".to_owned())))];
    let harness = Harness::new(FakeProvider::default().with_submits(submits).with_polls([Reply::Hang]));
    let id = harness.create().await;
    let _runner = harness.start();
    harness.provider.wait_for_calls("poll second", 1).await;
    harness.jobs.cancel(id.as_str(), &Owners::All).await.unwrap();
    harness.provider.wait_for_calls("cancel second", 1).await;
    assert_eq!((harness.provider.call_count("submit"), harness.provider.call_count("cancel")), (2, 1));
}

/// Cancels a job during its submission, whose response never arrives because the runner crashes, and starts another runner.
async fn cancel_and_crash_during_submission(searches: impl IntoIterator<Item = Reply<Search>>) -> (Harness, Job) {
    let provider = FakeProvider::default().with_submits([Reply::Hang]).with_searches(searches);
    let harness = Harness::new(provider);
    let id = harness.create().await;
    let crashed = harness.start();
    harness.provider.wait_for_calls("submit", 1).await;
    let cancelled = harness.jobs.cancel(id.as_str(), &Owners::All).await.unwrap();
    assert!(cancelled.state.unresolved_submission().is_some());
    drop(crashed);
    let runner = harness.start();
    harness.provider.wait_for_calls("find", 1).await;
    runner.stop(Duration::from_secs(5)).await;
    let job = harness.jobs.get(id.as_str(), &Owners::All).await.unwrap();
    (harness, job)
}

#[tokio::test(start_paused = true)]
async fn cancellation_during_a_submission_survives_a_crash_and_stops_the_render_that_is_found() {
    let found = Reply::Return(Ok(Search::Found(UpstreamTask("found".to_owned()))));
    let (harness, job) = cancel_and_crash_during_submission([found]).await;
    assert_eq!(harness.provider.call_count("cancel found"), 1);
    assert_eq!(job.state, JobState::Cancelled { percent: 0, submission: None, may_be_billed: false });
}

#[tokio::test(start_paused = true)]
async fn cancelled_job_may_be_billed_if_the_provider_cannot_search_for_its_render() {
    let (_, job) = cancel_and_crash_during_submission([]).await;
    assert_eq!(job.state, JobState::Cancelled { percent: 0, submission: None, may_be_billed: true });
}

#[tokio::test(start_paused = true)]
async fn cancelled_job_may_be_billed_if_the_provider_cannot_stop_its_render() {
    let still_running = Reply::Return(Ok(Cancellation::StillRunning));
    let provider = FakeProvider::default().with_polls([working(20), Reply::Hang]).with_cancellations([still_running]);
    let harness = Harness::new(provider);
    let id = harness.create().await;
    let runner = harness.start();
    harness.provider.wait_for_calls("poll", 2).await;
    harness.jobs.cancel(id.as_str(), &Owners::All).await.unwrap();
    harness.provider.wait_for_calls("cancel", 1).await;
    runner.stop(Duration::from_secs(5)).await;
    let job = harness.jobs.get(id.as_str(), &Owners::All).await.unwrap();
    assert_eq!(job.state, JobState::Cancelled { percent: 20, submission: None, may_be_billed: true });
}

#[tokio::test(start_paused = true)]
async fn failed_polls_do_not_reduce_the_attempts_to_cancel_the_render() {
    let provider = FakeProvider::default()
        .with_polls((0..7).map(|_| unavailable()).chain([Reply::Hang]))
        .with_cancellations((0..7).map(|_| unavailable()));
    let harness = Harness::new(provider);
    let id = harness.create().await;
    let _runner = harness.start();
    harness.provider.wait_for_calls("poll", 8).await;
    harness.jobs.cancel(id.as_str(), &Owners::All).await.unwrap();
    // The eighth attempt is the last one that `step.rs` makes.
    harness.provider.wait_for_calls("cancel", 8).await;
}

#[tokio::test(start_paused = true)]
async fn deletion_during_a_submission_keeps_the_row_until_the_render_is_cancelled() {
    let (go, gate) = tokio::sync::watch::channel(false);
    let submission = Reply::Gated(gate, UpstreamTask("late".to_owned()));
    let harness = Harness::new(FakeProvider::default().with_submits([submission]));
    let id = harness.create().await;
    let runner = harness.start();
    harness.provider.wait_for_calls("submit", 1).await;
    harness.jobs.delete(id.as_str(), &Owners::All).await.unwrap();
    assert!(harness.queue.read(&id).await.unwrap().is_some());
    go.send(true).unwrap();
    harness.provider.wait_for_calls("cancel late", 1).await;
    runner.stop(Duration::from_secs(5)).await;
    assert_eq!(harness.queue.read(&id).await.unwrap(), None);
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

/// Deletes a job at the second provider call with this prefix. The render must be cancelled, and neither files nor a row
/// may remain.
async fn assert_deletion_leaves_nothing(call: &str, provider: FakeProvider) {
    let harness = Harness::new(provider);
    let id = harness.create().await;
    let runner = harness.start();
    harness.provider.wait_for_calls(call, 2).await;
    harness.jobs.delete(id.as_str(), &Owners::All).await.unwrap();
    let not_found = Err(Error::VideoNotFound(id.to_string()));
    assert_eq!(harness.jobs.get(id.as_str(), &Owners::All).await, not_found);
    assert_eq!(harness.jobs.delete(id.as_str(), &Owners::All).await.map(|_| ()), not_found.map(|_| ()));
    harness.provider.wait_for_calls(&format!("cancel task of {id}"), 1).await;
    runner.stop(Duration::from_secs(5)).await;
    assert_eq!(harness.files(), [""; 0]);
    assert_eq!(
        harness.queue.next_due(&crate::video::store::BusyProviders::default()).await.unwrap(),
        None,
        "the row is removed"
    );
}

#[tokio::test(start_paused = true)]
async fn deletion_during_a_render_cancels_the_render_and_removes_the_job() {
    assert_deletion_leaves_nothing("poll", FakeProvider::default().with_polls([working(20), Reply::Hang])).await;
}

#[tokio::test(start_paused = true)]
async fn deletion_during_a_copy_cancels_the_render_and_removes_the_copied_files() {
    let fetches = [Reply::Return(Ok("clip".into())), Reply::Hang];
    assert_deletion_leaves_nothing("fetch", FakeProvider::default().with_fetches(fetches)).await;
}

/// The second store of the database is that of another node. A background task, which the test replaces, publishes the changes of others.
#[tokio::test]
async fn cancellation_at_another_node_interrupts_the_step() {
    let directory = tempfile::tempdir().unwrap();
    let open = async || SqlStore::new(Database::open(&directory.path().join("jobs.sqlite")).await.unwrap());
    let (store, other) = (Arc::new(open().await), Arc::new(open().await));
    let provider = FakeProvider::default().with_polls([working(20), Reply::Hang]);
    let harness = Harness::with_store(store.clone(), provider, JobSettings::default());
    let id = harness.create().await;
    let _runner = harness.start();
    harness.provider.wait_for_calls("poll", 2).await;
    let other = Harness::with_store(other, FakeProvider::default(), JobSettings::default());
    other.jobs.cancel(id.as_str(), &Owners::All).await.unwrap();
    store.publish_changes_of_other_nodes().await.unwrap();
    harness.provider.wait_for_calls(&format!("cancel task of {id}"), 1).await;
}
