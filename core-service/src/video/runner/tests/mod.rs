//! The guarantees of the job state machine and its runner.

mod crash;
mod endings;
mod progress;
mod slots;
mod unreadable;
mod upstream_answers;

use super::*;
use crate::{
    context::RequestContext,
    error::ProviderError,
    keys::Owners,
    live::Live,
    video::{
        job::{Job, JobId},
        jobs::JobSettings,
        state::{JobState, Phase},
        testing::{FakeProvider, Harness, Reply, fails, follow, request, unavailable, working},
    },
};

fn failure(job: &Job) -> (&str, &str) {
    let JobState::Failed { code, message, .. } = &job.state else { panic!("not failed: {:?}", job.state) };
    (code, message)
}
