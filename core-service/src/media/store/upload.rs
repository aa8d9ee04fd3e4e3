//! One upload into the media store: registered in the index before the object is written, and recorded as finished after it.

use std::{pin::pin, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use object_store::{Attributes, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, WriteMultipart};
use tokio::time::{Instant, sleep};

use super::{
    index::{MediaIndex, PIN_INTERVAL, UploadId},
    object::{object_path, object_write_error},
};
use crate::{
    error::{Error, ProviderError},
    keys::Owner,
    media::key::MediaKey,
};

/// The delay between two attempts to begin an upload while the previous object of the key is being removed.
const REMOVAL_POLL: Duration = Duration::from_millis(20);

/// An upload in progress.
///
/// Dropping it, or failing while the object is written, leaves its row in the index: whether the object exists is not known
/// then, and the sweeper cleans up once the lease of the row has expired.
#[derive(Debug)]
pub(super) struct Upload<'a> {
    index: &'a MediaIndex,
    key: &'a MediaKey,
    owner: &'a Owner,
    id: UploadId,
    /// When its lease was renewed last.
    renewed: Instant,
}

impl<'a> Upload<'a> {
    /// Registers the upload. Waits while an object of this key is being removed: that removal could delete the new
    /// object.
    pub(super) async fn begin(index: &'a MediaIndex, key: &'a MediaKey, owner: &'a Owner) -> Result<Self, Error> {
        loop {
            if let Some(id) = index.begin_upload(key, index.now()).await? {
                return Ok(Self { index, key, owner, id, renewed: Instant::now() });
            }
            sleep(REMOVAL_POLL).await;
        }
    }

    /// Writes all bytes in one request. Returns how many there are.
    pub(super) async fn write(
        self,
        objects: &dyn ObjectStore,
        bytes: PutPayload,
        attributes: Attributes,
    ) -> Result<u64, Error> {
        let size = bytes.content_length() as u64;
        let stored = objects.put_opts(&object_path(self.key), bytes, PutOptions::from(attributes)).await;
        stored.map_err(|error| object_write_error(self.key, &error))?;
        self.finish(size).await
    }

    /// Writes a stream of at most `limit` bytes, in parts of a few megabytes. Returns its length.
    ///
    /// # Errors
    /// The stream's own error; [`ProviderError::Unreadable`] beyond the limit. Nothing is stored then.
    pub(super) async fn write_stream<E>(
        mut self,
        objects: &dyn ObjectStore,
        chunks: impl Stream<Item = Result<Bytes, E>> + Send,
        limit: u64,
        attributes: Attributes,
    ) -> Result<u64, Error>
    where
        Error: From<E>,
    {
        let options = PutMultipartOptions::from(attributes);
        let parts = objects.put_multipart_opts(&object_path(self.key), options).await;
        let mut parts = WriteMultipart::new(parts.map_err(|error| object_write_error(self.key, &error))?);
        match self.copy(&mut parts, chunks, limit).await {
            Ok(size) => {
                parts.finish().await.map_err(|error| object_write_error(self.key, &error))?;
                self.finish(size).await
            }
            Err(error) => {
                let aborted = parts.abort().await.map_err(|error| object_write_error(self.key, &error));
                let abandoned = match aborted {
                    Ok(()) => self.index.abandon_upload(&self.id, self.key).await,
                    Err(error) => Err(error),
                };
                if let Err(error) = abandoned {
                    tracing::warn!(media.key = %self.key, "parts of a failed upload are left to the sweeper: {error}");
                }
                Err(error)
            }
        }
    }

    async fn copy<E>(
        &mut self,
        parts: &mut WriteMultipart,
        chunks: impl Stream<Item = Result<Bytes, E>> + Send,
        limit: u64,
    ) -> Result<u64, Error>
    where
        Error: From<E>,
    {
        let mut chunks = pin!(chunks);
        let mut size = 0_u64;
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk?;
            size = size.saturating_add(chunk.len() as u64);
            if size > limit {
                let message = format!("the file is longer than {limit} bytes, the most that is stored");
                return Err(ProviderError::Unreadable(message).into());
            }
            if self.renewed.elapsed() >= PIN_INTERVAL {
                self.index.renew_upload(&self.id, self.index.now()).await?;
                self.renewed = Instant::now();
            }
            // One part is being written while the next one fills: this bounds the memory that a fast upstream can take.
            parts.wait_for_capacity(1).await.map_err(|error| object_write_error(self.key, &error))?;
            parts.put(chunk);
        }
        Ok(size)
    }

    async fn finish(self, size: u64) -> Result<u64, Error> {
        self.index.finish_upload(&self.id, self.key, self.owner, size, self.index.now()).await?;
        Ok(size)
    }
}
