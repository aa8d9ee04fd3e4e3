//! The steps that reach the provider: submit, poll, copy.

use std::{future::Future, time::Duration};

use tokio::time::{Instant, sleep, timeout};
use tokio_stream::StreamExt;

use super::{
    pace,
    step::{Halt, Step, Then},
};
use crate::{
    call::Call,
    context::RequestContext,
    error::{Error, ProviderError},
    media::{MediaKey, MediaType},
    video::{
        Clip, ClipFile, Progress, Reference, UpstreamTask, Variant, VideoProvider, VideoSpec, files,
        job::Job,
        state::{Event, KeptFile},
        store::Lease,
    },
};

/// How long a provider may take to answer a submission or a poll, and between two pieces of a file.
const PATIENCE: Duration = Duration::from_mins(2);

/// How often a request leaves at most, over all answers that allow sending it again.
const SUBMISSIONS: u32 = 10;

/// How often a provider is told to stop a render that was accepted after its job had ended.
const LATE_CANCELS: u32 = 3;

/// The largest reference picture that is read back, in bytes; larger ones are never taken.
const LARGEST_PICTURE: u64 = 64 << 20;

impl Step {
    pub(super) async fn submit(&mut self, provider: &dyn VideoProvider) -> Result<Then, Halt> {
        let spec = match self.spec().await {
            Ok(spec) => spec,
            Err(Error::MediaNotFound(key)) => {
                return self.give_up("media_not_found", format!("the picture to start from, `{key}`, is gone")).await;
            }
            Err(error) => return self.try_later(&error).await,
        };
        let mut begun = self.moved(Event::Begun)?;
        // Counted before the request leaves: a crash in mid-submit must not look like a first try.
        begun.attempt += 1;
        self.commit(begun, Lease::Kept).await?;

        let id = self.claim.job.id.to_string();
        let call = Call {
            model: self.claim.job.order.upstream.clone(),
            request: spec,
            context: RequestContext {
                deadline: Some(Instant::now() + PATIENCE),
                request_id: id.clone(),
                idempotency_key: id,
                ..RequestContext::default()
            },
        };
        // Never interrupted: only its answer tells whether there is a render, and which.
        let answer = timeout(PATIENCE, provider.submit(call)).await.unwrap_or_else(|_| Err(too_slow()));
        match answer {
            Ok(task) => self.accepted(provider, task).await,
            Err(error) => self.not_accepted(provider, error).await,
        }
    }

    /// The job was found in mid-submit: whoever began it never wrote down how it ended.
    pub(super) async fn submit_again(&mut self, provider: &dyn VideoProvider) -> Result<Then, Halt> {
        if !provider.repeatable() {
            let message = "the service stopped while it handed this video to the provider; whether there is a render is \
                           not known, and asking again could pay for a second one";
            return self.end("outcome_unknown", message.to_owned(), None).await;
        }
        if self.claim.job.attempt >= SUBMISSIONS {
            let message = "the service stopped each time it handed this video to the provider";
            return self.end("outcome_unknown", message.to_owned(), None).await;
        }
        tracing::info!("submitting again under the same key");
        self.submit(provider).await
    }

    async fn accepted(&mut self, provider: &dyn VideoProvider, task: UpstreamTask) -> Result<Then, Halt> {
        let mut next = self.moved(Event::Accepted(task.clone()))?;
        next.attempt = 0;
        let ended = self.rest(next, pace::FIRST_POLL).await;
        if let Err(Halt::Stale) = ended {
            self.nobody_waits(provider, &task).await;
        }
        ended
    }

    /// Cancelled or deleted while it was being submitted: no row knows the task, so it is stopped here and now.
    async fn nobody_waits(&self, provider: &dyn VideoProvider, task: &UpstreamTask) {
        let ended = match self.runner.jobs.store.get(&self.claim.job.id).await {
            Ok(job) => job.is_none_or(|job| job.state.is_final()),
            Err(_) => false,
        };
        // Else another worker has the job, and may have been given the very same render.
        if !ended {
            return;
        }
        for failures in 1..=LATE_CANCELS {
            match timeout(PATIENCE, provider.cancel(task)).await.unwrap_or_else(|_| Err(too_slow())) {
                Ok(()) => return,
                Err(error) => tracing::warn!(failures, "a render nobody waits for could not be stopped: {error}"),
            }
            sleep(pace::back_off(failures)).await;
        }
    }

    async fn not_accepted(&mut self, provider: &dyn VideoProvider, error: ProviderError) -> Result<Then, Halt> {
        let attempt = self.claim.job.attempt;
        let wait = if let ProviderError::RateLimited { retry_after, .. } = &error {
            Some(pace::turned_away(*retry_after, attempt))
        } else {
            // With a repeatable provider the same key starts no second render, whatever became of the first request.
            let safe = error.is_safe_to_retry() || error.is_transient() && provider.repeatable();
            safe.then(|| pace::back_off(attempt))
        };
        if let Some(wait) = wait.filter(|_| attempt < SUBMISSIONS) {
            tracing::warn!(attempt, "not accepted, will be submitted again: {error}");
            let next = self.moved(Event::TurnedAway)?;
            return self.rest(next, wait).await;
        }
        if let ProviderError::Timeout(words) | ProviderError::Broken(words) = &error {
            let message =
                format!("{words}; whether there is a render is not known, and asking again could pay for a second");
            return self.end("outcome_unknown", message, None).await;
        }
        self.refused(&error).await
    }

