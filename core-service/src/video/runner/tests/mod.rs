//! The guarantees of the job state machine and its runner.

mod cancellation;
mod clock;
mod crash;
mod endings;
mod interleavings;
mod lost;
mod outages;
mod progress;
mod provider_errors;
mod slots;
mod unreadable;

use super::*;
use crate::{
    context::RequestContext,
    error::ProviderError,
    keys::Owners,
    live::Live,
    video::{
        job::{Job, JobId},
        jobs::JobSettings,
        provider::UpstreamTask,
        state::{JobState, Phase},
        testing::{FakeProvider, Harness, Reply, fails, follow, request, unavailable, working},
    },
};

/// Runs one job with this provider to its final state, and returns the job in it.
async fn run_job(provider: FakeProvider) -> (Harness, Job) {
    let harness = Harness::new(provider);
    let id = harness.create().await;
    let _runner = harness.start();
    let job = harness.outcome(&id).await;
    (harness, job)
}

/// Returns the error code and message of a failed job.
fn failure(job: &Job) -> (&str, &str) {
    let JobState::Failed { code, message, .. } = &job.state else { panic!("not failed: {:?}", job.state) };
    (code, message)
}
