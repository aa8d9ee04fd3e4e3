//! What is done under one lease: steps until the job rests, a failure that ends the lease, or an interruption.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{Runner, pace};
use crate::{
    error::ProviderError,
    video::{
        UpstreamTask, VideoProvider,
        job::Job,
        state::{Event, JobState},
        store::{Claim, Lease, StoreError},
        time::Timestamp,
    },
};

/// How often a step may panic before the job is given up.
const PANICS: u32 = 5;

/// How often a provider is asked to stop a render nobody waits for.
const CANCEL_TRIES: u32 = 8;

/// How often a move is written before the database is believed to be away. A task id that is not written is lost.
const COMMIT_TRIES: u32 = 6;

/// One lease at work.
pub(super) struct Step {
    pub(super) runner: Arc<Runner>,
    pub(super) claim: Claim,
    /// The job was changed from outside, or the runner is going down.
    pub(super) interrupted: CancellationToken,
}

/// Why a lease ends early.
#[derive(Debug)]
pub(super) enum Halt {
    /// Somebody else changed or took the job: it is theirs.
    Stale,
    /// The step was told to stop.
    Interrupted,
    /// The database is away. The lease is left to lapse, which paces the next try.
    Store(StoreError),
}

/// What a step left to do.
pub(super) enum Then {
    /// Another step follows under the same lease.
    Next,
    /// The lease was given back.
    Rest,
}

/// Does under this lease what the job wants. Whatever happens in a step, a panic included, ends here.
pub(super) async fn drive(runner: Arc<Runner>, claim: Claim) {
    let interrupted = runner.halt.child_token();
    let _under_way = runner.jobs.enter(&claim.job.id, interrupted.clone());
    let Job { id, state, attempt, .. } = &claim.job;
    let span = tracing::info_span!("video job", job.id = %id, job.state = %state.phase(), attempt);
    let mut step = Step { runner, claim, interrupted };
    step.guarded().instrument(span).await;
}

