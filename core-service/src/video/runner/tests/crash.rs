//! Crashes at each point of a job, on a real database file.
//!
//! A crash is simulated by dropping the runner during a provider call: the step is aborted, nothing more is written, and
//! the lease on the job remains. The next process is simulated by a second harness, with a provider, a media store and a
//! runner of its own, that opens the same database file. It continues the job when the lease has expired.

use std::path::Path;

use super::*;
use crate::{
    database::Database,
    models::Models,
    video::{
        provider::UpstreamTask,
        store::{BusyProviders, WorkerId, sql::SqlStore},
        time::Clock,
    },
};

/// The lease on a claimed job: after a crash, the next process has to wait that long before it can claim the job. Short,
/// because each test waits for it, but longer than a commit takes.
const LEASE: Duration = Duration::from_secs(1);

/// Opens the database in this directory with `LEASE`.
async fn harness(directory: &Path, provider: FakeProvider) -> Harness {
    harness_with_lease(directory, provider, LEASE).await
}

async fn harness_with_lease(directory: &Path, provider: FakeProvider, lease: Duration) -> Harness {
    let store = SqlStore::new(Database::open(&directory.join("jobs.db")).await.unwrap());
    let settings = JobSettings { lease, ..JobSettings::default() };
    Harness::with_store(Arc::new(store), provider, settings)
}

/// Runs a job with the provider `first`, crashes during the `times`th call with this prefix, restarts with the provider
/// `second`, and waits for the end of the job. Returns both harnesses, and the snapshots from the restart on.
async fn crash_and_restart(
    call: &str,
    times: usize,
    first: FakeProvider,
    second: FakeProvider,
) -> (Harness, Harness, Vec<Job>) {
    let directory = tempfile::tempdir().unwrap();
    let before = harness(directory.path(), first).await;
    let id = before.create().await;
    let runner = before.start();
    before.provider.wait_for_calls(call, times).await;
    drop(runner);
    let after = harness(directory.path(), second).await;
    let _runner = after.start();
    let snapshots = after.follow(&id).await;
    (before, after, snapshots)
}

#[tokio::test]
async fn crash_before_the_submission_submits_once() {
    let directory = tempfile::tempdir().unwrap();
    let id = harness(directory.path(), FakeProvider::default()).await.create().await;
    let after = harness(directory.path(), FakeProvider::default()).await;
    let _runner = after.start();
    assert_eq!(after.outcome(&id).await.state.phase(), Phase::Succeeded);
    assert_eq!(after.provider.call_count("submit"), 1);
}

#[tokio::test]
async fn crash_during_a_submission_fails_with_outcome_unknown() {
    let hangs = FakeProvider::default().with_submits([Reply::Hang]);
    let (_, after, snapshots) = crash_and_restart("submit", 1, hangs, FakeProvider::default()).await;
    assert_eq!(failure(snapshots.last().unwrap()).0, "outcome_unknown");
    assert_eq!(after.provider.call_count("submit"), 0);
}

#[tokio::test]
async fn crash_during_a_submission_to_an_idempotent_provider_resubmits_with_the_same_key() {
    let hangs = FakeProvider::default().submits_idempotently().with_submits([Reply::Hang]);
    let (before, after, snapshots) =
        crash_and_restart("submit", 1, hangs, FakeProvider::default().submits_idempotently()).await;
    let job = snapshots.last().unwrap();
    assert_eq!(job.state.phase(), Phase::Succeeded);
    let key = format!("submit {}", job.id);
    assert_eq!((before.provider.call_count(&key), after.provider.call_count(&key)), (1, 1));
}

#[tokio::test]
async fn crash_during_a_render_continues_polling_and_progress_never_decreases() {
    let hangs = FakeProvider::default().with_polls([working(50), Reply::Hang]);
    let again = FakeProvider::default().with_polls([working(5), working(70)]);
    let (before, after, snapshots) = crash_and_restart("poll", 2, hangs, again).await;
    let percents: Vec<_> = snapshots.iter().map(|job| job.state.percent()).collect();
    assert_eq!((percents.first(), percents.last()), (Some(&50), Some(&100)));
    assert!(percents.is_sorted(), "{percents:?}");
    assert_eq!((before.provider.call_count("submit"), after.provider.call_count("submit")), (1, 0));
}

#[tokio::test]
async fn crash_during_a_copy_copies_again_without_another_render() {
    let hangs = FakeProvider::default().with_fetches([Reply::Return(Ok("clip".into())), Reply::Hang]);
    let (before, after, snapshots) = crash_and_restart("fetch", 2, hangs, FakeProvider::default()).await;
    assert_eq!(snapshots.last().unwrap().state.phase(), Phase::Succeeded);
    assert_eq!((before.provider.call_count("submit"), after.provider.call_count("submit")), (1, 0));
    assert_eq!((after.provider.call_count("poll"), after.files().len()), (0, 2));
}

