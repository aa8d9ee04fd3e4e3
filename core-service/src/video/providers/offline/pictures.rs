//! The input pictures of a render of the built-in engine: images, and frames of videos, read from the media store and decoded.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use image::RgbImage;
use tokio::time::sleep;

use super::task::{InputPicture, OfflineTask};
use crate::{
    config::MAX_INPUT_BYTES,
    error::{Error, ProviderError},
    media::{
        MediaKey, MediaStore,
        clip::{ClipInspector, End},
        pixels,
    },
};

/// The delay between attempts to read a file from an unavailable media store.
const MEDIA_RETRY_DELAY: Duration = Duration::from_secs(1);

/// Reads input pictures. Clones share the store.
#[derive(Debug, Clone)]
pub(super) struct Pictures {
    media_store: MediaStore,
    /// Decodes reference videos.
    clips: ClipInspector,
}

impl Pictures {
    pub(super) fn new(media_store: MediaStore, clips: ClipInspector) -> Self {
        Self { media_store, clips }
    }

    /// Reads the input pictures of a task in the order in which the video shows them. Each is scaled down before the next is
    /// read, so that at most one is in memory at its full size.
    ///
    /// # Errors
    /// [`ProviderError::Refused`] for an input that is missing or cannot be decoded. Waits while the media store is unavailable.
    pub(super) async fn load(&self, task: &OfflineTask) -> Result<Vec<RgbImage>, ProviderError> {
        let (width, height) = (task.parameters.width, task.parameters.height);
        let mut pictures = Vec::new();
        for input in task.input_pictures() {
            let source = match input {
                InputPicture::Image(key) => Source::Encoded(self.bytes(&key).await?),
                InputPicture::Video(key, end) => Source::Decoded(self.frame(&key, end).await?),
            };
            let decoded = tokio::task::spawn_blocking(move || {
                let picture = source.decode()?;
                offline_video::limit_size(&picture, width, height)
                    .map(Cow::into_owned)
                    .map_err(|error| ProviderError::Unreadable(error.to_string()))
            });
            let panicked = |error| ProviderError::Unreadable(format!("the built-in engine panicked: {error}"));
            pictures.push(decoded.await.map_err(panicked)??);
        }
        Ok(pictures)
    }

    /// Reads a file.
    async fn bytes(&self, key: &MediaKey) -> Result<Bytes, ProviderError> {
        loop {
            if let Some(bytes) = unless_unavailable(self.media_store.bytes(key, MAX_INPUT_BYTES).await)? {
                return Ok(bytes);
            }
            sleep(MEDIA_RETRY_DELAY).await;
        }
    }

    /// Decodes the first or last frame of a video.
    async fn frame(&self, key: &MediaKey, end: End) -> Result<RgbImage, ProviderError> {
        loop {
            let reason = match self.clips.frame(key, end).await {
                Ok(frame) => return Ok(frame),
                Err(reason) => reason,
            };
            // `frame` has one error for an unavailable store and an unreadable file. If the store can describe the file, the file is
            // unreadable.
            if unless_unavailable(self.media_store.describe(key).await)?.is_some() {
                let message = format!("video: no frame of it can be read: {reason}; send an MP4 file with H.264");
                return Err(ProviderError::Refused { message, field: Some("video".to_owned()) });
            }
            sleep(MEDIA_RETRY_DELAY).await;
        }
    }
}

/// Returns `None` if the media store is unavailable; the caller then repeats the read. The job runner stops a render whose job has
/// ended.
fn unless_unavailable<T>(read: Result<T, Error>) -> Result<Option<T>, ProviderError> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(Error::Storage(reason) | Error::StorageNotWritable(reason)) => {
            tracing::warn!("an input of a render cannot be read, retrying: {reason}");
            Ok(None)
        }
        Err(error) => Err(ProviderError::Refused { message: error.to_string(), field: None }),
    }
}

/// An input picture as it was read.
enum Source {
    /// An image file.
    Encoded(Bytes),
    /// A frame of a video.
    Decoded(RgbImage),
}

impl Source {
    fn decode(self) -> Result<RgbImage, ProviderError> {
        let refused = |error: image::ImageError| ProviderError::Refused {
            message: format!("an input image cannot be decoded: {error}"),
            field: None,
        };
        match self {
            Self::Encoded(bytes) => pixels::decode(&bytes).map(pixels::flatten).map_err(refused),
            Self::Decoded(picture) => Ok(picture),
        }
    }
}
