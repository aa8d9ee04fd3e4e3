//! A clock that is set forwards and backwards by hours while jobs are queued, rendered and copied.

use std::sync::atomic::{AtomicI64, Ordering};

use super::*;
use crate::{
    database::Database,
    video::{
        provider::Progress,
        store::{JobQueue, memory::MemoryStore, sql::SqlStore},
        time::{Clock, Timestamp},
    },
};

/// How far the clock is set: beyond every deadline and lease.
const HOURS: Duration = Duration::from_hours(5);

/// A clock that follows tokio's, with an offset in milliseconds that a test sets.
fn clock() -> (Clock, Arc<AtomicI64>) {
    let (start, base) = (tokio::time::Instant::now(), Timestamp(1_800_000_000_000));
    let offset = Arc::new(AtomicI64::new(0));
    let read = Arc::clone(&offset);
    let now = move || {
        let Timestamp(millis) = base.after(start.elapsed());
        Timestamp(millis + read.load(Ordering::SeqCst))
    };
    (Clock::from_fn(now), offset)
}

fn shift(offset: &AtomicI64, by: Duration, forwards: bool) {
    let millis = i64::try_from(by.as_millis()).unwrap();
    offset.fetch_add(if forwards { millis } else { -millis }, Ordering::SeqCst);
}

/// A harness whose clock a test sets.
fn harness(provider: FakeProvider) -> (Harness, Arc<AtomicI64>) {
    let (clock, offset) = clock();
    (Harness::with_store(Arc::new(MemoryStore::new(clock)), provider, JobSettings::default()), offset)
}

fn never_ready() -> FakeProvider {
    let progress = || Progress::Working { percent: Some(10), poll_after: Duration::from_secs(5) };
    FakeProvider::default().with_polls((0..1000).map(|_| Reply::Return(Ok(progress()))))
}

#[tokio::test(start_paused = true)]
async fn queued_job_is_submitted_once_after_the_clock_was_set() {
    for forwards in [true, false] {
        let (harness, offset) = harness(FakeProvider::default().with_slots(1));
        let slot = harness.provider.slots.clone().unwrap().acquire_owned().await.unwrap();
        let id = harness.create().await;
        let _runner = harness.start();
        tokio::time::sleep(Duration::from_secs(3)).await;
        shift(&offset, HOURS, forwards);
        drop(slot);
        let start = tokio::time::Instant::now();
        assert_eq!(harness.outcome(&id).await.state.phase(), Phase::Succeeded, "forwards: {forwards}");
        assert_eq!(harness.provider.call_count("submit"), 1);
        assert!(start.elapsed() < Duration::from_secs(30), "forwards: {forwards}: {:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn submission_in_progress_is_not_repeated_when_the_clock_is_set() {
    for forwards in [true, false] {
        let (open, gate) = tokio::sync::watch::channel(false);
        let task = UpstreamTask("slow task".to_owned());
        let (harness, offset) = harness(FakeProvider::default().with_submits([Reply::Gated(gate, task)]));
        let id = harness.create().await;
        let _runner = harness.start();
        harness.provider.wait_for_calls("submit", 1).await;
        shift(&offset, HOURS, forwards);
        // Long enough for several renewals of the lease.
        tokio::time::sleep(Duration::from_secs(40)).await;
        open.send(true).unwrap();
        let job = harness.outcome(&id).await;
        // Set forwards, the clock has passed the deadline of the job. A job is polled once more before it fails, and that poll finds the
        // render finished.
        assert_eq!(job.state.phase(), Phase::Succeeded, "forwards: {forwards}: {:?}", job.state);
        assert_eq!(harness.provider.call_count("submit"), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn render_is_polled_on_after_the_clock_was_set_back_and_ends_at_its_deadline() {
    let (harness, offset) = harness(never_ready());
    let start = tokio::time::Instant::now();
    let id = harness.create().await;
    let _runner = harness.start();
    harness.provider.wait_for_calls("poll", 3).await;
    shift(&offset, HOURS, false);
    let set_back = tokio::time::Instant::now();
    harness.provider.wait_for_calls("poll", 5).await;
    assert!(set_back.elapsed() < Duration::from_secs(20), "{:?}", set_back.elapsed());
    let job = harness.outcome(&id).await;
    assert_eq!((failure(&job).0, harness.provider.call_count("submit")), ("deadline_exceeded", 1));
    let allowed = harness.jobs.settings.deadline + Duration::from_mins(1);
    assert!(start.elapsed() < allowed, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn copy_in_progress_is_completed_when_the_clock_is_set() {
    for forwards in [true, false] {
        let (open, gate) = tokio::sync::watch::channel(false);
        let fetch = Reply::Gated(gate, bytes::Bytes::from_static(b"clip"));
        let (harness, offset) = harness(FakeProvider::default().with_fetches([fetch]));
        let id = harness.create().await;
        let _runner = harness.start();
        harness.provider.wait_for_calls("fetch", 1).await;
        shift(&offset, HOURS, forwards);
        tokio::time::sleep(Duration::from_secs(40)).await;
        open.send(true).unwrap();
        assert_eq!(harness.outcome(&id).await.state.phase(), Phase::Succeeded, "forwards: {forwards}");
        assert_eq!(harness.provider.call_count("fetch video"), 1);
    }
}

/// A process claims a job and is killed; then the clock is set back. A second process takes the job over from the same database file.
#[tokio::test]
async fn job_of_a_killed_process_is_taken_over_after_the_clock_was_set_back() {
    let directory = tempfile::tempdir().unwrap();
    let open = async |clock| {
        let database = Database::open(&directory.path().join("jobs.db")).await.unwrap();
        Arc::new(SqlStore::with_clock(database, clock))
    };
    let settings = JobSettings { lease: Duration::from_millis(300), ..JobSettings::default() };
    let (clock, offset) = clock();
    let before = Harness::with_store(open(clock.clone()).await, never_ready(), settings.clone());
    let id = before.create().await;
    let runner = before.start();
    before.provider.wait_for_calls("poll", 1).await;
    // Like a kill: the lease is not released.
    drop(runner);
    shift(&offset, HOURS, false);
    let store: Arc<dyn JobQueue> = open(clock).await;
    let after = Harness::with_store(store, FakeProvider::default(), settings);
    let _runner = after.start();
    assert_eq!(after.outcome(&id).await.state.phase(), Phase::Succeeded);
    assert_eq!((before.provider.call_count("submit"), after.provider.call_count("submit")), (1, 0));
}
