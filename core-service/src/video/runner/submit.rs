//! The submission of a job to its provider, which is the only step that can be billed.

use std::time::SystemTime;

use http_server::Reservation;
use triptych_proto::{error_info::reason_code, v1::ErrorReason};

use super::{
    delays,
    step::{MAX_SUBMISSIONS, Next, Step, StepError},
};
use crate::{
    config::MAX_INPUT_BYTES,
    error::{Error, ProviderError},
    failpoint::Failpoint,
    media::MediaKey,
    video::{
        inputs::{InputContent, InputSource, RenderInput, StoredInput},
        parameters::VideoParameters,
        provider::{RenderRequest, Slot, UpstreamTask, VideoProvider},
        state::Event,
        store::AfterCommit,
    },
};

/// How many copies of an input are in memory during a submission: the file, its base64 text, and the request body.
const IN_MEMORY_COPIES: usize = 3;

/// The cause in the error message of a submission whose outcome is unknown after a crash.
const INTERRUPTED: &str = "the connection broke or the service stopped during the submission to the provider";

impl Step {
    /// Submits the render. Can be interrupted while it reads the inputs, not after the submission is recorded.
    pub(super) async fn submit(&mut self, provider: &dyn VideoProvider) -> Result<Next, StepError> {
        let interrupted = self.interrupted.clone();
        let read = tokio::select! {
            read = self.build_request(self.claim.job.request.parameters.clone()) => read,
            () = interrupted.cancelled() => return Err(StepError::Interrupted),
        };
        // Held until this function returns: the request is in memory until the provider has responded.
        let (mut request, _memory) = match read {
            Ok(read) => read,
            Err(Error::MediaNotFound(key)) => {
                return self
                    .give_up(&reason_code(ErrorReason::MediaNotFound), format!("the input `{key}` no longer exists"))
                    .await;
            }
            Err(error) => return self.retry_later(&error).await,
        };
        let mut submitting = self.after(Event::SubmissionStarted(self.now()))?;
        // Counted before the request is sent: after a crash during the submission, this must not look like a first attempt.
        submitting.submissions += 1;
        submitting.failures = 0;
        self.commit(submitting, AfterCommit::KeepLease).await?;
        Failpoint::SubmissionRecorded.reach();

        request.slot = std::mem::take(&mut self.slot);
        match self.submit_request(provider, request).await {
            Ok(task) => self.commit_accepted(task).await,
            Err(error) => self.retry_or_fail(provider, error).await,
        }
    }

    /// Continues a job whose submission was interrupted by a crash: its outcome was never committed.
    pub(super) async fn resubmit(&mut self, provider: &dyn VideoProvider) -> Result<Next, StepError> {
        if !provider.submits_idempotently() {
            return self.search(provider, INTERRUPTED).await;
        }
        if self.claim.job.submissions >= MAX_SUBMISSIONS {
            return self.outcome_unknown("the service stopped during each submission to the provider").await;
        }
        tracing::info!("submitting again under the same idempotency key");
        self.submit(provider).await
    }

    /// Commits the render that the provider accepted. Keeps the task in `unrecorded` until the commit succeeds, so that
    /// [`Step::record`] can store it otherwise.
    pub(super) async fn commit_accepted(&mut self, task: UpstreamTask) -> Result<Next, StepError> {
        Failpoint::SubmissionAccepted.reach();
        tracing::info!(task = task.0, "the provider accepted a submission");
        self.unrecorded = Some(task.clone());
        let mut next = self.after(Event::Accepted(task, self.now()))?;
        next.failures = 0;
        let due = self.now().after(delays::FIRST_POLL).min(next.deadline_at);
        next.due_at = Some(due);
        self.commit(next, AfterCommit::KeepLease).await?;
        self.unrecorded = None;
        Failpoint::TaskRecorded.reach();
        Ok(Next::Park(due))
    }

    /// Retries a failed submission later if that cannot start a second render. If the outcome is unknown, searches for the render at
    /// the provider. Otherwise fails the job.
    async fn retry_or_fail(&mut self, provider: &dyn VideoProvider, error: ProviderError) -> Result<Next, StepError> {
        let submissions = self.claim.job.submissions;
        // An idempotent provider does not start a second render under the same key, even if it received the first request.
        let safe = error.is_safe_to_retry() || error.is_transient() && provider.submits_idempotently();
        // Ignores the short delay that the local concurrency limit recommends: it would use up MAX_SUBMISSIONS within seconds.
        let requested = error.retry_after().filter(|_| !matches!(error.failure(), ProviderError::Overloaded { .. }));
        let delay = safe.then(|| delays::after_failure(requested, submissions));
        if let Some(delay) = delay.filter(|_| submissions < MAX_SUBMISSIONS) {
            tracing::info!(submissions, "the submission failed and will be retried: {error}");
            let next = self.after(Event::SubmissionRejected)?;
            return self.yield_for(next, delay).await;
        }
        if let ProviderError::Timeout(cause) | ProviderError::Broken(cause) = error.failure() {
            return self.search(provider, cause).await;
        }
        self.fail_with(&error).await
    }

    /// Builds the render request: waits for memory, then reads the inputs.
    pub(super) async fn build_request(
        &self,
        parameters: VideoParameters,
    ) -> Result<(RenderRequest, Reservation), Error> {
        let memory = self.shared.input_memory.reserve(self.input_memory(&parameters).await?).await;
        let mut inputs = Vec::with_capacity(parameters.inputs.len());
        for StoredInput { role, source } in &parameters.inputs {
            let content = match source {
                InputSource::Link(url) => InputContent::Link(url.clone()),
                InputSource::Stored(key) => {
                    let key = MediaKey::from_request(key)?;
                    // `media.max_input_bytes` was checked when the job was created, and may be lower now.
                    let bytes = self.shared.jobs.media_store.bytes(&key, MAX_INPUT_BYTES).await?;
                    let link = self.shared.jobs.links.as_ref().and_then(|links| links.link(&key, SystemTime::now()));
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
            bytes += self.shared.jobs.media_store.describe(&MediaKey::from_request(key)?).await?.size_bytes;
        }
        Ok(usize::try_from(bytes).unwrap_or(usize::MAX).saturating_mul(IN_MEMORY_COPIES))
    }
}
