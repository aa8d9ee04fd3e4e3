//! Media files in a local directory.
//!
//! `LocalFileSystem`, of the crate `object_store`, writes `key#1` (or the first free number), flushes it and renames it to `key`. It
//! removes the staging file when an upload fails or is dropped, but not when the process is killed, and it neither lists staging files nor
//! accepts their names. So [`StagingFiles`] removes them by name: the index of media in the database knows which uploads were
//! interrupted, and no directory has to be searched. A bucket keeps the parts of interrupted uploads too; there its lifecycle
//! rule for incomplete multipart uploads removes them.

use std::{fmt::Display, io::ErrorKind, path::Path as Directory, sync::Arc};

use object_store::local::LocalFileSystem;

use crate::{
    error::Error,
    media::key::MediaKey,
    storage_failure::{storage_error, write_error},
    write_probe::probe_writable,
};

/// The highest number of a staging file that is looked for: more uploads of one key at a time than there are in practice.
const MAX_STAGING_NUMBER: u32 = 16;

/// Opens a directory as an object store. Creates it if it does not exist.
pub(super) async fn open(directory: &Directory) -> Result<(LocalFileSystem, StagingFiles), Error> {
    let failed = |error: &dyn Display| Error::Storage(format!("media directory {}: {error}", directory.display()));
    tokio::fs::create_dir_all(directory).await.map_err(|error| failed(&error))?;
    let store = LocalFileSystem::new_with_prefix(directory).map_err(|error| failed(&error))?;
    // `with_fsync` flushes a file before its rename: a job must not be reported as completed while a power cut could still take
    // its file.
    Ok((store.with_fsync(true), StagingFiles(Arc::from(directory))))
}

/// The staging files of interrupted uploads.
#[derive(Debug, Clone)]
pub(super) struct StagingFiles(Arc<Directory>);

impl StagingFiles {
    /// Fails if the directory was removed.
    pub(super) async fn probe(&self) -> Result<(), Error> {
        let found = tokio::fs::read_dir(&self.0).await;
        found.map(drop).map_err(|error| storage_error(self.name(), &error))
    }

    /// Fails if the directory was removed, or if nothing can be written to it.
    pub(super) async fn probe_writable(&self) -> Result<(), Error> {
        probe_writable(&self.0).await.map_err(|error| write_error(self.name(), &error))
    }

    fn name(&self) -> String {
        format!("media directory {}", self.0.display())
    }

    /// Removes the staging files of a key. An upload of this key that is still in progress loses its file and fails.
    pub(super) async fn remove(&self, key: &MediaKey) -> Result<(), Error> {
        for number in 1..=MAX_STAGING_NUMBER {
            let name = format!("{key}#{number}");
            match tokio::fs::remove_file(self.0.join(&name)).await {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(Error::Storage(format!("staging file {name} of an interrupted upload: {error}")));
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }
}
