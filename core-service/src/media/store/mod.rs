//! The media store: files in an object store, and an index of them in the database.
//!
//! A file is stored completely or not at all: the object store publishes an object in one step. The object store decides
//! whether a file exists and how large it is; the index decides how long it stays. A file whose removal has begun is not found.
//!
//! Two things protect a file in use from sweepers: a *lease*, in memory, from the sweeper of this process; a *pin*, in the
//! database, from those of all processes.

mod bucket;
mod download_urls;
mod index;
mod leases;
mod local;
mod object;
mod pins;
mod read;
#[cfg(test)]
mod testing;
mod upload;

use std::{path::Path, sync::Arc, time::SystemTime};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use object_store::{Attributes, GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutPayload};
use tokio::time::timeout;
use triptych_proto::v1 as pb;

pub(super) use self::index::{Candidate, REUSE_WINDOW};
pub use self::read::{MAX_CHUNK_BYTES, MediaBytes};
use self::{
    download_urls::UrlSigner,
    index::{MediaIndex, REMOVAL_LEASE, Removal, State, UnindexedFile},
    leases::{Lease, Leases},
    local::StagingFiles,
    object::{attributes, description, object_error, object_path, object_write_error},
    pins::Pins,
    upload::Upload,
};
use super::key::{MediaKey, MediaType};
use crate::{database::Database, digest, error::Error, keys::Owner, media_location::MediaLocation};

/// The maximum size, in bytes, of content that is hashed on the async thread, to save the hand-off to a blocking thread.
const MAX_INLINE_HASH_BYTES: usize = 64 * 1024;

/// How many objects one statement imports.
const IMPORT_BATCH: usize = 1000;

/// How many interrupted removals or uploads are looked up at a time.
const CLEAN_UP_BATCH: u32 = 100;

/// All stored media. Clones share the store.
#[derive(Debug, Clone)]
pub struct MediaStore {
    objects: Arc<dyn ObjectStore>,
    index: MediaIndex,
    leases: Leases,
    pins: Pins,
    /// The staging files of a local directory. `None` for a bucket, where a lifecycle rule removes the parts of interrupted
    /// uploads.
    staging_files: Option<StagingFiles>,
    /// Signs the URLs from which clients download files. `None`: they download all files from this process.
    signer: Option<UrlSigner>,
    /// The owner of the files that are stored through this handle.
    owner: Owner,
}

impl MediaStore {
    /// Opens a media store over these objects, with its index in this database. Several processes may share both.
    ///
    /// The first time, the index is filled with the objects that exist already.
    ///
    /// # Errors
    /// [`Error::Storage`] if the database or, the first time, the object store cannot be read.
    pub async fn open(objects: Arc<dyn ObjectStore>, database: Database) -> Result<Self, Error> {
        let index = MediaIndex::new(database);
        let (leases, pins) = (Leases::default(), Pins::new(index.clone()));
        let store = Self { objects, index, leases, pins, staging_files: None, signer: None, owner: Owner::default() };
        store.import().await?;
        Ok(store)
    }

    /// Opens a media store over a local directory, which is created if it does not exist.
    ///
    /// # Errors
    /// [`Error::Storage`] if the directory or the database cannot be used.
    pub async fn local(directory: &Path, database: Database) -> Result<Self, Error> {
        let (objects, staging_files) = local::open(directory).await?;
        let store = Self::open(Arc::new(objects), database).await?;
        Ok(Self { staging_files: Some(staging_files), ..store })
    }

    /// Opens a media store at this location.
    ///
    /// # Errors
    /// [`Error::Storage`] if the directory, the bucket or the database cannot be used.
    pub async fn at(location: &MediaLocation, database: Database) -> Result<Self, Error> {
        match location {
            MediaLocation::Directory(directory) => Self::local(directory, database).await,
            MediaLocation::Bucket(bucket) => {
                let (objects, signer) = bucket::open(bucket).await?;
                Ok(Self { signer, ..Self::open(objects, database).await? })
            }
        }
    }

    /// Readiness probe: returns an error if files cannot be read. Does not write, and sends no request to a bucket: all nodes share
    /// it, and calls that need no files are served even while it is unavailable.
    pub(crate) async fn probe(&self) -> Result<(), Error> {
        self.index.probe().await?;
        match &self.staging_files {
            Some(files) => files.probe().await,
            None => Ok(()),
        }
    }

