//! The submission of a job to its provider, which is the only step that can be billed.

use std::time::SystemTime;

use http_server::Reservation;
use tokio::time::timeout;

use super::{
    delays,
    provider_call::{PROVIDER_TIMEOUT, timed_out},
    step::{MAX_SUBMISSIONS, Next, Step, StepError},
};
use crate::{
    call::Call,
    config::MAX_INPUT_BYTES,
    error::{Error, ProviderError},
    failpoint::Failpoint,
    media::MediaKey,
    video::{
        inputs::{InputContent, InputSource, RenderInput, StoredInput},
        parameters::VideoParameters,
        provider::{RenderRequest, Slot, UpstreamTask, VideoProvider},
        state::Event,
        store::Lease,
    },
};

/// The copies of an input in memory: the file, its base64 text, and the request body.
const COPIES: usize = 3;

/// The cause of an unknown outcome after a crash, as the error message has it.
const INTERRUPTED: &str = "the connection broke or the service stopped during the submission to the provider";

impl Step {
    pub(super) async fn submit(&mut self, provider: &dyn VideoProvider) -> Result<Next, StepError> {
        let interrupted = self.interrupted.clone();
        let read = tokio::select! {
            read = self.render_request() => read,
            () = interrupted.cancelled() => return Err(StepError::Interrupted),
        };
        // The memory is released when the provider has the request.
        let (mut request, _memory) = match read {
            Ok(read) => read,
            Err(Error::MediaNotFound(key)) => {
                return self.give_up("media_not_found", format!("the input `{key}` no longer exists")).await;
            }
            Err(error) => return self.retry_later(&error).await,
        };
        let mut submitting = self.after(Event::SubmissionStarted(self.now()))?;
        // Counted before the request is sent: after a crash during the submission, this must not look like a first attempt.
        submitting.submissions += 1;
        submitting.failures = 0;
        self.commit(submitting, Lease::Kept).await?;
        Failpoint::SubmissionRecorded.reach();

        request.slot = std::mem::take(&mut self.slot);
        let model = self.claim.job.request.upstream_model.clone();
        let call = Call { model, request, context: self.call_context() };
        // Never interrupted: only the response has the id of the render.
        let submitted = timeout(PROVIDER_TIMEOUT, provider.submit(call)).await.unwrap_or_else(|_| Err(timed_out()));
        match submitted {
            Ok(task) => self.commit_accepted(task).await,
            Err(error) => self.retry_or_fail(provider, error).await,
        }
    }

    /// Continues a job whose submission was interrupted by a crash: its outcome was never committed.
    pub(super) async fn resubmit(&mut self, provider: &dyn VideoProvider) -> Result<Next, StepError> {
        if !provider.repeatable() {
            return self.search(provider, INTERRUPTED).await;
        }
        if self.claim.job.submissions >= MAX_SUBMISSIONS {
            return self.outcome_unknown("the service stopped during each submission to the provider").await;
        }
        tracing::info!("submitting again under the same idempotency key");
        self.submit(provider).await
    }

    /// Commits the render that the provider started. Until the commit has succeeded, the step keeps its id: see [`Step::record`].
    pub(super) async fn commit_accepted(&mut self, task: UpstreamTask) -> Result<Next, StepError> {
        Failpoint::SubmissionAccepted.reach();
        tracing::info!(task = task.0, "the provider accepted a submission");
        self.unrecorded = Some(task.clone());
        let mut next = self.after(Event::Accepted(task, self.now()))?;
        next.failures = 0;
        let next = self.yield_for(next, delays::FIRST_POLL).await?;
        self.unrecorded = None;
        Failpoint::TaskRecorded.reach();
        Ok(next)
    }

    /// Retries a rejected submission later if that cannot start a second render, searches for its render if the outcome is
    /// unknown, and otherwise fails the job.
    async fn retry_or_fail(&mut self, provider: &dyn VideoProvider, error: ProviderError) -> Result<Next, StepError> {
        let submissions = self.claim.job.submissions;
        // A repeatable provider does not start a second render under the same key, even if it received the first request.
        let safe = error.is_safe_to_retry() || error.is_transient() && provider.repeatable();
        // The delay that the concurrency limit recommends is short: ten submissions would be used up within seconds.
        let requested = error.retry_after().filter(|_| !matches!(error.failure(), ProviderError::Overloaded { .. }));
        let delay = safe.then(|| delays::after_failure(requested, submissions));
        if let Some(delay) = delay.filter(|_| submissions < MAX_SUBMISSIONS) {
            tracing::warn!(submissions, "the submission was rejected and will be retried: {error}");
            let next = self.after(Event::SubmissionRejected)?;
            return self.yield_for(next, delay).await;
        }
        if let ProviderError::Timeout(cause) | ProviderError::Broken(cause) = error.failure() {
            return self.search(provider, cause).await;
        }
        self.fail_with(&error).await
    }

    /// Reads the inputs, once there is memory for them.
    async fn render_request(&self) -> Result<(RenderRequest, Reservation), Error> {
        let parameters = self.claim.job.request.parameters.clone();
        let memory = self.worker.input_memory.reserve(self.input_memory(&parameters).await?).await;
        let mut inputs = Vec::with_capacity(parameters.inputs.len());
        for StoredInput { role, source } in &parameters.inputs {
            let content = match source {
                InputSource::Link(url) => InputContent::Link(url.clone()),
                InputSource::Stored(key) => {
                    let key = MediaKey::from_request(key)?;
                    // `media.max_input_bytes` was checked when the job was created, and may be lower now.
                    let bytes = self.worker.jobs.media_store.bytes(&key, MAX_INPUT_BYTES).await?;
                    let link = self.worker.jobs.links.as_ref().and_then(|links| links.link(&key, SystemTime::now()));
                    InputContent::File { media_type: key.media_type(), bytes, link }
                }
            };
            inputs.push(RenderInput { role: *role, content });
        }
        Ok((RenderRequest { parameters, inputs, slot: Slot::default() }, memory))
    }

    /// Returns the memory that a submission with these inputs needs, in bytes.
    async fn input_memory(&self, parameters: &VideoParameters) -> Result<usize, Error> {
        let mut bytes = 0;
        for key in parameters.input_keys() {
            bytes += self.worker.jobs.media_store.describe(&MediaKey::from_request(key)?).await?.size_bytes;
        }
        Ok(usize::try_from(bytes).unwrap_or(usize::MAX).saturating_mul(COPIES))
    }
}
