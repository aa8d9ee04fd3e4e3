//! The laws of the job machine, each with a test that its breach would fail.

mod crash;
mod ending;
mod way;

use super::*;
use crate::{
    error::ProviderError,
    video::{
        job::{Job, JobId},
        scripted::{Act, Scripted, Stage, away, fails, follow, order, working},
        state::{JobState, Phase},
    },
};

fn failure(job: &Job) -> (&str, &str) {
    let JobState::Failed { code, message, .. } = &job.state else { panic!("not failed but {:?}", job.state) };
    (code, message)
}
