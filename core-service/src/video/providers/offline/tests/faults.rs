//! How a job ends with each of the fault models.

use super::*;
use crate::video::{store::memory::MemoryStore, time::Clock};

/// The duration of each video in seconds.
const VIDEO_SECONDS: u32 = 1;

/// Returns the code of a failed job, or the name of its state, and its progress in percent.
fn ending(job: &Job) -> (String, u8) {
    let name = if let JobState::Failed { code, .. } = &job.state { code } else { job.state.phase().as_str() };
    (name.to_owned(), job.state.percent())
}

#[tokio::test]
async fn job_with_each_fault_has_its_documented_ending() {
    let directory = tempfile::tempdir().unwrap();
    let settings = JobSettings { deadline: Duration::from_secs(50), ..JobSettings::default() };
    let service = service(directory.path(), settings).await;
    // The code or state of the job, and its last progress in percent.
    let cases = [
        // The render may fail before a poll has seen it that far.
        (Fault::RenderFails, "upstream_unavailable", 0..=Fault::RENDER_FAILS_AT),
        (Fault::RateLimited, "succeeded", 100..=100),
        (Fault::Refused, "content_policy_violation", 0..=0),
        (Fault::LinkExpired, "upstream_unreadable", 99..=99),
        (Fault::LinkRenewed, "succeeded", 100..=100),
        (Fault::SubmissionLost, "succeeded", 100..=100),
        (Fault::OutcomeUnknown, "outcome_unknown", 0..=0),
        (Fault::StateUnknown, "succeeded", 100..=100),
        (Fault::RenderMissing, "succeeded", 100..=100),
        (Fault::RenderGone, "upstream_lost", 0..=0),
    ];
    let ended = cases.clone().map(|(fault, ..)| outcome(&service, job_request(&fault.model(MODEL), VIDEO_SECONDS)));
    let ended = futures_util::future::join_all(ended).await;
    for ((fault, expected, percent), job) in cases.into_iter().zip(ended) {
        let (name, reached) = ending(&job);
        assert_eq!(name, expected, "{fault:?}");
        assert!(percent.contains(&reached), "{fault:?}: {reached}");
    }
}

#[tokio::test]
async fn stuck_fault_ends_at_the_deadline() {
    let directory = tempfile::tempdir().unwrap();
    let settings = JobSettings { deadline: Duration::from_millis(900), ..JobSettings::default() };
    let service = service(directory.path(), settings).await;
    let job = outcome(&service, job_request(&Fault::RenderStuck.model(MODEL), VIDEO_SECONDS)).await;
    assert_eq!(ending(&job), ("deadline_exceeded".to_owned(), Fault::RENDER_STUCK_AT));
}

#[tokio::test]
async fn slow_copy_ends_at_the_deadline() {
    let directory = tempfile::tempdir().unwrap();
    let settings = JobSettings { deadline: Duration::from_secs(3), ..JobSettings::default() };
    let service = service(directory.path(), settings).await;
    let job = outcome(&service, job_request(&Fault::SlowCopy.model(MODEL), VIDEO_SECONDS)).await;
    // 99 % is the progress from the end of the render until all files are stored.
    assert_eq!(ending(&job), ("deadline_exceeded".to_owned(), 99));
}

// On tokio's clock, because the minimum rate is measured over a minute. `MemoryStore` runs on that clock, a database does not.
#[tokio::test(start_paused = true)]
async fn slow_copy_is_repeated_after_a_minute() {
    let directory = tempfile::tempdir().unwrap();
    let queue: Arc<dyn JobQueue> = Arc::new(MemoryStore::new(Clock::tokio()));
    let service = service_with_store(directory.path(), JobSettings::default(), queue);
    let start = tokio::time::Instant::now();
    let job = outcome(&service, job_request(&Fault::SlowCopy.model(MODEL), VIDEO_SECONDS)).await;
    assert_eq!(ending(&job), ("succeeded".to_owned(), 100));
    assert!(start.elapsed() >= Duration::from_mins(1), "{:?}", start.elapsed());
}
