//! The poll of a render, and what its result means for the job.

use std::time::Duration;

use super::{
    delays,
    step::{Next, Step, StepError},
};
use crate::{
    error::{ProviderError, codes},
    failpoint::Failpoint,
    video::{
        job::Job,
        provider::{Clip, Progress, UpstreamTask, Variant, VideoProvider},
        state::{Event, JobState},
        store::AfterCommit,
    },
};

/// How many polls in a row must find no such render before the job fails. Some servers do not find a new render for a moment,
/// and nodes of a cluster may disagree.
const MAX_MISSING: u32 = 3;

impl Step {
    /// Polls the render once. A render in progress is parked (stays claimed, in memory) until the next poll.
    pub(super) async fn poll(&mut self, provider: &dyn VideoProvider, task: &UpstreamTask) -> Result<Next, StepError> {
        let context = self.call_context();
        match self.bounded(provider.poll(task, &context)).await? {
            Ok(Progress::Working { percent, poll_after }) => {
                self.commit_progress(percent.unwrap_or_else(|| self.estimated_percent())).await?;
                let due = self.now().after(delays::poll_interval(poll_after));
                Ok(Next::Park(due.min(self.claim.job.deadline_at)))
            }
            Ok(Progress::Ready(clip)) => self.commit_rendered(clip).await,
            Ok(Progress::Missing) => self.count_missed_poll().await,
            Ok(Progress::Cancelled) => self.cancelled_upstream().await,
            Ok(Progress::Failed(error)) => self.fail_with(&error).await,
            Err(error) => self.poll_failed(&error).await,
        }
    }

    /// Commits the progress of the render, unless it is the same as before: most polls write nothing.
    async fn commit_progress(&mut self, reported: u8) -> Result<(), StepError> {
        let Job { state, failures, .. } = &self.claim.job;
        if matches!(state, JobState::Rendering { percent, missing: 0, .. } if *percent >= reported) && *failures == 0 {
            return Ok(());
        }
        let mut next = self.after(Event::Progressed(reported))?;
        next.failures = 0;
        self.commit(next, AfterCommit::KeepLease).await
    }

    /// Polls again while the result is being copied, because a link to it is no longer valid. `renewals` is how often that was
    /// done before.
    pub(super) async fn renew_links(
        &mut self,
        provider: &dyn VideoProvider,
        task: &UpstreamTask,
        renewals: u32,
    ) -> Result<Next, StepError> {
        let context = self.call_context();
        match self.bounded(provider.poll(task, &context)).await? {
            Ok(Progress::Ready(clip)) => self.commit_rendered(clip).await,
            // `failures` also counts the failed copies with the last link, of which there are at most `renewals`.
            Ok(Progress::Missing) if self.claim.job.failures + 1 < MAX_MISSING + renewals => {
                self.retry_later(&"the provider does not know the finished render").await
            }
            Ok(Progress::Missing) => self.lost_upstream().await,
            Ok(Progress::Cancelled) => self.cancelled_upstream().await,
            Ok(Progress::Failed(error)) => self.fail_with(&error).await,
            Ok(Progress::Working { .. }) => self.retry_later(&"the provider renders a finished video again").await,
            Err(error) => self.poll_failed(&error).await,
        }
    }

    /// Returns the progress of a render whose provider reports none.
    fn estimated_percent(&self) -> u8 {
        let elapsed = self.render_time().unwrap_or_default();
        self.shared.render_times.percent(&self.claim.job.request, elapsed)
    }

    /// Returns the time since the provider accepted the submission; `None` if it is not known, or the render has ended.
    fn render_time(&self) -> Option<Duration> {
        let JobState::Rendering { since, .. } = self.claim.job.state else { return None };
        since.map(|since| self.now().since(since))
    }

    /// Commits the finished render, so that its files are copied next. Fails the job unless the render has exactly one video.
    pub(super) async fn commit_rendered(&mut self, clip: Clip) -> Result<Next, StepError> {
        let videos = clip.files.iter().filter(|file| file.variant == Variant::Video).count();
        if videos != 1 {
            let error = ProviderError::Unreadable(format!("the provider finished with {videos} videos instead of one"));
            return self.fail_with(&error).await;
        }
        if let Some(took) = self.render_time() {
            self.shared.render_times.record(&self.claim.job.request, took);
        }
        Failpoint::RenderFinished.reach();
        let mut next = self.after(Event::Rendered(clip))?;
        next.failures = 0;
        next.deadline_at = next.deadline_at.max(self.copy_deadline());
        // Released, so that the copy is claimed as a step of its own: it counts against `jobs.concurrency`, a poll does not.
        self.yield_for(next, Duration::ZERO).await
    }

    /// Counts a poll that found no such render. Fails the job after [`MAX_MISSING`] of them in a row.
    async fn count_missed_poll(&mut self) -> Result<Next, StepError> {
        let mut next = self.after(Event::Missed)?;
        if matches!(next.state, JobState::Rendering { missing, .. } if missing >= MAX_MISSING) {
            return self.lost_upstream().await;
        }
        next.failures += 1;
        tracing::warn!("the provider does not know the render; it will be polled again");
        let delay = delays::back_off(next.failures);
        self.yield_for(next, delay).await
    }

    async fn lost_upstream(&mut self) -> Result<Next, StepError> {
        let message =
            "the provider no longer knows the render; it may have been restarted, or the render was deleted there";
        self.fail(codes::UPSTREAM_LOST, message.to_owned(), None).await
    }

    async fn cancelled_upstream(&mut self) -> Result<Next, StepError> {
        self.fail(codes::UPSTREAM_CANCELLED, "the render was cancelled at the provider".to_owned(), None).await
    }

    /// Fails the job if the provider refuses it, and retries after any other failure.
    async fn poll_failed(&mut self, error: &ProviderError) -> Result<Next, StepError> {
        match error.failure() {
            ProviderError::Refused { .. } | ProviderError::ContentPolicy(_) | ProviderError::NotSupported(_) => {
                self.fail_with(error).await
            }
            // A paid render is not given up over an error that may be temporary: credentials can be renewed, and an
            // unreadable response may be a status that is new.
            ProviderError::RateLimited { .. }
            | ProviderError::Credentials(_)
            | ProviderError::Timeout(_)
            | ProviderError::Unreachable(_)
            | ProviderError::Unavailable { .. }
            | ProviderError::Overloaded { .. }
            | ProviderError::Broken(_)
            | ProviderError::Reported { .. }
            | ProviderError::LinkExpired(_)
            | ProviderError::Unreadable(_) => {
                // The attempt was logged, with the error.
                self.retry_after(&"the provider could not be polled", error.retry_after()).await
            }
        }
    }
}