    /// Returns an error if no files can be stored, because the disk is full or read-only.
    pub(crate) async fn probe_writable(&self) -> Result<(), Error> {
        match &self.staging_files {
            Some(files) => files.probe_writable().await,
            None => Ok(()),
        }
    }

    /// Fills a new index with the objects that an earlier version stored. Objects whose names are not keys are ignored.
    async fn import(&self) -> Result<(), Error> {
        if self.index.is_imported().await? {
            return Ok(());
        }
        let failed = |error: object_store::Error| Error::Storage(format!("listing the stored media: {error}"));
        let mut objects = self.objects.list(None).map_err(failed).try_chunks(IMPORT_BATCH);
        let mut imported = 0;
        while let Some(objects) = objects.try_next().await.map_err(|error| error.1)? {
            let found = objects.into_iter().filter_map(|object| {
                let (size_bytes, last_used) = (object.size, SystemTime::from(object.last_modified));
                MediaKey::parse(object.location.as_ref()).map(|key| UnindexedFile { key, size_bytes, last_used })
            });
            let found: Vec<_> = found.collect();
            self.index.import(&found, self.index.now()).await?;
            imported += found.len();
        }
        if imported > 0 {
            tracing::info!(imported, "indexed the media files that were stored before");
        }
        self.index.finish_import(self.index.now()).await
    }

    /// Returns a handle to the same store; files that are stored through it belong to this owner.
    #[must_use]
    pub fn owned_by(&self, owner: &Owner) -> Self {
        Self { owner: owner.clone(), ..self.clone() }
    }