impl Step {
    async fn guarded(&mut self) {
        let heart = beat(Arc::clone(&self.runner), self.claim.clone());
        let ended = tokio::select! {
            ended = AssertUnwindSafe(self.run()).catch_unwind() => ended,
            // A step that lost its lease, or cannot hold it, must not go on: another may be at the same job already.
            lost = heart => Ok(Err(lost)),
        };
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(Halt::Stale | Halt::Interrupted)) => self.release().await,
            Ok(Err(Halt::Store(error))) => tracing::error!("a step was left undone: {error}"),
            Err(_) => self.panicked().await,
        }
    }

    async fn run(&mut self) -> Result<(), Halt> {
        while let Then::Next = self.next().await? {}
        Ok(())
    }

    async fn next(&mut self) -> Result<Then, Halt> {
        let (job, now) = (&self.claim.job, self.now());
        if job.deleted || job.state.is_final() && job.expires_at.is_some_and(|expires| expires <= now) {
            return self.purge().await;
        }
        if job.state.is_final() {
            return self.clean_up().await;
        }
        if job.deadline_at <= now {
            let allowed = job.deadline_at.since(job.created_at).as_secs();
            return self
                .give_up("deadline_exceeded", format!("the video was not finished within {allowed} seconds"))
                .await;
        }
        let Some(provider) = self.provider() else {
            let name = &job.order.provider;
            return self.give_up("provider_gone", format!("the provider `{name}` is no longer configured")).await;
        };
        match job.state.clone() {
            JobState::Queued => self.submit(&*provider).await,
            JobState::Submitting => self.submit_again(&*provider).await,
            JobState::Rendering { task, .. } => self.poll(&*provider, &task).await,
            JobState::Storing { clip, .. } => self.copy(&*provider, &clip).await,
            JobState::Succeeded { .. } | JobState::Failed { .. } | JobState::Cancelled { .. } => self.clean_up().await,
        }
    }

    pub(super) fn provider(&self) -> Option<Arc<dyn VideoProvider>> {
        self.runner.catalog.load().video.provider(&self.claim.job.order.provider).cloned()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.runner.jobs.clock.now()
    }

    /// The job after an event that its state is known to allow.
    pub(super) fn moved(&self, event: Event) -> Result<Job, Halt> {
        // The claim is what the event was derived from; only somebody else's move could make it illegal.
        self.claim.job.after(event, self.now()).map_err(|_| Halt::Stale)
    }

    /// Writes the job, shows it to whoever watches, and goes on under the same lease or gives it back.
    pub(super) async fn commit(&mut self, next: Job, then: Lease) -> Result<(), Halt> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.runner.jobs.store.commit(&self.claim, next.clone(), then).await {
                Ok(claim) => {
                    self.runner.jobs.watchers.publish(&claim.job);
                    self.claim = claim;
                    return Ok(());
                }
                Err(StoreError::Stale) => return Err(Halt::Stale),
                Err(error) if tries == COMMIT_TRIES => return Err(Halt::Store(error)),
                Err(error) => {
                    tracing::warn!("a move could not be written, trying again: {error}");
                    sleep(pace::back_off(tries) / 4).await;
                }
            }
        }
    }

    /// Gives the lease back until `wait` is over, or the deadline, whichever comes first.
    pub(super) async fn rest(&mut self, mut next: Job, wait: Duration) -> Result<Then, Halt> {
        next.due_at = Some(self.now().after(wait).min(next.deadline_at));
        self.commit(next, Lease::Ended).await?;
        Ok(Then::Rest)
    }

    /// Tries the same step again later, for as long as the deadline allows.
    pub(super) async fn try_later(&mut self, why: &(dyn std::fmt::Display + Sync)) -> Result<Then, Halt> {
        let mut next = self.claim.job.clone();
        next.attempt += 1;
        tracing::warn!(failures = next.attempt, "a step failed and will be tried again: {why}");
        let wait = pace::back_off(next.attempt);
        self.rest(next, wait).await
    }

    /// Ends the job because its provider did.
    pub(super) async fn refused(&mut self, error: &ProviderError) -> Result<Then, Halt> {
        let reason = error.reason().as_str_name().trim_start_matches("ERROR_REASON_").to_ascii_lowercase();
        // A clip that was being copied exists: the provider may drop it, and so may we what we have of it.
        let copied = matches!(self.claim.job.state, JobState::Storing { .. });
        let task = self.claim.job.state.task().filter(|_| copied).cloned();
        self.end(&reason, error.to_string(), task).await
    }

    /// Ends the job on our side; a render at the provider is stopped afterwards.
    pub(super) async fn give_up(&mut self, code: &str, message: String) -> Result<Then, Halt> {
        let task = self.claim.job.state.task().cloned();
        self.end(code, message, task).await
    }

    pub(super) async fn end(
        &mut self,
        code: &str,
        message: String,
        abandoned: Option<UpstreamTask>,
    ) -> Result<Then, Halt> {
        tracing::warn!(code, "a video job failed: {message}");
        let mut next = self.moved(Event::Failed { code: code.to_owned(), message })?;
        next.abandoned = abandoned;
        self.finish(next).await
    }

    /// Writes a final state, with what is left to do afterwards.
    pub(super) async fn finish(&mut self, mut next: Job) -> Result<Then, Halt> {
        next.attempt = 0;
        next.expires_at = self.runner.jobs.settings.retention.map(|kept| self.now().after(kept));
        next.due_at = next.rest();
        let more = next.abandoned.is_some();
        self.commit(next, if more { Lease::Kept } else { Lease::Ended }).await?;
        Ok(if more { Then::Next } else { Then::Rest })
    }

    /// Stops what an ended job left running, and removes what it left half copied.
    async fn clean_up(&mut self) -> Result<Then, Halt> {
        if let Some(later) = self.stop_render().await? {
            return Ok(later);
        }
        if !matches!(self.claim.job.state, JobState::Succeeded { .. })
            && let Err(error) = self.runner.jobs.remove_files(&self.claim.job, false).await
        {
            return self.try_cleaning_later(&error).await;
        }
        let mut next = Job { abandoned: None, attempt: 0, ..self.claim.job.clone() };
        next.due_at = next.rest();
        self.commit(next, Lease::Ended).await?;
        Ok(Then::Rest)
    }

    /// Removes a job with everything it has.
    async fn purge(&mut self) -> Result<Then, Halt> {
        if !self.claim.job.deleted {
            // Invisible before its files go.
            let next = self.claim.job.buried(self.now(), None);
            self.commit(next, Lease::Kept).await?;
        }
        if let Some(later) = self.stop_render().await? {
            return Ok(later);
        }
        if let Err(error) = self.runner.jobs.remove_files(&self.claim.job, true).await {
            return self.try_cleaning_later(&error).await;
        }
        self.runner.jobs.store.purge(&self.claim).await.map_err(Halt::from)?;
        Ok(Then::Rest)
    }

    /// `None` once the provider was told, or need not or cannot be.
    async fn stop_render(&mut self) -> Result<Option<Then>, Halt> {
        let (Some(task), Some(provider)) = (self.claim.job.abandoned.clone(), self.provider()) else { return Ok(None) };
        let told = self.bounded(provider.cancel(&task)).await?;
        match told {
            Ok(()) => Ok(None),
            Err(error) if error.is_transient() && self.claim.job.attempt + 1 < CANCEL_TRIES => {
                self.try_cleaning_later(&error).await.map(Some)
            }
            Err(error) => {
                tracing::warn!("a render nobody waits for could not be stopped: {error}");
                Ok(None)
            }
        }
    }

    /// As [`try_later`](Self::try_later), for jobs whose deadline is no longer of interest.
    async fn try_cleaning_later(&mut self, why: &(dyn std::fmt::Display + Sync)) -> Result<Then, Halt> {
        let mut next = self.claim.job.clone();
        next.attempt += 1;
        tracing::warn!(failures = next.attempt, "cleaning up will be tried again: {why}");
        next.due_at = Some(self.now().after(pace::back_off(next.attempt)));
        self.commit(next, Lease::Ended).await?;
        Ok(Then::Rest)
    }

    pub(super) async fn release(&self) {
        if let Err(error) = self.runner.jobs.store.release(&self.claim).await {
            tracing::warn!("a lease is left to lapse: {error}");
        }
    }

    /// A panic is a failed try. In mid-submit the next try finds `Submitting`, and treats it as the crash it was.
    async fn panicked(&mut self) {
        tracing::error!("a step panicked");
        let job = &self.claim.job;
        let ended = if job.state.is_final() {
            self.try_cleaning_later(&"a panic").await
        } else if job.attempt >= PANICS {
            self.give_up("internal", "the service failed at this video repeatedly; its log says how".to_owned()).await
        } else {
            self.try_later(&"a panic").await
        };
        if ended.is_err() {
            self.release().await;
        }
    }
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Stale => Self::Stale,
            error @ (StoreError::KeyConflict(_) | StoreError::Unavailable(_) | StoreError::Corrupt { .. }) => {
                Self::Store(error)
            }
        }
    }
}

/// Renews the lease three times in its life. Ends only when it is lost.
async fn beat(runner: Arc<Runner>, claim: Claim) -> Halt {
    let lease = runner.jobs.settings.lease;
    let mut held_until = runner.jobs.clock.now().after(lease);
    loop {
        sleep(lease / 3).await;
        let now = runner.jobs.clock.now();
        match runner.jobs.store.renew(&claim, now.after(lease)).await {
            Ok(()) => held_until = now.after(lease),
            Err(StoreError::Stale) => return Halt::Stale,
            Err(error) if held_until <= now => return Halt::Store(error),
            Err(error) => tracing::warn!("a lease could not be renewed, trying again: {error}"),
        }
    }
}
