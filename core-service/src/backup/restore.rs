//! Makes a data directory of a backup.

use std::{
    fs,
    io::{self, ErrorKind},
    path::Path,
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use super::{
    create::blocking,
    error::BackupError,
    files::{self, Method, Transferred},
    layout::{DATABASE_FILE, MEDIA, manifest_path},
    manifest::Manifest,
    media_index,
    unsent::{self, QueuedJobs, Unsent},
};
use crate::database::{Database, DirectoryLock, LockError, find_defect, open_read_only, sequence_file};

/// Entries of a directory that counts as empty: the lock of this process or an earlier one, and the root of an ext4 file system.
const IGNORED: [&str; 2] = ["lock", "lost+found"];

/// A restored data directory.
#[derive(Debug)]
pub struct Restored {
    /// The manifest of the backup.
    pub manifest: Manifest,
    /// The jobs that were queued when the backup was made.
    pub unsent: Unsent,
}

/// Copies a backup into an empty data directory, which is created if it does not exist, migrates its database to this version, and
/// prepares its unfinished jobs: `queued` is what happens to those that were queued when the backup was made, and `deadline` is the time
/// that all of them have from now. Until the copy is complete, the directory has the manifest of the backup: no process starts in a
/// directory with this file. `progress` is called after each media file with the number of files and bytes so far.
///
/// # Errors
/// The directory has files or is in use, the backup is damaged or of a later version, something cannot be written, or `stop` was
/// cancelled. The directory is empty then.
pub async fn restore(
    backup: &Path,
    data_dir: &Path,
    queued: QueuedJobs,
    deadline: Duration,
    stop: &CancellationToken,
    progress: impl Fn(u64, u64) + Send + 'static,
) -> Result<Restored, BackupError> {
    let manifest = Manifest::read(backup)?;
    verify_database(backup, &manifest).await?;
    create_private(data_dir).map_err(BackupError::at(data_dir))?;
    let lock = DirectoryLock::acquire(data_dir).await.map_err(|error| match error {
        LockError::Held => BackupError::InUse(data_dir.to_owned()),
        LockError::Io(source) => BackupError::at(data_dir)(source),
    })?;
    require_empty(data_dir)?;
    let filled = fill(backup, data_dir, &manifest, stop, progress).await;
    let prepared = match filled {
        Ok(()) => prepare(data_dir, queued, deadline).await,
        Err(error) => Err(error),
    };
    if prepared.is_err() {
        remove(data_dir);
    }
    drop(lock);
    Ok(Restored { unsent: prepared?, manifest })
}

/// Creates the directory if it does not exist, for this user only: the database has secrets.
fn create_private(data_dir: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(data_dir)
}

/// Compares the database with the manifest, and checks its structure.
async fn verify_database(backup: &Path, manifest: &Manifest) -> Result<(), BackupError> {
    let path = backup.join(DATABASE_FILE);
    let damaged = |why: String| BackupError::Damaged { path: path.clone(), why };
    let file = path.clone();
    let found = blocking(move || files::describe(&file)).await?;
    if found != manifest.database {
        return Err(damaged("its length or SHA-256 digest differs from that in backup.json".to_owned()));
    }
    let mut database = open_read_only(&path).await.map_err(|error| damaged(error.to_string()))?;
    match find_defect(&mut database).await {
        Ok(None) => Ok(()),
        Ok(Some(defect)) => Err(damaged(defect)),
        Err(error) => Err(damaged(error.to_string())),
    }
}

/// Copies the manifest, the database and its media files, and checks their number and size.
async fn fill(
    backup: &Path,
    data_dir: &Path,
    manifest: &Manifest,
    stop: &CancellationToken,
    progress: impl Fn(u64, u64) + Send + 'static,
) -> Result<(), BackupError> {
    let (from, to) = (backup.to_owned(), data_dir.to_owned());
    blocking(move || {
        for (source, target) in
            [(manifest_path(&from), manifest_path(&to)), (from.join(DATABASE_FILE), to.join(DATABASE_FILE))]
        {
            fs::copy(&source, &target).map_err(BackupError::at(&target))?;
            files::flush(&target)?;
        }
        files::flush(&to)
    })
    .await?;
    let file = backup.join(DATABASE_FILE);
    let mut database =
        open_read_only(&file).await.map_err(|source| BackupError::Copy { path: file.clone(), source })?;
    let keys = media_index::stored_keys(&mut database, backup).await?;
    let (from, to, stop) = (backup.to_owned(), data_dir.to_owned(), stop.clone());
    // Copies: the data directory must not share files with its backup.
    let transferred = blocking(move || files::transfer(&from, &to, &keys, Method::Copy, &stop, &progress)).await?;
    let Transferred { media, absent } = transferred;
    let expected = &manifest.media;
    if (media.files, media.bytes) == (expected.files, expected.bytes) {
        return Ok(());
    }
    let missing = absent.iter().find(|key| !expected.missing.iter().any(|missing| missing == key.as_str()));
    let example = missing.map(|key| format!(", `{key}` for example is missing")).unwrap_or_default();
    Err(BackupError::Damaged {
        path: backup.join(MEDIA),
        why: format!(
            "it has {} files of {} bytes, and backup.json names {} of {}{example}",
            media.files, media.bytes, expected.files, expected.bytes
        ),
    })
}

/// Migrates the database, prepares the jobs, and makes the directory usable.
async fn prepare(data_dir: &Path, queued: QueuedJobs, deadline: Duration) -> Result<Unsent, BackupError> {
    let database = Database::open(&data_dir.join(DATABASE_FILE)).await?;
    let unsent = unsent::prepare(&database, queued, deadline).await;
    database.close().await;
    let unsent = unsent?;
    let manifest = manifest_path(data_dir);
    fs::remove_file(&manifest).map_err(BackupError::at(&manifest))?;
    files::flush(data_dir)?;
    Ok(unsent)
}

fn require_empty(directory: &Path) -> Result<(), BackupError> {
    for entry in fs::read_dir(directory).map_err(BackupError::at(directory))? {
        let entry = entry.map_err(BackupError::at(directory))?.file_name();
        if !IGNORED.iter().any(|ignored| entry == *ignored) {
            return Err(BackupError::NotEmpty {
                path: directory.to_owned(),
                entry: entry.to_string_lossy().into_owned(),
            });
        }
    }
    Ok(())
}

/// Removes what a failed restore has written into the directory, which was empty before.
fn remove(directory: &Path) {
    let mut removed = fs::remove_dir_all(directory.join(MEDIA)).or_else(ignore_missing);
    for suffix in ["", "-wal", "-shm", "-journal"] {
        removed =
            removed.and(fs::remove_file(directory.join(format!("{DATABASE_FILE}{suffix}"))).or_else(ignore_missing));
    }
    // A restored database begins a new one.
    removed = removed.and(fs::remove_file(sequence_file(&directory.join(DATABASE_FILE))).or_else(ignore_missing));
    // Last: until then no process starts with the directory.
    removed = removed.and(fs::remove_file(manifest_path(directory)).or_else(ignore_missing));
    if let Err(error) = removed {
        tracing::warn!("{}: the unfinished restore cannot be removed: {error}", directory.display());
    }
}

fn ignore_missing(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) }
}
