//! Submissions whose response was lost: the provider may have started a render, or not. A second submission could be billed twice,
//! so the render is searched for at the provider first.

use std::time::Duration;

use super::{
    clean_up::RenderEnd,
    step::{MAX_SUBMISSIONS, Next, Step, StepError},
};
use crate::{
    error::{ProviderError, codes},
    video::{
        job::{Job, SUBMISSION_TIME},
        provider::{LostSubmission, Search, UpstreamTask, VideoProvider},
        state::{Event, JobState},
        store::{AfterCommit, StoreError},
        time::Timestamp,
    },
};

/// How often a provider must list no render of a submission before the submission is sent again. Lists may lag behind.
const MAX_SEARCHES: u32 = 3;

/// The interval between two searches.
const SEARCH_INTERVAL: Duration = Duration::from_secs(20);

impl Step {
    /// Looks for the render at the provider. The job continues with it, is queued again, or fails with `outcome_unknown`; `why`
    /// is the beginning of that message.
    pub(super) async fn search(&mut self, provider: &dyn VideoProvider, why: &str) -> Result<Next, StepError> {
        let lost = self.lost_submission();
        let context = self.call_context();
        match self.bounded(provider.find(&lost, &context)).await? {
            Ok(Search::Found(task)) if self.is_of_another_job(&task).await? => self.outcome_unknown(why).await,
            Ok(Search::Found(task)) => {
                tracing::info!(task = task.0, "found the render of a submission whose response was lost");
                self.commit_accepted(task).await
            }
            Ok(Search::Absent) => self.absent(why).await,
            Ok(Search::Inconclusive) => self.outcome_unknown(why).await,
            Err(error) if error.is_transient() || matches!(error.failure(), ProviderError::Credentials(_)) => {
                self.retry_after(&error, error.retry_after()).await
            }
            Err(error) => {
                tracing::warn!("the search for a lost submission failed: {error}");
                self.outcome_unknown(why).await
            }
        }
    }

    /// Counts a search that found no render. After [`MAX_SEARCHES`] of them, the submission counts as never received, and is sent again.
    async fn absent(&mut self, why: &str) -> Result<Next, StepError> {
        let next = self.after(Event::NotFound)?;
        let is_certain = matches!(next.state, JobState::Submitting { searches, .. } if searches >= MAX_SEARCHES);
        if !is_certain {
            return self.yield_for(next, SEARCH_INTERVAL).await;
        }
        if next.submissions >= MAX_SUBMISSIONS {
            return self.outcome_unknown(why).await;
        }
        tracing::warn!("the provider has no render of a lost submission, which is sent again");
        let next = self.after(Event::SubmissionRejected)?;
        self.yield_for(next, Duration::ZERO).await
    }

    /// Fails the job, because nothing can tell whether its submission started a render.
    pub(super) async fn outcome_unknown(&mut self, why: &str) -> Result<Next, StepError> {
        let message =
            format!("{why}; whether there is a render is unknown, and a second submission could be billed twice");
        self.fail(codes::OUTCOME_UNKNOWN, message, None).await
    }

    /// Looks for a render that the submission of a cancelled job started. Returns the next step, or whether a render
    /// may be billed.
    pub(super) async fn resolve_submission(&mut self, since: Timestamp) -> Result<RenderEnd, StepError> {
        let until = since.after(SUBMISSION_TIME);
        if self.now() < until {
            // The response may still arrive, here or at another node.
            let next = Job { due_at: Some(until), ..self.claim.job.clone() };
            self.commit(next, AfterCommit::ReleaseLease).await?;
            return Ok(RenderEnd::Later(Next::Yield));
        }
        let Some(provider) = self.provider() else { return Ok(RenderEnd::Ended { billed: true }) };
        let lost = self.lost_submission();
        let context = self.call_context();
        match self.bounded(provider.find(&lost, &context)).await? {
            Ok(Search::Found(task)) if self.is_of_another_job(&task).await? => Ok(RenderEnd::Ended { billed: true }),
            Ok(Search::Found(task)) => {
                let next = self.claim.job.with_abandoned(task, self.now());
                self.commit(next, AfterCommit::KeepLease).await?;
                Ok(RenderEnd::Later(Next::Continue))
            }
            Ok(Search::Absent) => Ok(RenderEnd::Ended { billed: false }),
            Ok(Search::Inconclusive) => Ok(RenderEnd::Ended { billed: true }),
            Err(error) if self.may_retry_clean_up(&error) => Ok(RenderEnd::Later(self.clean_up_later(&error).await?)),
            Err(error) => {
                tracing::warn!("the search for the render of a cancelled job failed: {error}");
                Ok(RenderEnd::Ended { billed: true })
            }
        }
    }

    /// Returns whether the render belongs to another job: a provider that searches by the parameters can find the render of an
    /// equal request.
    async fn is_of_another_job(&self, task: &UpstreamTask) -> Result<bool, StepError> {
        let Job { id, request, .. } = &self.claim.job;
        Ok(self.shared.queue.has_render(&request.provider_id, task, id).await?)
    }

    fn lost_submission(&self) -> LostSubmission {
        let Job { id, request, state, created_at, .. } = &self.claim.job;
        let Timestamp(millis) = state.submission().unwrap_or(*created_at);
        LostSubmission {
            job_id: id.to_string(),
            model: request.upstream_model.clone(),
            parameters: request.parameters.clone(),
            submitted_at: u64::try_from(millis / 1000).unwrap_or_default(),
        }
    }

    /// Records an accepted render that could not be committed under the lease: the job was cancelled meanwhile, the lease was
    /// lost, or the database is unavailable. Retries until the deadline of the job.
    pub(super) async fn record(&self, task: &UpstreamTask) {
        let mut failures = 0;
        loop {
            match self.try_record(task).await {
                Ok(()) => return,
                Err(StoreError::Stale) => {}
                Err(error) if self.now() < self.claim.job.deadline_at => {
                    failures += 1;
                    tracing::error!(
                        task = task.0,
                        "an accepted render could not be recorded and will be retried: {error}"
                    );
                    tokio::time::sleep(super::delays::back_off(failures)).await;
                }
                Err(error) => {
                    tracing::error!(task = task.0, "an accepted render could not be recorded: {error}");
                    return;
                }
            }
        }
    }

    async fn try_record(&self, task: &UpstreamTask) -> Result<(), StoreError> {
        let queue = &self.shared.queue;
        let (now, job) = (self.now(), queue.read(&self.claim.job.id).await?);
        let Some(job) = job else {
            tracing::error!(task = task.0, "the job of an accepted render no longer exists");
            return Ok(());
        };
        let next = match &job.state {
            JobState::Submitting { .. } => {
                let next = job.after(Event::Accepted(task.clone(), now), now).map_err(|_| StoreError::Stale)?;
                Job { failures: 0, ..next }
            }
            JobState::Cancelled { .. } | JobState::Failed { .. } if job.abandoned.is_none() => {
                job.with_abandoned(task.clone(), now)
            }
            state @ (JobState::Queued
            | JobState::Rendering { .. }
            | JobState::Storing { .. }
            | JobState::Succeeded { .. }
            | JobState::Failed { .. }
            | JobState::Cancelled { .. }) => {
                if state.task() != Some(task) {
                    tracing::error!(task = task.0, "a render was accepted, but its job is {}", state.phase());
                }
                return Ok(());
            }
        };
        queue.amend(&job, &next).await
    }
}
