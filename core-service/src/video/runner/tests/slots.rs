//! Providers with a limited number of renders in progress.

use super::*;
use crate::{
    keys::Caller,
    media::MediaKey,
    models::{Entry, Models},
    video::{
        UpstreamTask, VideoModel,
        inputs::{InputRole, InputSource, StoredInput},
        job::JobRequest,
        store::{BusyProviders, WorkerId, memory::MemoryStore},
        time::Clock,
    },
};

async fn create_for(harness: &Harness, owner: &str) -> JobId {
    let context = RequestContext { caller: Caller::named(owner), ..RequestContext::default() };
    harness.jobs.create(JobId::new(), request(), &context, None).await.unwrap().id
}

#[tokio::test(start_paused = true)]
async fn job_without_a_free_slot_stays_queued_and_its_deadline_starts_with_the_slot() {
    let provider = FakeProvider::default().with_slots(1).with_polls([Reply::Hang, working(40)]);
    let settings = JobSettings { deadline: Duration::from_secs(100), ..JobSettings::default() };
    let harness = Harness::with_store(Arc::new(MemoryStore::new(Clock::tokio())), provider, settings);
    let (first, second) = (harness.create().await, harness.create().await);
    let start = tokio::time::Instant::now();
    let _runner = harness.start();
    harness.provider.wait_for_calls("poll", 1).await;
    let waiting = harness.jobs.get(second.as_str(), &Owners::All).await.unwrap();
    assert_eq!((waiting.state, waiting.revision, waiting.submissions), (JobState::Queued, 1, 0));
    assert_eq!(failure(&harness.outcome(&first).await).0, "deadline_exceeded");
    assert!(start.elapsed() >= harness.jobs.settings.deadline, "{:?}", start.elapsed());
    assert_eq!(harness.outcome(&second).await.state.phase(), Phase::Succeeded);
    assert_eq!(harness.provider.call_count("submit"), 2);
}

#[tokio::test(start_paused = true)]
async fn queued_jobs_of_one_owner_do_not_keep_another_owner_from_the_next_slot() {
    let provider = FakeProvider::default().with_slots(1);
    let harness = Harness::new(provider);
    let mut of_alice = Vec::new();
    for _ in 0..50 {
        of_alice.push(create_for(&harness, "alice").await);
    }
    let of_bob = create_for(&harness, "bob").await;
    let _runner = harness.start();
    for id in of_alice.iter().chain([&of_bob]) {
        assert_eq!(harness.outcome(id).await.state.phase(), Phase::Succeeded);
    }
    let calls = harness.provider.calls.borrow().clone();
    let submits: Vec<_> = calls.iter().filter_map(|call| call.strip_prefix("submit ")).collect();
    assert_eq!(submits.len(), 51);
    assert!(submits[..2].contains(&of_bob.as_str()), "{submits:?}");
}

#[tokio::test(start_paused = true)]
async fn no_more_jobs_are_claimed_than_there_are_free_slots() {
    let harness = Harness::new(FakeProvider::default().with_slots(2).with_polls([Reply::Hang, Reply::Hang]));
    for _ in 0..10 {
        harness.create().await;
    }
    let _runner = harness.start();
    harness.provider.wait_for_calls("poll", 2).await;
    let worker = WorkerId::new();
    for _ in 0..8 {
        let claim = harness.queue.claim(&worker, &BusyProviders::default()).await.unwrap().unwrap();
        assert_eq!((claim.job.state, claim.fence), (JobState::Queued, 1), "the job was claimed before");
    }
}

#[tokio::test(start_paused = true)]
async fn failed_submission_releases_its_slot() {
    let provider = FakeProvider::default().with_slots(1).with_submits([unavailable()]);
    let harness = Harness::new(provider);
    let id = harness.create().await;
    let _runner = harness.start();
    assert_eq!(harness.outcome(&id).await.state.phase(), Phase::Succeeded);
    assert_eq!(harness.provider.call_count("submit"), 2);
}

#[tokio::test(start_paused = true)]
async fn stalled_submissions_of_one_provider_delay_neither_its_polls_nor_other_providers() {
    let (stalled, other) = (Arc::new(FakeProvider::default()), Arc::new(FakeProvider::default()));
    let harness = Harness::new(FakeProvider::default());
    let entry = |name: &str, provider: &Arc<FakeProvider>| Entry::<VideoModel> {
        provider_id: name.to_owned(),
        ..crate::video::testing::entry(name, provider)
    };
    let models = Live::new(Models::new(vec![entry("stalled", &stalled), entry("other", &other)]).unwrap());
    let harness = Harness { models, ..harness };
    let create = async |provider: &str| {
        let request = JobRequest { provider_id: provider.to_owned(), ..request() };
        harness.jobs.create(JobId::new(), request, &RequestContext::default(), None).await.unwrap().id
    };
    let rendering = create("stalled").await;
    let _runner = harness.start();
    stalled.polls.lock().unwrap().extend((0..9).map(|_| working(10)));
    stalled.wait_for_calls("poll", 1).await;
    stalled.submits.lock().unwrap().extend((0..50).map(|_| Reply::Hang));
    for _ in 0..50 {
        create("stalled").await;
    }
    // The submission of the render, and four others: half of `jobs.concurrency` may be in progress at once.
    stalled.wait_for_calls("submit", 5).await;
    let last = create("other").await;
    assert_eq!(harness.outcome(&last).await.state.phase(), Phase::Succeeded);
    assert_eq!(harness.outcome(&rendering).await.state.phase(), Phase::Succeeded);
    assert_eq!(stalled.call_count("submit"), 1 + JobSettings::default().concurrency / 2);
}

#[tokio::test(start_paused = true)]
async fn submissions_wait_for_memory_for_their_inputs() {
    let (go, gate) = tokio::sync::watch::channel(false);
    let first = Reply::Gated(gate, UpstreamTask("first".to_owned()));
    // Each submission reserves three times its input of 4 KiB, so the memory suffices for one at a time.
    let settings = JobSettings { input_memory_bytes: 16 << 10, ..JobSettings::default() };
    let store = Arc::new(MemoryStore::new(Clock::tokio()));
    let harness = Harness::with_store(store, FakeProvider::default().with_submits([first]), settings);
    let mut ids = Vec::new();
    for name in ["one.png", "two.png"] {
        harness.jobs.media_store.put(&MediaKey::parse(name).unwrap(), vec![0; 4 << 10]).await.unwrap();
        let mut with_input = request();
        let source = InputSource::Stored(name.to_owned());
        with_input.parameters.inputs = vec![StoredInput { role: InputRole::FirstFrame, source }];
        let job = harness.jobs.create(JobId::new(), with_input, &RequestContext::default(), None).await.unwrap();
        ids.push(job.id);
    }
    let _runner = harness.start();
    harness.provider.wait_for_calls("submit", 1).await;
    // A job without inputs needs no memory.
    let without = harness.create().await;
    assert_eq!(harness.outcome(&without).await.state.phase(), Phase::Succeeded);
    assert_eq!(harness.provider.call_count("submit"), 2);
    go.send(true).unwrap();
    for id in &ids {
        assert_eq!(harness.outcome(id).await.state.phase(), Phase::Succeeded);
    }
    assert_eq!(harness.provider.call_count("submit"), 3);
}
