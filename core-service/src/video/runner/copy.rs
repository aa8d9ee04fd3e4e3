//! The copy of a finished video from its provider into the media store.

use tokio::time::timeout;

use super::{
    floor_rate::with_floor_rate,
    provider_call::{PROVIDER_TIMEOUT, timed_out},
    step::{Next, Step, StepError},
};
use crate::{
    error::{Error, ProviderError},
    media::MediaType,
    video::{
        files::media_key,
        provider::{Clip, ClipFile, UpstreamTask, Variant, VideoProvider},
        state::{Event, StoredFile},
    },
};

/// How often a provider is polled for new links to a result.
const MAX_RENEWALS: u32 = 1;

impl Step {
    /// Copies the result. `renewals` is how often its links have been renewed.
    pub(super) async fn copy(
        &mut self,
        provider: &dyn VideoProvider,
        task: &UpstreamTask,
        clip: &Clip,
        renewals: u32,
    ) -> Result<Next, StepError> {
        let interrupted = self.interrupted.clone();
        let remaining = self.claim.job.deadline_at.since(self.now());
        let copied = tokio::select! {
            copied = timeout(remaining, self.files(provider, clip)) => copied,
            () = interrupted.cancelled() => return Err(StepError::Interrupted),
        };
        // The next step, which is due at the deadline, fails the job.
        let Ok(copied) = copied else {
            return self.retry_later(&"the copy has not ended by the deadline of the job").await;
        };
        match copied {
            Ok(media) => {
                let next = self.after(Event::Stored(media))?;
                tracing::info!("a video job succeeded");
                self.finish(next).await
            }
            Err(Error::Provider(error))
                if matches!(error.failure(), ProviderError::LinkExpired(_)) && renewals < MAX_RENEWALS =>
            {
                tracing::warn!("the provider will be polled for a new link: {error}");
                self.renew_links(provider, task).await
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
        let chunks = with_floor_rate(chunks);
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
}
