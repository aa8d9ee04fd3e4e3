//! Jobs that succeed, from the creation to the stored video.

use futures_util::StreamExt;

use super::*;
use crate::{
    idempotency::Idempotency,
    media::MediaKey,
    video::{jobs::Jobs, provider::Progress, store::memory::MemoryStore, time::Clock},
};

#[tokio::test(start_paused = true)]
async fn job_succeeds_and_progress_never_decreases() {
    let polls = [working(0), working(40), working(10), working(100), working(60)];
    let harness = Harness::new(FakeProvider::default().with_polls(polls));
    let id = harness.create().await;
    let _runner = harness.start();
    let snapshots = harness.follow(&id).await;
    let percents: Vec<_> = snapshots.iter().map(|job| job.state.percent()).collect();
    assert!(percents.is_sorted(), "{percents:?}");
    assert!(snapshots.windows(2).all(|pair| pair[0].revision < pair[1].revision));
    assert_eq!(snapshots.last().unwrap().state.phase(), Phase::Succeeded);
    let count = |call| harness.provider.call_count(call);
    assert_eq!((count("submit"), count("poll"), count("cancel")), (1, 6, 0));
}

#[tokio::test(start_paused = true)]
async fn succeeded_job_has_its_files_and_the_task_of_the_provider_and_is_not_due() {
    let (harness, job) = run_job(FakeProvider::default()).await;
    let JobState::Succeeded { media, task, .. } = &job.state else { panic!("{job:?}") };
    assert_eq!(media.len(), 2);
    assert_eq!(task.as_ref().unwrap().0, format!("task of {}", job.id));
    assert_eq!(harness.files(), [format!("{}-thumbnail.jpg", job.id), format!("{}.mp4", job.id)]);
    assert_eq!(job.due_at, None);
}

#[tokio::test(start_paused = true)]
async fn submission_is_committed_before_the_request_is_sent() {
    let store: Arc<dyn crate::video::store::JobQueue> = Arc::new(MemoryStore::new(Clock::tokio()));
    let provider = FakeProvider { store: Some(Arc::clone(&store)), ..FakeProvider::default() };
    let harness = Harness::with_store(store, provider, JobSettings::default());
    let id = harness.create().await;
    let _runner = harness.start();
    harness.outcome(&id).await;
    assert_eq!(harness.provider.calls.borrow()[0], "committed submitting 1");
}

#[tokio::test(start_paused = true)]
async fn job_succeeds_only_after_its_files_are_stored() {
    let (go, gate) = tokio::sync::watch::channel(false);
    let harness = Harness::new(FakeProvider::default().with_fetches([Reply::Gated(gate, "clip".into())]));
    let id = harness.create().await;
    let _runner = harness.start();
    harness.provider.wait_for_calls("fetch", 1).await;
    assert_eq!(harness.wait_for_phase(&id, Phase::Storing).await.state.percent(), 99);
    go.send(true).unwrap();
    harness.outcome(&id).await;
    let key = MediaKey::parse(&format!("{id}.mp4")).unwrap();
    assert_eq!(harness.jobs.media_store.bytes(&key, 100).await.unwrap(), "clip");
}

#[tokio::test(start_paused = true)]
async fn failed_fetch_is_retried_and_overwrites_the_same_files() {
    let harness = Harness::new(FakeProvider::default().with_fetches([Reply::Return(Ok("half".into())), unavailable()]));
    let id = harness.create().await;
    let _runner = harness.start();
    assert_eq!(harness.outcome(&id).await.state.phase(), Phase::Succeeded);
    assert_eq!(harness.files().len(), 2);
    let key = MediaKey::parse(&format!("{id}.mp4")).unwrap();
    assert_eq!(harness.jobs.media_store.bytes(&key, 100).await.unwrap(), "video");
}

#[tokio::test(start_paused = true)]
async fn poll_interval_follows_the_provider() {
    let recommends =
        |seconds| Reply::Return(Ok(Progress::Working { percent: None, poll_after: Duration::from_secs(seconds) }));
    let harness = Harness::new(FakeProvider::default().with_polls([recommends(20), recommends(30)]));
    let start = tokio::time::Instant::now();
    let id = harness.create().await;
    let _runner = harness.start();
    harness.outcome(&id).await;
    let elapsed = start.elapsed();
    assert!((50..52).contains(&elapsed.as_secs()), "{elapsed:?}");
}

