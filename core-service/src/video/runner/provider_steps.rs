//! The steps that call the provider: submit, poll, copy.

use std::{future::Future, time::Duration};

use tokio::time::{Instant, sleep, timeout};
use tokio_stream::StreamExt;

use super::{
    delays,
    step::{Next, Step, StepError},
};
use crate::{
    call::Call,
    context::RequestContext,
    error::{Error, ProviderError},
    keys::Owners,
    media::{MediaKey, MediaType},
    video::{
        files::media_key,
        provider::{Clip, ClipFile, Progress, Reference, RenderRequest, Slot, UpstreamTask, Variant, VideoProvider},
        state::{Event, StoredFile},
        store::Lease,
    },
};

/// How long a provider may take to respond to a submission or a poll, and between two chunks of a file.
const PROVIDER_TIMEOUT: Duration = Duration::from_mins(2);

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
        let model = self.claim.job.request.upstream.clone();
        let call = Call { model, request, context: self.call_context() };
        // Never interrupted: only the response tells whether there is a render, and which.
        let submitted = timeout(PROVIDER_TIMEOUT, provider.submit(call)).await.unwrap_or_else(|_| Err(timed_out()));
        match submitted {
            Ok(task) => self.accepted(provider, task).await,
            Err(error) => self.rejected(provider, error).await,
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

    async fn accepted(&mut self, provider: &dyn VideoProvider, task: UpstreamTask) -> Result<Next, StepError> {
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

    async fn rejected(&mut self, provider: &dyn VideoProvider, error: ProviderError) -> Result<Next, StepError> {
        let attempt = self.claim.job.attempt;
        let delay = if let ProviderError::RateLimited { retry_after, .. } = &error {
            Some(delays::after_rejection(*retry_after, attempt))
        } else {
            // A repeatable provider starts no second render under the same key, whatever happened to the first request.
            let safe = error.is_safe_to_retry() || error.is_transient() && provider.repeatable();
            safe.then(|| delays::back_off(attempt))
        };
        if let Some(delay) = delay.filter(|_| attempt < MAX_SUBMISSIONS) {
            tracing::warn!(attempt, "the submission was rejected and will be retried: {error}");
            let next = self.after(Event::SubmissionRejected)?;
            return self.yield_for(next, delay).await;
        }
        if let ProviderError::Timeout(cause) | ProviderError::Broken(cause) = &error {
            let message =
                format!("{cause}; whether there is a render is unknown, and a second submission could be billed twice");
            return self.fail("outcome_unknown", message, None).await;
        }
        self.fail_with(&error).await
    }

    pub(super) async fn poll(&mut self, provider: &dyn VideoProvider, task: &UpstreamTask) -> Result<Next, StepError> {
        let context = self.call_context();
        let polled = self.bounded(provider.poll(task, &context)).await?;
        match polled {
            Ok(Progress::Working { percent, poll_after }) => {
                let mut next = match percent {
                    Some(percent) => self.after(Event::Progressed(percent))?,
                    None => self.claim.job.clone(),
                };
                next.attempt = 0;
                self.yield_for(next, delays::poll_interval(poll_after)).await
            }
            Ok(Progress::Ready(clip)) => {
                if clip.files.iter().filter(|file| file.variant == Variant::Video).count() != 1 {
                    let error = ProviderError::Unreadable("the provider finished without a video".to_owned());
                    return self.fail_with(&error).await;
                }
                let mut next = self.after(Event::Rendered(clip))?;
                next.attempt = 0;
                self.commit(next, Lease::Kept).await?;
                Ok(Next::Continue)
            }
            Ok(Progress::Failed(error))
            | Err(
                error @ (ProviderError::Refused { .. }
                | ProviderError::ContentPolicy(_)
                | ProviderError::NotSupported(_)),
            ) => self.fail_with(&error).await,
            // A paid render is not given up over an error that may be temporary: credentials can be renewed, and an
            // unreadable response may be a status that is new.
            Err(
                error @ (ProviderError::RateLimited { .. }
                | ProviderError::Credentials(_)
                | ProviderError::Timeout(_)
                | ProviderError::Unreachable(_)
                | ProviderError::Unavailable { .. }
                | ProviderError::Overloaded { .. }
                | ProviderError::Broken(_)
                | ProviderError::Reported { .. }
                | ProviderError::Unreadable(_)),
            ) => self.retry_later(&error).await,
        }
    }

    pub(super) async fn copy(&mut self, provider: &dyn VideoProvider, clip: &Clip) -> Result<Next, StepError> {
        let interrupted = self.interrupted.clone();
        let copied = tokio::select! {
            copied = self.files(provider, clip) => copied,
            () = interrupted.cancelled() => return Err(StepError::Interrupted),
        };
        match copied {
            Ok(media) => {
                let next = self.after(Event::Stored(media))?;
                tracing::info!("a video job succeeded");
                self.finish(next).await
            }
            Err(Error::Provider(error)) if !error.is_transient() => self.fail_with(&error).await,
            Err(error) => self.retry_later(&error).await,
        }
    }

    /// Copies all files. The keys are derived from the job's id, so a repetition overwrites the same files.
    async fn files(&self, provider: &dyn VideoProvider, clip: &Clip) -> Result<Vec<StoredFile>, Error> {
        let mut stored = Vec::with_capacity(clip.files.len());
        for file in &clip.files {
            stored.push(self.file(provider, file).await?);
        }
        Ok(stored)
    }

    async fn file(&self, provider: &dyn VideoProvider, file: &ClipFile) -> Result<StoredFile, Error> {
        let jobs = &self.worker.jobs;
        let key = media_key(self.claim.job.id.as_str(), file.variant, &file.media_type)?;
        if (file.variant == Variant::Video) != (key.media_type() == MediaType::Mp4) {
            let message = format!("the {} has the unexpected media type `{}`", file.variant.as_str(), file.media_type);
            return Err(ProviderError::Unreadable(message).into());
        }
        let chunks = timeout(PROVIDER_TIMEOUT, provider.fetch(file, &self.call_context()))
            .await
            .unwrap_or_else(|_| Err(timed_out()))?;
        let chunks = chunks.timeout(PROVIDER_TIMEOUT).map(|chunk| chunk.unwrap_or_else(|_| Err(timed_out())));
        let media_store = jobs.media_store.owned_by(&self.claim.job.owner);
        let media = media_store.put_stream(&key, chunks, jobs.settings.max_file_bytes).await?;
        Ok(StoredFile {
            variant: file.variant,
            key: media.key,
            media_type: media.media_type,
            size_bytes: media.size_bytes,
            etag: media.etag,
        })
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

    /// Returns the context of a provider call that starts now.
    pub(super) fn call_context(&self) -> RequestContext {
        self.claim.job.context(Some(Instant::now() + PROVIDER_TIMEOUT))
    }

    /// Runs a provider call that may be dropped at any time.
    pub(super) async fn bounded<T>(
        &self,
        call: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<Result<T, ProviderError>, StepError> {
        tokio::select! {
            result = timeout(PROVIDER_TIMEOUT, call) => Ok(result.unwrap_or_else(|_| Err(timed_out()))),
            () = self.interrupted.cancelled() => Err(StepError::Interrupted),
        }
    }
}

fn timed_out() -> ProviderError {
    ProviderError::Timeout(format!("the provider did not respond within {} seconds", PROVIDER_TIMEOUT.as_secs()))
}