#[tokio::test]
async fn job_cancelled_after_a_crash_has_its_render_cancelled_after_the_restart() {
    let directory = tempfile::tempdir().unwrap();
    let before = harness(directory.path(), FakeProvider::default().with_polls([Reply::Hang])).await;
    let id = before.create().await;
    let runner = before.start();
    before.provider.wait_for_calls("poll", 1).await;
    drop(runner);
    before.jobs.cancel(id.as_str(), &Owners::All).await.unwrap();
    let after = harness(directory.path(), FakeProvider::default()).await;
    let _runner = after.start();
    after.provider.wait_for_calls(&format!("cancel task of {id}"), 1).await;
}

#[tokio::test]
async fn two_runners_submit_each_job_once() {
    const JOBS: usize = 40;
    let directory = tempfile::tempdir().unwrap();
    // Long enough for a slow disk: a lease that expires during a submission counts as a crash.
    let lease = JobSettings::default().lease;
    let one = harness_with_lease(directory.path(), FakeProvider::default(), lease).await;
    let other = harness_with_lease(directory.path(), FakeProvider::default(), lease).await;
    let mut ids = Vec::new();
    for _ in 0..JOBS {
        ids.push(one.create().await);
    }
    let _runners = (one.start(), other.start());
    for id in &ids {
        assert_eq!(one.outcome(id).await.state.phase(), Phase::Succeeded);
    }
    assert_eq!(one.provider.call_count("submit") + other.provider.call_count("submit"), JOBS);
    for id in &ids {
        let key = format!("submit {id}");
        assert_eq!(one.provider.call_count(&key) + other.provider.call_count(&key), 1);
    }
}

#[tokio::test]
async fn renewal_extends_the_lease_during_a_long_step() {
    let directory = tempfile::tempdir().unwrap();
    let (go, gate) = tokio::sync::watch::channel(false);
    let one =
        harness(directory.path(), FakeProvider::default().with_fetches([Reply::Gated(gate, "clip".into())])).await;
    let id = one.create().await;
    let _runner = one.start();
    one.provider.wait_for_calls("fetch", 1).await;
    let other = WorkerId::new();
    one.queue.register(&other, LEASE).await.unwrap();
    let start = Clock::system().now();
    while Clock::system().now().since(start) < 3 * LEASE {
        one.queue.renew(&other, LEASE).await.unwrap();
        assert_eq!(one.queue.claim(&other, &BusyProviders::default()).await.unwrap(), None);
    }
    go.send(true).unwrap();
    assert_eq!(one.outcome(&id).await.state.phase(), Phase::Succeeded);
}

#[tokio::test]
async fn stopped_runner_releases_its_leases() {
    let directory = tempfile::tempdir().unwrap();
    let before = harness(directory.path(), FakeProvider::default().with_polls([working(30), Reply::Hang])).await;
    let id = before.create().await;
    let runner = before.start();
    before.provider.wait_for_calls("poll", 2).await;
    runner.stop(Duration::ZERO).await;
    let claim = before.queue.claim(&WorkerId::new(), &BusyProviders::default()).await.unwrap();
    assert_eq!(claim.map(|claim| claim.job.id), Some(id));
}

#[tokio::test]
async fn stopped_runner_finishes_its_steps_and_claims_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let (go, gate) = tokio::sync::watch::channel(false);
    let task = UpstreamTask("t".to_owned());
    let before = harness(directory.path(), FakeProvider::default().with_submits([Reply::Gated(gate, task)])).await;
    let id = before.create().await;
    let runner = before.start();
    before.provider.wait_for_calls("submit", 1).await;
    let stopping = tokio::spawn(runner.stop(Duration::from_secs(30)));
    go.send(true).unwrap();
    stopping.await.unwrap();
    assert_eq!(before.jobs.get(id.as_str(), &Owners::All).await.unwrap().state.phase(), Phase::Rendering);
    assert_eq!(before.provider.call_count("poll"), 0);
}

#[tokio::test]
async fn provider_missing_after_a_restart_fails_the_job() {
    let directory = tempfile::tempdir().unwrap();
    let before = harness(directory.path(), FakeProvider::default().with_polls([Reply::Hang])).await;
    let id = before.create().await;
    let runner = before.start();
    before.provider.wait_for_calls("poll", 1).await;
    drop(runner);
    let mut after = harness(directory.path(), FakeProvider::default()).await;
    after.models = Live::new(Models::new(Vec::new()).unwrap());
    let _runner = after.start();
    assert_eq!(failure(&after.outcome(&id).await).0, "provider_gone");
}