    /// Returns whether this owner has stored the file. Several owners can have stored the same content.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn belongs_to(&self, key: &MediaKey, owner: &Owner) -> Result<bool, Error> {
        self.index.has_owner(key, owner).await
    }

    /// Stores `bytes` under `key`. If the key exists, its file is replaced in one step.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn put(&self, key: &MediaKey, bytes: impl Into<PutPayload>) -> Result<pb::Media, Error> {
        let upload = Upload::begin(&self.index, key, &self.owner).await?;
        let size = upload.write(&*self.objects, bytes.into(), self.attributes(key)).await?;
        Ok(description(key, size))
    }

    /// Stores `bytes` under the key of their content. Content that is stored already is not written again.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn put_content(&self, bytes: Bytes, media_type: MediaType) -> Result<pb::Media, Error> {
        let key = if bytes.len() <= MAX_INLINE_HASH_BYTES {
            MediaKey::from_content(&bytes, media_type)
        } else {
            let bytes = bytes.clone();
            digest::LIMITER
                .run(move || MediaKey::from_content(&bytes, media_type))
                .await
                .map_err(|error| Error::Internal(format!("the task that hashes a file failed: {error}")))?
        };
        // Until the key is returned, the lease keeps the sweeper of this process from removing content that is stored already;
        // the pin does the same for the sweepers of other processes.
        let _lease = self.leases.acquire(&key);
        let size = bytes.len() as u64;
        if self.index.pin_if_ready(&key, size, self.index.now()).await? {
            // Another program may have changed or removed the object without updating the index.
            match self.objects.head(&object_path(&key)).await {
                Ok(object) if object.size == size => {
                    self.index.add_owner(&key, &self.owner).await?;
                    return Ok(description(&key, size));
                }
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(object_error(&key, &error)),
            }
        }
        self.put(&key, bytes).await
    }

    /// Stores a stream under `key`, a few megabytes at a time. If the stream fails or is longer than `limit` bytes, or if the
    /// future is dropped, nothing is stored, and a previous file under `key` remains.
    ///
    /// # Errors
    /// The stream's own error; `ProviderError::Unreadable` beyond the limit; [`Error::Storage`].
    pub async fn put_stream<E>(
        &self,
        key: &MediaKey,
        chunks: impl Stream<Item = Result<Bytes, E>> + Send,
        limit: u64,
    ) -> Result<pb::Media, Error>
    where
        Error: From<E>,
    {
        let upload = Upload::begin(&self.index, key, &self.owner).await?;
        let size = upload.write_stream(&*self.objects, chunks, limit, self.attributes(key)).await?;
        Ok(description(key, size))
    }

    /// Returns the attributes of a new object, with which a bucket serves it. A file of a local directory has none.
    fn attributes(&self, key: &MediaKey) -> Attributes {
        if self.staging_files.is_some() { Attributes::default() } else { attributes(key) }
    }

    /// Describes the file stored under `key`. Counts as a use of it.
    ///
    /// # Errors
    /// [`Error::MediaNotFound`], [`Error::Storage`].
    pub async fn describe(&self, key: &MediaKey) -> Result<pb::Media, Error> {
        let _lease = self.begin_use(key).await?;
        let size = self.size(key).await?;
        Ok(description(key, size))
    }

    /// Returns the URL from which a client can download the file stored under `key`, with its description. `None` if all files are
    /// downloaded from this process. Counts as a use of the file, which lasts as long as the URL works.
    ///
    /// # Errors
    /// As for [`MediaStore::describe`]; the URL cannot be signed.
    pub async fn download_url(&self, key: &MediaKey) -> Result<Option<(pb::Media, pb::DownloadUrl)>, Error> {
        let Some(signer) = &self.signer else { return Ok(None) };
        let media = self.describe(key).await?;
        Ok(Some((media, signer.sign(key).await?)))
    }

    /// Reads at most `length` bytes from `offset` on, in items of at most [`MAX_CHUNK_BYTES`]. Returns them with the
    /// description of the whole file, which is not removed until the stream is dropped.
    ///
    /// # Errors
    /// [`Error::MediaNotFound`]; [`Error::RangeNotSatisfiable`] for an offset at or beyond the end; [`Error::Storage`].
    pub async fn read(
        &self,
        key: &MediaKey,
        offset: u64,
        length: Option<u64>,
    ) -> Result<(pb::Media, MediaBytes), Error> {
        let lease = self.begin_use(key).await?;
        let size = self.size(key).await?;
        if offset > 0 && offset >= size {
            return Err(Error::RangeNotSatisfiable { size });
        }
        let end = length.map_or(size, |length| offset.saturating_add(length).min(size));
        if offset == end {
            return Ok((description(key, size), stream::empty().boxed()));
        }
        let options = GetOptions { range: Some(GetRange::Bounded(offset..end)), ..GetOptions::default() };
        let object =
            self.objects.get_opts(&object_path(key), options).await.map_err(|error| object_error(key, &error))?;
        let bytes = read::stream_range(key, object, offset..end).await?;
        Ok((description(key, size), read::keep_pinned(bytes, key.clone(), lease, self.pins.clone())))
    }

    /// Reads a whole file of at most `max` bytes.
    ///
    /// # Errors
    /// [`Error::MediaNotFound`]; [`Error::InvalidField`], naming `media_key`, if it is larger; [`Error::Storage`].
    pub async fn bytes(&self, key: &MediaKey, max: u64) -> Result<Bytes, Error> {
        let _lease = self.begin_use(key).await?;
        let size = self.size(key).await?;
        if size > max {
            return Err(Error::invalid("media_key", format!("has {size} bytes; at most {max} are accepted")));
        }
        let object = self.objects.get(&object_path(key)).await.map_err(|error| object_error(key, &error))?;
        object.bytes().await.map_err(|error| object_error(key, &error))
    }

    /// Removes the file stored under `key`, if there is one, even if it is in use: readers that have a local file open
    /// read it to its end.
    ///
    /// # Errors
    /// [`Error::Storage`]; the next sweep completes the removal then.
    pub async fn remove(&self, key: &MediaKey) -> Result<(), Error> {
        let removal = self.index.begin_removal(key, self.index.now()).await?;
        self.finish_removal(removal).await
    }

    /// Returns the total size of all stored files.
    pub(super) async fn total_bytes(&self) -> Result<u64, Error> {
        self.index.total_bytes().await
    }

    /// Returns the stored files that follow `after`, least recently used first, at most `limit` of them.
    pub(super) async fn least_recently_used(
        &self,
        after: Option<&Candidate>,
        limit: u32,
    ) -> Result<Vec<Candidate>, Error> {
        self.index.least_recently_used(after, limit).await
    }

    /// Removes a file unless it is in use or was used since `candidate` was read. Returns whether it was removed.
    pub(super) async fn remove_if_unused(&self, candidate: &Candidate, now: SystemTime) -> Result<bool, Error> {
        if self.leases.is_in_use(&candidate.key) {
            return Ok(false);
        }
        match self.index.begin_removal_if_unused(candidate, now).await? {
            Some(removal) => self.finish_removal(removal).await.map(|()| true),
            None => Ok(false),
        }
    }

    /// Completes the removals and cleans up after the uploads of processes that were killed.
    pub(super) async fn clean_up(&self, now: SystemTime) -> Result<(), Error> {
        self.leases.prune();
        loop {
            let removals = self.index.interrupted_removals(CLEAN_UP_BATCH, now).await?;
            if removals.is_empty() {
                break;
            }
            for removal in removals {
                self.finish_removal(removal).await?;
            }
        }
        let mut after: Option<MediaKey> = None;
        loop {
            let keys = self.index.interrupted_uploads(after.as_ref(), CLEAN_UP_BATCH, now).await?;
            for key in &keys {
                self.clean_up_upload(key, now).await?;
            }
            after = match keys.last() {
                Some(last) => Some(last.clone()),
                None => return Ok(()),
            };
        }
    }

    /// Removes what the interrupted uploads of a key left: staging files, and an object that was not recorded.
    async fn clean_up_upload(&self, key: &MediaKey, now: SystemTime) -> Result<(), Error> {
        let removal = self.index.begin_removal_of_pending(key, now).await?;
        // An upload that starts now for a key that is already stored can lose its staging file. It then fails and stores nothing.
        if let Some(staging_files) = &self.staging_files {
            staging_files.remove(key).await?;
        }
        match removal {
            // The process may have stored the object just before it was killed.
            Some(removal) => self.finish_removal(removal).await?,
            // The key was stored before the interrupted upload, which may have replaced its object.
            None => match self.size(key).await {
                Ok(size) => self.index.set_size(key, size).await?,
                Err(Error::MediaNotFound(_)) => {}
                Err(error) => return Err(error),
            },
        }
        self.index.forget_interrupted_uploads(key, now).await
    }

    /// Deletes the object, then its index entry.
    async fn finish_removal(&self, removal: Removal) -> Result<(), Error> {
        // Must end before the removal lease expires: otherwise it could delete the object of an upload that starts after that.
        let deleted = timeout(REMOVAL_LEASE / 2, self.objects.delete(&object_path(&removal.key))).await;
        match deleted {
            Ok(Ok(()) | Err(object_store::Error::NotFound { .. })) => self.index.finish_removal(&removal).await,
            Ok(Err(error)) => Err(object_write_error(&removal.key, &error)),
            Err(_) => Err(Error::Storage(format!("media {}: the removal timed out", removal.key))),
        }
    }

    /// Returns the current time, by the clock that all nodes share.
    pub(super) fn now(&self) -> SystemTime {
        self.index.now()
    }

    /// Acquires a lease on a stored file, and pins the file for at least [`REUSE_WINDOW`] from now.
    async fn begin_use(&self, key: &MediaKey) -> Result<Lease, Error> {
        let now = self.index.now();
        // First, because a request for an unknown key must neither allocate a lease nor write to the index.
        let known = self.index.find(key).await?;
        if known.is_some_and(|entry| entry.state == State::Deleting) {
            return Err(Error::MediaNotFound(key.as_str().to_owned()));
        }
        if known.is_none() {
            // The object may have been restored from a backup.
            let found = UnindexedFile { key: key.clone(), size_bytes: self.size(key).await?, last_used: now };
            self.index.import(&[found], now).await?;
        }
        let lease = self.leases.acquire(key);
        if known.is_none_or(|entry| entry.needs_pin(now))
            && let Err(error) = self.pins.pin(key).await
        {
            // Reads succeed even if the pin cannot be written, for example because the disk is full.
            tracing::warn!(media.key = %key, "pinning a media file failed: {error}");
        }
        Ok(lease)
    }

    async fn size(&self, key: &MediaKey) -> Result<u64, Error> {
        let object = self.objects.head(&object_path(key)).await.map_err(|error| object_error(key, &error))?;
        Ok(object.size)
    }
}

#[cfg(test)]
mod tests;
