//! The media store. A file is there whole or not at all: it is written under another name, flushed and then renamed.

mod shelf;
mod usage;

use std::{
    io::{self, SeekFrom},
    path::Path as Directory,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures_util::{
    Stream, StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use object_store::{
    GetOptions, GetRange, GetResultPayload, ObjectStore, ObjectStoreExt, PutPayload, WriteMultipart,
    local::LocalFileSystem, path::Path,
};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;
use triptych_proto::v1 as pb;

pub use self::shelf::Stored;
use self::usage::{Lease, Leases, STAMPED_AT_MOST, stamp};
use super::key::{MediaKey, MediaType};
use crate::error::{Error, ProviderError};

/// The most bytes one item of a read stream carries; the contract promises it.
pub const CHUNK: usize = 256 * 1024;

/// Hashing more than this is handed to a blocking thread; less is done before a thread would have woken.
const HASHED_INLINE: usize = 64 * 1024;

/// The bytes of a medium, in order.
pub type MediaBytes = BoxStream<'static, Result<Bytes, Error>>;

/// All stored media. Clones share the store.
#[derive(Debug, Clone)]
pub struct MediaStore {
    store: Arc<dyn ObjectStore>,
    directory: Arc<Directory>,
    leases: Leases,
    /// How old the note of a file's last use must be to be written anew.
    stamped: Duration,
}

impl MediaStore {
    /// The media_store in this directory, which is created if need be. Several processes may share it.
    ///
    /// # Errors
    /// [`Error::Storage`] if it cannot be created or read.
    pub fn open(directory: &Directory) -> Result<Self, Error> {
        let failed = |error: &dyn std::fmt::Display| Error::Storage(format!("{}: {error}", directory.display()));
        std::fs::create_dir_all(directory).map_err(|error| failed(&error))?;
        // Flushed before it is renamed: a job must not call itself completed over a file that a power cut takes away.
        let store = LocalFileSystem::new_with_prefix(directory).map_err(|error| failed(&error))?.with_fsync(true);
        let (directory, leases) = (Arc::from(directory), Leases::default());
        Ok(Self { store: Arc::new(store), directory, leases, stamped: STAMPED_AT_MOST })
    }

    /// The same media_store, telling uses apart finely enough for what is removed once it was unused for `retention`.
    #[must_use]
    pub fn kept_for(self, retention: Duration) -> Self {
        Self { stamped: STAMPED_AT_MOST.min(retention / 4), ..self }
    }

    /// Stores `bytes` under `key`. Storing again under the same key replaces the file in one step.
    pub async fn put(&self, key: &MediaKey, bytes: impl Into<PutPayload>) -> Result<pb::Media, Error> {
        let payload = bytes.into();
        let size = payload.content_length() as u64;
        self.store.put(&path(key), payload).await.map_err(|error| storage(key, &error))?;
        Ok(describe(key, size))
    }

    /// Stores `bytes` under the key of their content. What is there already is not written again.
    pub async fn put_content(&self, bytes: Bytes, media_type: MediaType) -> Result<pb::Media, Error> {
        let key = if bytes.len() <= HASHED_INLINE {
            MediaKey::of_content(&bytes, media_type)
        } else {
            let bytes = bytes.clone();
            tokio::task::spawn_blocking(move || MediaKey::of_content(&bytes, media_type))
                .await
                .map_err(|error| Error::Internal(format!("hashing: {error}")))?
        };
        // Held, so that what is found is still there when its key is told.
        let _lease = self.leases.hold(&key);
        match self.describe(&key).await {
            Ok(media) if media.size_bytes == bytes.len() as u64 => Ok(media),
            Ok(_) | Err(Error::MediaNotFound(_)) => self.put(&key, bytes).await,
            Err(error) => Err(error),
        }
    }

    /// Stores a stream under `key`, a few megabytes at a time. A stream that fails, is dropped or is longer than `limit`
    /// bytes leaves nothing behind, and whatever was stored under the key before stays.
    ///
    /// # Errors
    /// The stream's own error; `Unreadable` beyond the limit.
    pub async fn put_stream<E>(
        &self,
        key: &MediaKey,
        chunks: impl Stream<Item = Result<Bytes, E>> + Send,
        limit: u64,
    ) -> Result<pb::Media, Error>
    where
        Error: From<E>,
    {
        let upload = self.store.put_multipart(&path(key)).await.map_err(|error| storage(key, &error))?;
        let mut upload = WriteMultipart::new(upload);
        match fill(&mut upload, key, chunks, limit).await {
            Ok(size) => {
                upload.finish().await.map_err(|error| storage(key, &error))?;
                Ok(describe(key, size))
            }
            Err(error) => {
                if let Err(left) = upload.abort().await {
                    tracing::warn!(media.key = %key, "part of an abandoned file stays behind: {left}");
                }
                Err(error)
            }
        }
    }

    /// What is stored under `key`.
    ///
    /// # Errors
    /// [`Error::MediaNotFound`].
    pub async fn describe(&self, key: &MediaKey) -> Result<pb::Media, Error> {
        let meta = self.store.head(&path(key)).await.map_err(|error| storage(key, &error))?;
        if SystemTime::from(meta.last_modified).elapsed().is_ok_and(|idle| idle >= self.stamped) {
            let (path, every) = (self.directory.join(key.as_str()), self.stamped);
            let noted = tokio::task::spawn_blocking(move || std::fs::File::open(path).map(|file| stamp(&file, every)));
            drop(noted.await);
        }
        Ok(describe(key, meta.size))
    }

    /// At most `length` bytes from `offset` on, in items of at most [`CHUNK`] bytes, and what they are part of.
    ///
    /// # Errors
    /// [`Error::MediaNotFound`]; [`Error::RangeNotSatisfiable`] for an offset at or beyond the end.
    pub async fn read(
        &self,
        key: &MediaKey,
        offset: u64,
        length: Option<u64>,
    ) -> Result<(pb::Media, MediaBytes), Error> {
        let lease = self.leases.hold(key);
        let media = self.describe(key).await?;
        let size = media.size_bytes;
        if offset > 0 && offset >= size {
            return Err(Error::RangeNotSatisfiable { size });
        }
        let end = length.map_or(size, |length| offset.saturating_add(length).min(size));
        if offset == end {
            return Ok((media, stream::empty().boxed()));
        }
        let range = GetOptions { range: Some(GetRange::Bounded(offset..end)), ..GetOptions::default() };
        let found = self.store.get_opts(&path(key), range).await.map_err(|error| storage(key, &error))?;
        let name = key.clone();
        let bytes: MediaBytes = match found.payload {
            // The store's own stream would go to another thread for every 8 KiB of a file.
            GetResultPayload::File(file, _) => {
                let mut file = tokio::fs::File::from_std(file);
                file.seek(SeekFrom::Start(offset)).await.map_err(|error| unreadable(key, &error))?;
                let bytes = ReaderStream::with_capacity(file.take(end - offset), CHUNK);
                bytes.map_err(move |error| unreadable(&name, &error)).boxed()
            }
            GetResultPayload::Stream(bytes) => {
                bytes.map_err(move |error| storage(&name, &error)).flat_map(|bytes| stream::iter(pieces(bytes))).boxed()
            }
        };
        Ok((media, leased(bytes, lease)))
    }

    /// All of the medium, of `max` bytes at most.
    ///
    /// # Errors
    /// [`Error::MediaNotFound`]; [`Error::InvalidField`], naming `media_key`, if it is larger.
    pub async fn bytes(&self, key: &MediaKey, max: u64) -> Result<Bytes, Error> {
        let _lease = self.leases.hold(key);
        let size = self.describe(key).await?.size_bytes;
        if size > max {
            return Err(Error::invalid("media_key", format!("has {size} bytes; at most {max} are taken")));
        }
        let found = self.store.get(&path(key)).await.map_err(|error| storage(key, &error))?;
        found.bytes().await.map_err(|error| storage(key, &error))
    }

    /// Removes what is stored under `key`; nothing there is fine. Reads under way go on.
    pub async fn remove(&self, key: &MediaKey) -> Result<(), Error> {
        match self.store.delete(&path(key)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(storage(key, &error)),
        }
    }

    /// All that is stored. On the way, what was left half written a day ago is removed.
    pub(crate) async fn survey(&self, now: SystemTime) -> Result<Vec<Stored>, Error> {
        self.leases.prune();
        let directory = Arc::clone(&self.directory);
        self.blocking(move || shelf::survey(&directory, now)).await
    }

    /// Removes a medium, unless it is being read or was used after it was weighed. Whether it was removed.
    pub(crate) async fn evict(&self, weighed: Stored) -> Result<bool, Error> {
        let (directory, leases) = (Arc::clone(&self.directory), self.leases.clone());
        let remove = move || leases.unless_read(&weighed.key, || shelf::remove(&directory, &weighed));
        self.blocking(move || remove().transpose().map(Option::unwrap_or_default)).await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let done = tokio::task::spawn_blocking(work).await;
        let done = done.map_err(|error| Error::Internal(format!("the media directory: {error}")))?;
        done.map_err(|error| Error::Storage(format!("{}: {error}", self.directory.display())))
    }
}

/// The bytes, and the lease for as long as somebody wants them.
fn leased(bytes: MediaBytes, lease: Lease) -> MediaBytes {
    stream::unfold((bytes, lease), async |(mut bytes, lease)| Some((bytes.next().await?, (bytes, lease)))).boxed()
}

/// Passes the stream on to the upload and returns its length.
async fn fill<E>(
    upload: &mut WriteMultipart,
    key: &MediaKey,
    chunks: impl Stream<Item = Result<Bytes, E>> + Send,
    limit: u64,
) -> Result<u64, Error>
where
    Error: From<E>,
{
    let mut chunks = std::pin::pin!(chunks);
    let mut size = 0_u64;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        size = size.saturating_add(chunk.len() as u64);
        if size > limit {
            let message = format!("the file is longer than the {limit} bytes that are taken");
            return Err(ProviderError::Unreadable(message).into());
        }
        // One part on its way to the disk, one filling: this bounds the memory that a fast upstream can take.
        upload.wait_for_capacity(1).await.map_err(|error| storage(key, &error))?;
        upload.put(chunk);
    }
    Ok(size)
}

fn describe(key: &MediaKey, size: u64) -> pb::Media {
    let stem = key.as_str().split('.').next().unwrap_or_default();
    pb::Media {
        key: key.as_str().to_owned(),
        media_type: key.media_type().as_str().to_owned(),
        size_bytes: size,
        etag: format!("{stem}-{size:x}"),
    }
}

/// A key needs no escaping: its letters are all plain in a store's path.
fn path(key: &MediaKey) -> Path {
    Path::from(key.as_str())
}

fn pieces(bytes: Result<Bytes, Error>) -> Vec<Result<Bytes, Error>> {
    match bytes {
        Ok(mut bytes) => {
            let mut cut = Vec::with_capacity(bytes.len().div_ceil(CHUNK));
            while !bytes.is_empty() {
                cut.push(Ok(bytes.split_to(bytes.len().min(CHUNK))));
            }
            cut
        }
        Err(error) => vec![Err(error)],
    }
}

fn storage(key: &MediaKey, error: &object_store::Error) -> Error {
    if matches!(error, object_store::Error::NotFound { .. }) {
        return Error::MediaNotFound(key.as_str().to_owned());
    }
    Error::Storage(format!("{key}: {error}"))
}

fn unreadable(key: &MediaKey, error: &io::Error) -> Error {
    Error::Storage(format!("{key}: {error}"))
}

#[cfg(test)]
mod tests;
