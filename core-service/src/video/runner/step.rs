//! The work on a claimed job: one step after the other (submit, poll, copy, clean up) until the job has to wait, a step fails, or
//! the work is interrupted. The steps themselves are in the sibling files.

use std::{convert::Infallible, fmt::Display, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use triptych_proto::{error_info::reason_code, v1::ErrorReason};

use super::{
    delays,
    parked::Parked,
    shared::{Shared, StepStart},
};
use crate::{
    error::{ProviderError, codes},
    failpoint::Failpoint,
    video::{
        job::{Job, JobId},
        provider::{Slot, UpstreamTask, VideoProvider},
        state::{Event, JobState},
        store::{AfterCommit, Change, ChangeKind, Claim, JobChanges, StoreError, WorkerId},
        time::Timestamp,
    },
};

/// The maximum number of submissions of a job, the first included.
pub(super) const MAX_SUBMISSIONS: u32 = 10;

/// A panic fails the job after this number of consecutive failures.
const MAX_PANICS: u32 = 5;

/// How often a commit is attempted before the database counts as unavailable. A task id that is not committed is lost.
const COMMIT_ATTEMPTS: u32 = 6;

/// The work on a claimed job.
pub(super) struct Step {
    pub(super) shared: Arc<Shared>,
    pub(super) claim: Claim,
    /// The job was amended by a caller, or the runner is stopping.
    pub(super) interrupted: CancellationToken,
    /// The reserved slot of the render to start.
    pub(super) slot: Slot,
    /// A render that the provider accepted, until it is committed. Without it the render would be lost.
    pub(super) unrecorded: Option<UpstreamTask>,
}

/// Why a step ends early.
#[derive(Debug)]
pub(super) enum StepError {
    /// A caller amended the job (cancelled or deleted it), or another worker has it.
    Stale,
    /// The step was interrupted.
    Interrupted,
    /// The database is unavailable.
    Store(StoreError),
}

/// What follows a step.
pub(super) enum Next {
    /// Another step of the same claim.
    Continue,
    /// Nothing: the job was released.
    Yield,
    /// A poll at this time. The job stays claimed.
    Park(Timestamp),
}

/// The state of a claim after its steps.
pub(super) enum ClaimEnd {
    /// The job was released.
    Released,
    /// The job must be released.
    Release(Claim),
    /// The job stays claimed for its next poll.
    Park(Parked),
}

/// The end of the steps of a claim.
pub(super) struct Ended {
    pub(super) id: JobId,
    /// The worker that had the job.
    pub(super) worker: WorkerId,
    pub(super) claim: ClaimEnd,
}

/// Runs the steps of a claimed job, as long as the lease of this worker is not lost. Handles all errors and panics of the steps.
pub(super) async fn run(
    shared: Arc<Shared>,
    worker: WorkerId,
    lost: CancellationToken,
    claim: Claim,
    reservation: StepStart,
) -> Ended {
    let StepStart { slot, active: _active } = reservation;
    let interrupted = shared.interrupt.child_token();
    let changes = shared.queue.changes_of(&claim.job.id);
    let Job { id: job_id, state, submissions, failures, .. } = &claim.job;
    let job_id = job_id.clone();
    let span = tracing::info_span!("video job", job.id = %job_id, job.state = %state.phase(), submissions, failures);
    let amended = interrupt_when_amended(changes, &claim.job, interrupted.clone());
    let step = Step { shared, claim, interrupted, slot, unrecorded: None };
    let work = async {
        tokio::select! {
            end = step.run_until_lost(lost) => end,
            never = amended => match never {},
        }
    };
    let claim = work.instrument(span).await;
    Ended { id: job_id, worker, claim }
}

/// Interrupts the step of a claimed job as soon as a caller cancels or deletes the job, at this node or at another one. Never returns.
fn interrupt_when_amended(
    mut changes: JobChanges,
    claimed: &Job,
    interrupted: CancellationToken,
) -> impl Future<Output = Infallible> + use<> {
    let was_withdrawn = claimed.is_withdrawn();
    // Another node may have changed the job between its claim and the subscription.
    let mut change = changes.newest().filter(|change| change.job.revision > claimed.revision);
    async move {
        loop {
            if let Some(Change { job, kind }) = change {
                match kind {
                    ChangeKind::Amended => interrupted.cancel(),
                    ChangeKind::Observed if !was_withdrawn && job.is_withdrawn() => interrupted.cancel(),
                    ChangeKind::Created | ChangeKind::Committed | ChangeKind::Observed => {}
                }
            }
            change = Some(changes.next().await);
        }
    }
}

impl Step {
    /// Runs the steps of the job. Handles panics and logs failures of the store.
    async fn run_until_lost(mut self, lost: CancellationToken) -> ClaimEnd {
        let ended = tokio::select! {
            ended = AssertUnwindSafe(self.steps()).catch_unwind() => ended,
            // Another worker may already have the job.
            () = lost.cancelled() => Ok(Err(StepError::Stale)),
        };
        if let Some(task) = self.unrecorded.take() {
            Box::pin(self.record(&task)).await;
        }
        match ended {
            Ok(Ok(Some(due))) => ClaimEnd::Park(Parked { claim: self.claim, due }),
            Ok(Ok(None)) => ClaimEnd::Released,
            Ok(Err(StepError::Stale | StepError::Interrupted)) => ClaimEnd::Release(self.claim),
            Ok(Err(StepError::Store(error))) => {
                tracing::error!("a step was not completed: {error}");
                ClaimEnd::Release(self.claim)
            }
            Err(_) => Box::pin(self.handle_panic()).await,
        }
    }

    /// Returns when the next poll is due, if the job stays claimed for it.
    async fn steps(&mut self) -> Result<Option<Timestamp>, StepError> {
        loop {
            match self.next().await? {
                Next::Continue => {}
                Next::Yield => return Ok(None),
                Next::Park(due) => return Ok(Some(due)),
            }
        }
    }

    /// Runs the next step, which the state and the deadline of the job decide.
    async fn next(&mut self) -> Result<Next, StepError> {
        let now = self.now();
        let deadline = self.shared.jobs.settings.deadline;
        let job = &mut self.claim.job;
        if job.state == JobState::Queued && job.submissions == 0 {
            // The wait for a worker and a slot does not count.
            job.deadline_at = now.after(deadline);
        }
        // The deadline is later only if the clock was set back.
        job.deadline_at = job.deadline_at.min(now.after(deadline));
        let job = &self.claim.job;
        if job.deleted || job.state.is_final() && job.expires_at.is_some_and(|expires| expires <= now) {
            return Box::pin(self.purge()).await;
        }
        if job.state.is_final() {
            return Box::pin(self.clean_up()).await;
        }
        if job.deadline_at <= now {
            return Box::pin(self.at_deadline()).await;
        }
        let Some(provider) = self.provider() else {
            let id = &job.request.provider_id;
            return self.give_up(codes::PROVIDER_GONE, format!("the provider `{id}` is no longer configured")).await;
        };
        // Polls are by far the most frequent steps. Boxed, the others do not make each of them move a large future.
        match job.state.clone() {
            JobState::Rendering { task, .. } => self.poll(&*provider, &task).await,
            JobState::Queued => Box::pin(self.submit(&*provider)).await,
            JobState::Submitting { .. } => Box::pin(self.resubmit(&*provider)).await,
            JobState::Storing { task, clip, renewals } => Box::pin(self.copy(&*provider, &task, &clip, renewals)).await,
            JobState::Succeeded { .. } | JobState::Failed { .. } | JobState::Cancelled { .. } => {
                Box::pin(self.clean_up()).await
            }
        }
    }

    pub(super) fn provider(&self) -> Option<Arc<dyn VideoProvider>> {
        let models = self.shared.models.load();
        models.provider(&self.claim.job.request.provider_id).map(|model| Arc::clone(&model.provider))
    }

    pub(super) fn now(&self) -> Timestamp {
        self.shared.queue.now()
    }

    /// Returns the job after an event that its state allows.
    pub(super) fn after(&self, event: Event) -> Result<Job, StepError> {
        // The event was derived from the claim; only a concurrent change could make it illegal.
        self.claim.job.after(event, self.now()).map_err(|_| StepError::Stale)
    }

    /// Commits the job, and keeps or releases it.
    pub(super) async fn commit(&mut self, next: Job, then: AfterCommit) -> Result<(), StepError> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.shared.queue.commit(&self.claim, next.clone(), then).await {
                Ok(claim) => {
                    self.claim = claim;
                    return Ok(());
                }
                Err(StoreError::Stale) => return Err(StepError::Stale),
                Err(error) if attempts == COMMIT_ATTEMPTS => return Err(StepError::Store(error)),
                Err(error) => {
                    tracing::warn!("a commit failed and will be retried: {error}");
                    sleep(delays::back_off(attempts) / 4).await;
                }
            }
        }
    }

    /// Releases the job, which is due again after `delay`, or at its deadline if that is earlier.
    pub(super) async fn yield_for(&mut self, mut next: Job, delay: Duration) -> Result<Next, StepError> {
        next.due_at = Some(self.now().after(delay).min(next.deadline_at));
        self.commit(next, AfterCommit::ReleaseLease).await?;
        Ok(Next::Yield)
    }

    /// Schedules a retry of the step, as long as the deadline allows.
    pub(super) async fn retry_later(&mut self, why: &(dyn Display + Sync)) -> Result<Next, StepError> {
        self.retry_after(why, None).await
    }

    /// As [`retry_later`](Self::retry_later), after the delay that the provider requested, if any.
    pub(super) async fn retry_after(
        &mut self,
        why: &(dyn Display + Sync),
        requested: Option<Duration>,
    ) -> Result<Next, StepError> {
        let mut next = self.claim.job.clone();
        next.failures += 1;
        tracing::warn!(failures = next.failures, "a step failed and will be retried: {why}");
        let delay = delays::after_failure(requested, next.failures);
        self.yield_for(next, delay).await
    }

    /// Fails the job with the error of its provider.
    pub(super) async fn fail_with(&mut self, error: &ProviderError) -> Result<Next, StepError> {
        // During the copy, the provider has the result, which is no longer needed there.
        let copying = matches!(self.claim.job.state, JobState::Storing { .. });
        let task = self.claim.job.state.active_task().filter(|_| copying).cloned();
        self.fail(&reason_code(error.reason()), error.to_string(), task).await
    }

    /// Fails the job for a reason of this service; the render at the provider is stopped afterwards.
    pub(super) async fn give_up(&mut self, code: &str, message: String) -> Result<Next, StepError> {
        let task = self.claim.job.state.active_task().cloned();
        self.fail(code, message, task).await
    }

    /// Fails the job with an error code. `abandoned` is a render that is stopped afterwards.
    pub(super) async fn fail(
        &mut self,
        code: &str,
        message: String,
        abandoned: Option<UpstreamTask>,
    ) -> Result<Next, StepError> {
        tracing::warn!(code, "a video job failed: {message}");
        let mut next = self.after(Event::Failed { code: code.to_owned(), message })?;
        next.abandoned = abandoned;
        self.finish(next).await
    }

    /// Commits a final state.
    pub(super) async fn finish(&mut self, mut next: Job) -> Result<Next, StepError> {
        next.failures = 0;
        next.expires_at = self.shared.jobs.settings.retention.map(|kept| self.now().after(kept));
        next.due_at = next.due_when_final();
        let must_clean_up = next.abandoned.is_some();
        self.commit(next, if must_clean_up { AfterCommit::KeepLease } else { AfterCommit::ReleaseLease }).await?;
        Failpoint::JobFinished.reach();
        Ok(if must_clean_up { Next::Continue } else { Next::Yield })
    }

    /// Counts a panic as a failure. During a submission, the next attempt finds `Submitting` and treats it as a crash.
    async fn handle_panic(mut self) -> ClaimEnd {
        tracing::error!("a step panicked");
        let job = &self.claim.job;
        let ended = if job.state.is_final() {
            self.clean_up_later(&"a panic").await
        } else if job.failures >= MAX_PANICS {
            self.give_up(
                &reason_code(ErrorReason::Internal),
                "Internal server error; the log has the details".to_owned(),
            )
            .await
        } else {
            self.retry_later(&"a panic").await
        };
        if ended.is_ok() { ClaimEnd::Released } else { ClaimEnd::Release(self.claim) }
    }
}

impl From<StoreError> for StepError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Stale => Self::Stale,
            error @ (StoreError::KeyConflict(_)
            | StoreError::QueueFull { .. }
            | StoreError::InFlight(_)
            | StoreError::Budget(_)
            | StoreError::Unavailable(_)
            | StoreError::NotWritable(_)
            | StoreError::Corrupt { .. }) => Self::Store(error),
        }
    }
}