    pub(super) async fn poll(&mut self, provider: &dyn VideoProvider, task: &UpstreamTask) -> Result<Then, Halt> {
        let answer = self.bounded(provider.poll(task)).await?;
        match answer {
            Ok(Progress::Working { percent, poll_after }) => {
                let mut next = match percent {
                    Some(percent) => self.moved(Event::Advanced(percent))?,
                    None => self.claim.job.clone(),
                };
                next.attempt = 0;
                self.rest(next, pace::poll(poll_after)).await
            }
            Ok(Progress::Ready(clip)) => {
                if clip.files.iter().filter(|file| file.variant == Variant::Video).count() != 1 {
                    let nonsense = ProviderError::Unreadable("the provider finished without a clip".to_owned());
                    return self.refused(&nonsense).await;
                }
                let mut next = self.moved(Event::Rendered(clip))?;
                next.attempt = 0;
                self.commit(next, Lease::Kept).await?;
                Ok(Then::Next)
            }
            Ok(Progress::Failed(error))
            | Err(
                error @ (ProviderError::Refused { .. }
                | ProviderError::ContentPolicy(_)
                | ProviderError::NotSupported(_)),
            ) => self.refused(&error).await,
            // A render that is paid for is not dropped over an answer that may be a better one tomorrow: rejected
            // credentials are renewed, words we cannot read may just be new.
            Err(
                error @ (ProviderError::RateLimited { .. }
                | ProviderError::Credentials(_)
                | ProviderError::Timeout(_)
                | ProviderError::Unreachable(_)
                | ProviderError::Unavailable { .. }
                | ProviderError::Overloaded { .. }
                | ProviderError::Broken(_)
                | ProviderError::Unreadable(_)),
            ) => self.try_later(&error).await,
        }
    }

    pub(super) async fn copy(&mut self, provider: &dyn VideoProvider, clip: &Clip) -> Result<Then, Halt> {
        let interrupted = self.interrupted.clone();
        let copied = tokio::select! {
            copied = self.files(provider, clip) => copied,
            () = interrupted.cancelled() => return Err(Halt::Interrupted),
        };
        match copied {
            Ok(media) => {
                let next = self.moved(Event::Stored(media))?;
                tracing::info!("a video job succeeded");
                self.finish(next).await
            }
            Err(Error::Provider(error)) if !error.is_transient() => self.refused(&error).await,
            Err(error) => self.try_later(&error).await,
        }
    }

    /// Copies all files. Keys are made from the job's id, so doing it twice writes the same files again.
    async fn files(&self, provider: &dyn VideoProvider, clip: &Clip) -> Result<Vec<KeptFile>, Error> {
        let mut kept = Vec::with_capacity(clip.files.len());
        for file in &clip.files {
            kept.push(self.file(provider, file).await?);
        }
        Ok(kept)
    }

    async fn file(&self, provider: &dyn VideoProvider, file: &ClipFile) -> Result<KeptFile, Error> {
        let jobs = &self.runner.jobs;
        let key = files::media_key(self.claim.job.id.as_str(), file.variant, &file.media_type)?;
        if (file.variant == Variant::Video) != (key.media_type() == MediaType::Mp4) {
            let message = format!("the {} came as `{}`", file.variant.as_str(), file.media_type);
            return Err(ProviderError::Unreadable(message).into());
        }
        let chunks = timeout(PATIENCE, provider.fetch(file)).await.unwrap_or_else(|_| Err(too_slow()))?;
        let chunks = chunks.timeout(PATIENCE).map(|chunk| chunk.unwrap_or_else(|_| Err(too_slow())));
        let media = jobs.media_store.put_stream(&key, chunks, jobs.settings.max_file_bytes).await?;
        Ok(KeptFile {
            variant: file.variant,
            key: media.key,
            media_type: media.media_type,
            size_bytes: media.size_bytes,
            etag: media.etag,
        })
    }

    async fn spec(&self) -> Result<VideoSpec, Error> {
        let Job { order, .. } = &self.claim.job;
        let reference = match &order.reference {
            Some(key) => {
                let key = MediaKey::from_request(key)?;
                let picture = self.runner.jobs.media_store.bytes(&key, LARGEST_PICTURE).await?;
                Some(Reference { key, picture })
            }
            None => None,
        };
        Ok(VideoSpec {
            prompt: order.prompt.clone(),
            size: order.size(),
            seconds: order.seconds,
            seed: order.seed,
            reference,
            user: order.user.clone(),
            extra_json: order.extra_json.clone(),
        })
    }

    /// A question to the provider that may be dropped at any time.
    pub(super) async fn bounded<T>(
        &self,
        question: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<Result<T, ProviderError>, Halt> {
        tokio::select! {
            answer = timeout(PATIENCE, question) => Ok(answer.unwrap_or_else(|_| Err(too_slow()))),
            () = self.interrupted.cancelled() => Err(Halt::Interrupted),
        }
    }
}

fn too_slow() -> ProviderError {
    ProviderError::Timeout(format!("the provider did not answer within {} seconds", PATIENCE.as_secs()))
}
