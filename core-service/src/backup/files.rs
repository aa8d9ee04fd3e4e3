//! The files of a backup: media files are copied or hard-linked, and flushed to the disk; the database file is described by its length
//! and digest.

use std::{
    fs::{self, File},
    io::{ErrorKind, Read as _},
    path::Path,
};

use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::{
    error::BackupError,
    layout::MEDIA,
    manifest::{DatabaseFile, MediaFiles},
};
use crate::{digest::Hex, media::MediaKey};

/// How media files get into a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// As hard links on the same file system, otherwise as copies. A stored file is never changed, only replaced or removed.
    Link,
    /// As copies.
    Copy,
    /// Not at all: they are not in the data directory.
    Leave,
}

/// The result of [`transfer`].
#[derive(Debug, Default)]
pub(super) struct Transferred {
    pub(super) media: MediaFiles,
    /// The keys of files that do not exist.
    pub(super) absent: Vec<MediaKey>,
}

/// Links or copies the media files of these keys from one directory into another one, whose media directory is created, and
/// flushes them to the disk. With [`Method::Leave`], `keys` must be empty. `progress` is called after each file with the number of
/// files and bytes so far.
///
/// # Errors
/// A file cannot be read or written, or `stop` was cancelled.
pub(super) fn transfer(
    from: &Path,
    to: &Path,
    keys: &[MediaKey],
    mut method: Method,
    stop: &CancellationToken,
    progress: &dyn Fn(u64, u64),
) -> Result<Transferred, BackupError> {
    let (from, to) = (from.join(MEDIA), to.join(MEDIA));
    create_directory(&to)?;
    let mut transferred = Transferred::default();
    for key in keys {
        if stop.is_cancelled() {
            return Err(BackupError::Interrupted);
        }
        let (source, target) = (from.join(key.as_str()), to.join(key.as_str()));
        // A failed link is no error: the file system may not support hard links, or the kernel forbid one to the file of another user.
        let is_linked = method == Method::Link && fs::hard_link(&source, &target).is_ok();
        if !is_linked {
            match fs::copy(&source, &target) {
                Ok(_) => flush(&target)?,
                Err(error) if error.kind() == ErrorKind::NotFound && !source.exists() => {
                    transferred.absent.push(key.clone());
                    continue;
                }
                Err(error) => return Err(BackupError::at(&target)(error)),
            }
            // The next ones would fail as well.
            method = Method::Copy;
        }
        transferred.media.files += 1;
        transferred.media.linked += u64::from(is_linked);
        transferred.media.bytes += fs::metadata(&target).map_err(BackupError::at(&target))?.len();
        progress(transferred.media.files, transferred.media.bytes);
    }
    flush(&to)?;
    Ok(transferred)
}

/// Creates a directory that only this user can enter: a backup has secrets and the content of requests.
pub(super) fn create_directory(path: &Path) -> Result<(), BackupError> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(BackupError::at(path))
}

/// Flushes a file or a directory to the disk. Directories can be opened, and so flushed, only on Unix.
pub(super) fn flush(path: &Path) -> Result<(), BackupError> {
    if cfg!(unix) || path.is_file() {
        File::open(path).and_then(|file| file.sync_all()).map_err(BackupError::at(path))?;
    }
    Ok(())
}

/// Returns the length and the digest of a file.
pub(super) fn describe(path: &Path) -> Result<DatabaseFile, BackupError> {
    let mut file = File::open(path).map_err(BackupError::at(path))?;
    let (mut hash, mut bytes, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer).map_err(BackupError::at(path))? {
            0 => return Ok(DatabaseFile { bytes, sha256: Hex(&hash.finalize()).to_string() }),
            read => {
                hash.update(&buffer[..read]);
                bytes += read as u64;
            }
        }
    }
}
