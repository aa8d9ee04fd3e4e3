//! Jobs that have reached their deadline (`jobs.deadline`) before a final state.

use std::time::Duration;

use super::step::{Next, Step, StepError};
use crate::{
    error::codes,
    video::{
        provider::{Progress, UpstreamTask},
        state::JobState,
        time::Timestamp,
    },
};

/// The minimum time for the copy of a finished render. The render is paid for, so the job does not fail only because it was finished late.
const COPY_TIME: Duration = Duration::from_mins(10);

impl Step {
    /// Returns the deadline of a copy that starts now: after [`COPY_TIME`], or after the time for a whole job if that is shorter.
    pub(super) fn copy_deadline(&self) -> Timestamp {
        self.now().after(COPY_TIME.min(self.shared.jobs.settings.deadline))
    }

    /// Polls a render for the last time, and fails the job if it is not finished. A render may have finished while no process was
    /// running, so the job is not failed without a poll.
    pub(super) async fn at_deadline(&mut self) -> Result<Next, StepError> {
        match self.claim.job.state.clone() {
            JobState::Submitting { .. } => {
                self.outcome_unknown("the outcome of the submission could not be determined in time").await
            }
            JobState::Rendering { task, .. } => self.last_poll(&task).await,
            // No attempt has failed: the process ended during the first one. `failures` = 1 grants the copy this time only once.
            JobState::Storing { .. } if self.claim.job.failures == 0 => {
                let mut next = self.claim.job.clone();
                next.failures = 1;
                next.deadline_at = self.copy_deadline();
                self.yield_for(next, Duration::ZERO).await
            }
            JobState::Storing { .. }
            | JobState::Queued
            | JobState::Succeeded { .. }
            | JobState::Failed { .. }
            | JobState::Cancelled { .. } => self.deadline_exceeded().await,
        }
    }

    async fn last_poll(&mut self, task: &UpstreamTask) -> Result<Next, StepError> {
        let Some(provider) = self.provider() else { return self.deadline_exceeded().await };
        let context = self.call_context();
        match self.bounded(provider.poll(task, &context)).await? {
            Ok(Progress::Ready(clip)) => self.commit_rendered(clip).await,
            Ok(Progress::Failed(error)) => self.fail_with(&error).await,
            Ok(Progress::Working { .. } | Progress::Missing | Progress::Cancelled) => self.deadline_exceeded().await,
            Err(error) => {
                tracing::warn!("the last poll of a render failed: {error}");
                self.deadline_exceeded().await
            }
        }
    }

    async fn deadline_exceeded(&mut self) -> Result<Next, StepError> {
        let allowed = self.shared.jobs.settings.deadline.as_secs();
        self.give_up(codes::DEADLINE_EXCEEDED, format!("the video was not finished within {allowed} seconds")).await
    }
}
