//! The submission of a job to its provider, which is the only step that can be billed.

use tokio::time::{sleep, timeout};

use super::{
    delays,
    provider_call::{PROVIDER_TIMEOUT, timed_out},
    step::{Next, Step, StepError},
};
use crate::{
    call::Call,
    error::{Error, ProviderError},
    keys::Owners,
    media::MediaKey,
    video::{
        provider::{Reference, RenderRequest, Slot, UpstreamTask, VideoProvider},
        state::Event,
        store::Lease,
    },
};

/// The maximum number of submissions of a job.
const MAX_SUBMISSIONS: u32 = 10;

/// How often the provider is asked to stop a render that it accepted after the job had ended.
const LATE_CANCEL_ATTEMPTS: u32 = 3;

/// The maximum size of a reference image, in bytes; larger ones are refused at creation.
const MAX_REFERENCE_BYTES: u64 = 64 << 20;

impl Step {
    pub(super) async fn submit(&mut self, provider: &dyn VideoProvider) -> Result<Next, StepError> {
        let mut request = match self.render_request().await {
            Ok(request) => request,
            Err(Error::MediaNotFound(key)) => {
                return self.give_up("media_not_found", format!("the reference image `{key}` no longer exists")).await;
            }
            Err(error) => return self.retry_later(&error).await,
        };
        let mut submitting = self.after(Event::SubmissionStarted)?;
        // Counted before the request is sent: after a crash during the submission, this must not look like a first attempt.
        submitting.attempt += 1;
        self.commit(submitting, Lease::Kept).await?;

        request.slot = std::mem::take(&mut self.slot);
        let model = self.claim.job.request.upstream_model.clone();
        let call = Call { model, request, context: self.call_context() };
        // Never interrupted: only the response tells whether there is a render, and which.
        let submitted = timeout(PROVIDER_TIMEOUT, provider.submit(call)).await.unwrap_or_else(|_| Err(timed_out()));
        match submitted {
            Ok(task) => self.commit_accepted(provider, task).await,
            Err(error) => self.retry_or_fail(provider, error).await,
        }
    }

    /// Continues a job whose submission was interrupted by a crash: its outcome was never committed.
    pub(super) async fn resubmit(&mut self, provider: &dyn VideoProvider) -> Result<Next, StepError> {
        if !provider.repeatable() {
            let message = "the service stopped during the submission to the provider; whether there is a render is unknown, \
                           and a second submission could be billed twice";
            return self.fail("outcome_unknown", message.to_owned(), None).await;
        }
        if self.claim.job.attempt >= MAX_SUBMISSIONS {
            let message = "the service stopped during each submission to the provider";
            return self.fail("outcome_unknown", message.to_owned(), None).await;
        }
        tracing::info!("submitting again under the same idempotency key");
        self.submit(provider).await
    }

    /// Commits the task of an accepted submission. Stops its render if the job has ended in the meantime.
    async fn commit_accepted(&mut self, provider: &dyn VideoProvider, task: UpstreamTask) -> Result<Next, StepError> {
        let mut next = self.after(Event::Accepted(task.clone()))?;
        next.attempt = 0;
        let ended = self.yield_for(next, delays::FIRST_POLL).await;
        if let Err(StepError::Stale) = ended {
            self.stop_unrecorded_render(provider, &task).await;
        }
        ended
    }

    /// Stops a render whose job was cancelled or deleted during the submission: no row has its task.
    async fn stop_unrecorded_render(&self, provider: &dyn VideoProvider, task: &UpstreamTask) {
        let ended = match self.worker.queue.get(&self.claim.job.id, &Owners::All).await {
            Ok(job) => job.is_none_or(|job| job.state.is_final()),
            Err(_) => false,
        };
        // Otherwise another worker has the job, and may have been given the same render.
        if !ended {
            return;
        }
        let context = self.call_context();
        for failures in 1..=LATE_CANCEL_ATTEMPTS {
            match timeout(PROVIDER_TIMEOUT, provider.cancel(task, &context)).await.unwrap_or_else(|_| Err(timed_out()))
            {
                Ok(()) => return,
                Err(error) => tracing::warn!(failures, "an abandoned render could not be stopped: {error}"),
            }
            sleep(delays::back_off(failures)).await;
        }
    }

    /// Retries a rejected submission later if that cannot start a second render, otherwise fails the job.
    async fn retry_or_fail(&mut self, provider: &dyn VideoProvider, error: ProviderError) -> Result<Next, StepError> {
        let attempt = self.claim.job.attempt;
        // A repeatable provider starts no second render under the same key, whatever happened to the first request.
        let safe = error.is_safe_to_retry() || error.is_transient() && provider.repeatable();
        // The delay of our own limit is too short for the number of submissions.
        let requested = error.retry_after().filter(|_| !matches!(error.failure(), ProviderError::Overloaded { .. }));
        let delay = safe.then(|| delays::after_failure(requested, attempt));
        if let Some(delay) = delay.filter(|_| attempt < MAX_SUBMISSIONS) {
            tracing::warn!(attempt, "the submission was rejected and will be retried: {error}");
            let next = self.after(Event::SubmissionRejected)?;
            return self.yield_for(next, delay).await;
        }
        if let ProviderError::Timeout(cause) | ProviderError::Broken(cause) = error.failure() {
            let message =
                format!("{cause}; whether there is a render is unknown, and a second submission could be billed twice");
            return self.fail("outcome_unknown", message, None).await;
        }
        self.fail_with(&error).await
    }

    async fn render_request(&self) -> Result<RenderRequest, Error> {
        let parameters = self.claim.job.request.parameters.clone();
        let reference = match &parameters.reference {
            Some(key) => {
                let key = MediaKey::from_request(key)?;
                let image = self.worker.jobs.media_store.bytes(&key, MAX_REFERENCE_BYTES).await?;
                Some(Reference { key, image })
            }
            None => None,
        };
        Ok(RenderRequest { parameters, reference, slot: Slot::default() })
    }
}
