//! The copy of a finished video from its provider into the media store.

use tokio::time::timeout;
use triptych_proto::v1 as pb;

use super::{
    min_rate::with_min_rate,
    provider_call::timed_out,
    step::{Next, Step, StepError},
};
use crate::{
    error::{Error, ProviderError},
    failpoint::Failpoint,
    media::{
        MediaKey, MediaType,
        clip::{ClipInfo, ClipInspector, Stills},
    },
    size::Size,
    video::{
        files::media_key,
        provider::{Clip, ClipFile, PROVIDER_TIMEOUT, UpstreamTask, Variant, VideoProvider},
        state::{Event, StoredFile, VideoContent},
    },
};

/// How often a provider is polled for new links to a result, after it reported that the last ones had expired.
const MAX_RENEWALS: u32 = 3;

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
            copied = timeout(remaining, self.copy_files(provider, clip)) => copied,
            () = interrupted.cancelled() => return Err(StepError::Interrupted),
        };
        // The next step, which is due at the deadline, fails the job.
        let Ok(copied) = copied else {
            return self.retry_later(&"the copy has not ended by the deadline of the job").await;
        };
        match copied {
            Ok((media, content)) => {
                Failpoint::FilesStored.reach();
                let next = self.after(Event::Stored(media, content))?;
                tracing::info!("a video job succeeded");
                self.finish(next).await
            }
            Err(Error::Provider(error))
                if matches!(error.failure(), ProviderError::LinkExpired(_)) && renewals < MAX_RENEWALS =>
            {
                // A new link may work only after a while, so it is tried more often than the one before.
                if self.claim.job.failures < renewals {
                    return self.retry_later(&error).await;
                }
                tracing::warn!("the provider will be polled for a new link: {error}");
                self.renew_links(provider, task, renewals).await
            }
            Err(Error::Provider(error)) if !error.is_transient() => self.fail_with(&error).await,
            Err(error) => self.retry_later(&error).await,
        }
    }

    /// Copies all files, reads the video, and makes the stills that the provider did not return. The keys are derived from the
    /// job's id, so a repetition overwrites the same files.
    async fn copy_files(
        &self,
        provider: &dyn VideoProvider,
        clip: &Clip,
    ) -> Result<(Vec<StoredFile>, Option<VideoContent>), Error> {
        let mut stored = Vec::with_capacity(clip.files.len());
        for file in &clip.files {
            stored.push(self.copy_file(provider, file).await?);
        }
        Failpoint::FilesCopied.reach();
        let Some(inspector) = &self.shared.jobs.inspector else { return Ok((stored, None)) };
        let Some(info) = inspector.inspect(&self.media_key(Variant::Video, MediaType::Mp4)?).await else {
            return Ok((stored, None));
        };
        let has = |variant| stored.iter().any(|file| file.variant == variant);
        if !has(Variant::Thumbnail) || !has(Variant::Spritesheet) {
            self.add_stills(inspector, info.size, &mut stored).await?;
        }
        let ClipInfo { size, duration, has_audio } = info;
        let duration_millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Ok((stored, Some(VideoContent { width: size.width, height: size.height, duration_millis, has_audio })))
    }

    /// Makes the thumbnail and the spritesheet from the stored video, and stores those that are missing.
    async fn add_stills(
        &self,
        inspector: &ClipInspector,
        size: Size,
        stored: &mut Vec<StoredFile>,
    ) -> Result<(), Error> {
        let video = self.media_key(Variant::Video, MediaType::Mp4)?;
        let Some(Stills { thumbnail, spritesheet }) = inspector.stills(&video, size).await else { return Ok(()) };
        for (variant, bytes) in [(Variant::Thumbnail, thumbnail), (Variant::Spritesheet, spritesheet)] {
            if stored.iter().any(|file| file.variant == variant) {
                continue;
            }
            let media_store = self.shared.jobs.media_store.owned_by(&self.claim.job.owner);
            let media = media_store.put(&self.media_key(variant, MediaType::Jpeg)?, bytes).await?;
            stored.push(stored_file(variant, media));
        }
        Ok(())
    }

    fn media_key(&self, variant: Variant, kind: MediaType) -> Result<MediaKey, Error> {
        media_key(self.claim.job.id.as_str(), variant, kind.as_str())
    }

    /// Copies one file of the result.
    async fn copy_file(&self, provider: &dyn VideoProvider, file: &ClipFile) -> Result<StoredFile, Error> {
        let jobs = &self.shared.jobs;
        let key = media_key(self.claim.job.id.as_str(), file.variant, &file.media_type)?;
        if (file.variant == Variant::Video) != (key.media_type() == MediaType::Mp4) {
            let message = format!("the {} has the unexpected media type `{}`", file.variant.as_str(), file.media_type);
            return Err(ProviderError::Unreadable(message).into());
        }
        let chunks = timeout(PROVIDER_TIMEOUT, provider.fetch(file, &self.call_context()))
            .await
            .unwrap_or_else(|_| Err(timed_out()))?;
        let chunks = with_min_rate(chunks);
        let media_store = jobs.media_store.owned_by(&self.claim.job.owner);
        let media = media_store.put_stream(&key, chunks, jobs.settings.max_file_bytes).await?;
        Ok(stored_file(file.variant, media))
    }
}

fn stored_file(variant: Variant, media: pb::Media) -> StoredFile {
    let pb::Media { key, media_type, size_bytes, etag } = media;
    StoredFile { variant, key, media_type, size_bytes, etag, missing: false }
}
