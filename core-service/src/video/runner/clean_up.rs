//! The clean-up after final jobs: stops renders that are no longer needed, removes files, and removes jobs whose retention has ended.

use std::fmt::Display;

use super::{
    delays,
    step::{Next, Step, StepError},
};
use crate::{
    error::ProviderError,
    failpoint::Failpoint,
    video::{
        charge::{Charge, ChargeState},
        job::Job,
        provider::Cancellation,
        state::JobState,
        store::AfterCommit,
    },
};

/// The maximum number of requests to the provider to stop an abandoned render.
const CANCEL_ATTEMPTS: u32 = 8;

/// Whether the render of a final job is known to be stopped or finished.
pub(super) enum RenderEnd {
    /// Not yet; the job continues with this.
    Later(Next),
    /// Nothing more can be done about the render.
    Ended {
        /// Whether there may be a render, which is billed.
        billed: bool,
    },
}

impl Step {
    /// Stops the abandoned render of a final job and removes partial files.
    pub(super) async fn clean_up(&mut self) -> Result<Next, StepError> {
        let billed = match self.stop_renders().await? {
            RenderEnd::Later(next) => return Ok(next),
            RenderEnd::Ended { billed } => billed,
        };
        if !matches!(self.claim.job.state, JobState::Succeeded { .. })
            && let Err(error) = self.shared.jobs.remove_outputs(&self.claim.job.id).await
        {
            return self.clean_up_later(&error).await;
        }
        let job = self.claim.job.clone();
        let state = job.state.clone().cleaned_up(billed);
        // A new revision, because callers see that the render may be billed.
        let revision = job.revision + u64::from(billed && state != job.state);
        let mut next = Job { abandoned: None, failures: 0, state, revision, ..job };
        if billed {
            next.charge = next.charge.as_ref().map(Charge::billed);
        }
        next.due_at = next.due_when_final();
        self.commit(next, AfterCommit::ReleaseLease).await?;
        Ok(Next::Yield)
    }

    /// Removes a job with everything that belongs to it.
    pub(super) async fn purge(&mut self) -> Result<Next, StepError> {
        if !self.claim.job.deleted {
            // Callers must not see a job without its files.
            let next = self.claim.job.tombstoned(self.now(), None);
            self.commit(next, AfterCommit::KeepLease).await?;
        }
        let billed = match self.stop_renders().await? {
            RenderEnd::Later(next) => return Ok(next),
            RenderEnd::Ended { billed } => billed,
        };
        self.settle_removed(billed).await?;
        if let Err(error) = self.shared.jobs.remove_files(&self.claim.job).await {
            return self.clean_up_later(&error).await;
        }
        Failpoint::FilesRemoved.reach();
        self.shared.queue.purge(&self.claim).await.map_err(StepError::from)?;
        Ok(Next::Yield)
    }

    /// Settles the money of a job that is about to be removed.
    async fn settle_removed(&mut self, billed: bool) -> Result<(), StepError> {
        let job = self.claim.job.clone();
        let Some(charge) = job.charge.as_ref().filter(|charge| charge.state == ChargeState::Held) else {
            return Ok(());
        };
        let charge = if billed { charge.billed() } else { charge.clone() };
        let state = job.state.clone().cleaned_up(billed);
        self.commit(Job { abandoned: None, state, charge: Some(charge), ..job }, AfterCommit::KeepLease).await
    }

    /// Stops the abandoned render of a final job, or searches for one that its interrupted submission may have started.
    async fn stop_renders(&mut self) -> Result<RenderEnd, StepError> {
        let Some(task) = self.claim.job.abandoned.clone() else {
            return match self.claim.job.state.unresolved_submission() {
                Some(since) => self.resolve_submission(since).await,
                None => Ok(RenderEnd::Ended { billed: false }),
            };
        };
        let Some(provider) = self.provider() else { return Ok(RenderEnd::Ended { billed: true }) };
        let context = self.call_context();
        match self.bounded(provider.cancel(&task, &context)).await? {
            Ok(Cancellation::Stopped) => {
                Failpoint::RenderStopped.reach();
                Ok(RenderEnd::Ended { billed: false })
            }
            Ok(Cancellation::StillRunning) => {
                tracing::warn!(task = task.0, "the provider does not stop an abandoned render, which may be billed");
                Ok(RenderEnd::Ended { billed: true })
            }
            Err(error) if self.may_retry_clean_up(&error) => Ok(RenderEnd::Later(self.clean_up_later(&error).await?)),
            Err(error) => {
                tracing::warn!(task = task.0, "an abandoned render could not be stopped: {error}");
                Ok(RenderEnd::Ended { billed: true })
            }
        }
    }

    /// Returns whether a call about an abandoned render is repeated after this error.
    pub(super) fn may_retry_clean_up(&self, error: &ProviderError) -> bool {
        error.is_transient() && self.claim.job.failures + 1 < CANCEL_ATTEMPTS
    }

    /// As [`retry_later`](Self::retry_later), for final jobs, whose deadline no longer matters.
    pub(super) async fn clean_up_later(&mut self, why: &(dyn Display + Sync)) -> Result<Next, StepError> {
        let mut next = self.claim.job.clone();
        next.failures += 1;
        tracing::warn!(failures = next.failures, "the clean-up failed and will be retried: {why}");
        next.due_at = Some(self.now().after(delays::back_off(next.failures)));
        self.commit(next, AfterCommit::ReleaseLease).await?;
        Ok(Next::Yield)
    }
}