#[tokio::test(start_paused = true)]
async fn job_created_while_the_runner_is_idle_is_claimed_at_once() {
    let harness = Harness::new(FakeProvider::default());
    let _runner = harness.start();
    tokio::time::advance(Duration::from_secs(1)).await;
    let start = tokio::time::Instant::now();
    harness.create().await;
    harness.provider.wait_for_calls("submit", 1).await;
    assert!(start.elapsed() < Duration::from_millis(10), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn submissions_in_progress_are_limited_to_half_of_the_concurrency() {
    let harness = Harness::new(FakeProvider::default().with_submits((0..40).map(|_| Reply::Hang)));
    for _ in 0..40 {
        harness.create().await;
    }
    let _runner = harness.start();
    let limit = harness.jobs.settings.concurrency / 2;
    harness.provider.wait_for_calls("submit", limit).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(harness.provider.call_count("submit"), limit);
}

#[tokio::test(start_paused = true)]
async fn every_watcher_receives_the_final_state_and_unsubscribes() {
    let store = Arc::new(MemoryStore::new(Clock::tokio()));
    let provider = FakeProvider::default().with_polls((1..90).map(working));
    let harness = Harness::with_store(store.clone(), provider, JobSettings::default());
    let id = harness.create().await;
    let watchers: Vec<_> = (0..5)
        .map(|_| {
            let (jobs, id) = (harness.jobs.clone(), id.clone());
            tokio::spawn(async move { follow(&jobs, &id).await })
        })
        .collect();
    let runner = harness.start();
    for watcher in watchers {
        assert!(watcher.await.unwrap().last().unwrap().state.is_final());
    }
    assert_eq!(harness.follow(&id).await.len(), 1, "a final job has one snapshot");
    runner.stop(Duration::from_secs(1)).await;
    assert_eq!(store.subscribed_jobs(), 0);
}

#[tokio::test(start_paused = true)]
async fn watcher_sees_changes_of_another_node() {
    let store = MemoryStore::new(Clock::tokio());
    let other_node = Arc::new(store.other_node());
    let harness = Harness::with_store(Arc::new(store), FakeProvider::default(), JobSettings::default());
    let id = harness.create().await;
    let mut snapshots = std::pin::pin!(harness.jobs.watch(id.as_str(), &Owners::All).await.unwrap());
    snapshots.next().await.unwrap().unwrap();
    let other = Jobs::new(other_node, harness.jobs.media_store.clone(), harness.jobs.settings.clone());
    other.cancel(id.as_str(), &Owners::All).await.unwrap();
    assert_eq!(snapshots.next().await.unwrap().unwrap().state.phase(), Phase::Cancelled);
    assert!(snapshots.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn repeated_create_renders_once() {
    let harness = Harness::new(FakeProvider::default());
    let _runner = harness.start();
    let context = RequestContext { idempotency_key: "k".to_owned(), ..RequestContext::default() };
    // The message is only hashed: equal ones are the same request.
    let call = Idempotency::from_request(&context, "CreateVideo", &String::new()).await;
    let first = harness.jobs.create(JobId::new(), request(), &context, call.as_ref()).await.unwrap();
    harness.outcome(&first.id).await;
    let again = harness.jobs.create(JobId::new(), request(), &context, call.as_ref()).await.unwrap();
    assert_eq!((again.id, again.state.phase()), (first.id, Phase::Succeeded));
    assert_eq!(harness.files().len(), 2, "the files of the first job stay");
    assert_eq!(harness.provider.call_count("submit"), 1);
}

#[tokio::test(start_paused = true)]
async fn provider_calls_carry_the_context_of_the_create() {
    let harness = Harness::new(FakeProvider::default());
    let caller = crate::keys::Caller::named("alice");
    let context = RequestContext { request_id: "req_1".to_owned(), caller, ..RequestContext::default() };
    let job = harness.jobs.create(JobId::new(), request(), &context, None).await.unwrap();
    let _runner = harness.start();
    harness.outcome(&job.id).await;
    assert_eq!(harness.provider.call_count("context req_1 alice"), 1);
}
