//! Makes a backup of a data directory, also while a process uses it.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use sqlx::SqliteConnection;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::{
    error::BackupError,
    files::{self, Method, Transferred},
    layout::{DATABASE_FILE, manifest_path},
    manifest::{Manifest, MediaFiles},
    media_index,
};
use crate::{
    database::{copy_into, open_read_only},
    media::MediaKey,
    video::time::Clock,
};

/// Copies a data directory into the new directory `target`, in which only the user of this process can read. Until it is complete,
/// it has the name `target.partial`. Takes no lock and writes nothing in the data directory, so the process that uses it is not
/// disturbed. `progress` is called after each media file with the number of files and bytes so far.
///
/// A file that was deleted or has expired since the database was copied is counted and left out; one that is missing although the
/// database of the data directory still names it is listed in the manifest.
///
/// # Errors
/// The directory exists, something cannot be read or written, or `stop` was cancelled. Nothing is left then.
pub async fn create(
    data_dir: &Path,
    target: &Path,
    method: Method,
    stop: &CancellationToken,
    progress: impl Fn(u64, u64) + Send + 'static,
) -> Result<Manifest, BackupError> {
    if !data_dir.join(DATABASE_FILE).is_file() {
        return Err(BackupError::NoDatabase(data_dir.to_owned()));
    }
    let partial = partial_path(target);
    for path in [target, &partial] {
        if path.symlink_metadata().is_ok() {
            return Err(BackupError::Exists(path.to_owned()));
        }
    }
    files::create_directory(&partial)?;
    let partial = RemoveOnDrop(Some(partial));
    let manifest = fill(data_dir, partial.path(), method, stop, progress).await?;
    partial.rename(target)?;
    Ok(manifest)
}

async fn fill(
    data_dir: &Path,
    target: &Path,
    method: Method,
    stop: &CancellationToken,
    progress: impl Fn(u64, u64) + Send + 'static,
) -> Result<Manifest, BackupError> {
    let created_at = prost_types::Timestamp::from(Clock::system().now()).to_string();
    let (live_file, copied_file) = (data_dir.join(DATABASE_FILE), target.join(DATABASE_FILE));
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| BackupError::Copy { path, source }
    };
    let mut live = open_read_only(&live_file).await.map_err(failed(&live_file))?;
    copy_into(&mut live, &copied_file).await.map_err(failed(&live_file))?;
    let mut copied = open_read_only(&copied_file).await.map_err(failed(&copied_file))?;
    let jobs = count_jobs(&mut copied).await.map_err(failed(&copied_file))?;
    let keys = match method {
        Method::Link | Method::Copy => media_index::stored_keys(&mut copied, data_dir).await?,
        Method::Leave => Vec::new(),
    };
    let database = blocking({
        let copied_file = copied_file.clone();
        move || {
            files::flush(&copied_file)?;
            files::describe(&copied_file)
        }
    })
    .await?;
    let media = media_files(data_dir, target, keys, method, stop, progress, &mut live).await?;
    let manifest = Manifest::new(created_at, database, jobs, media);
    manifest.write(target)?;
    files::flush(&manifest_path(target))?;
    files::flush(target)?;
    Ok(manifest)
}

/// Links or copies the media files, and finds out why some do not exist.
async fn media_files(
    data_dir: &Path,
    target: &Path,
    keys: Vec<MediaKey>,
    method: Method,
    stop: &CancellationToken,
    progress: impl Fn(u64, u64) + Send + 'static,
    live: &mut SqliteConnection,
) -> Result<MediaFiles, BackupError> {
    let (from, to, stop) = (data_dir.to_owned(), target.to_owned(), stop.clone());
    let Transferred { media, absent } =
        blocking(move || files::transfer(&from, &to, &keys, method, &stop, &progress)).await?;
    // A removal marks the index entry before it deletes the file.
    let missing = media_index::still_stored(live, &absent).await;
    let missing = missing.map_err(|source| BackupError::Copy { path: data_dir.join(DATABASE_FILE), source })?;
    let removed_meanwhile = (absent.len() - missing.len()) as u64;
    Ok(MediaFiles { removed_meanwhile, missing, ..media })
}

async fn count_jobs(database: &mut SqliteConnection) -> Result<u64, sqlx::Error> {
    let query = sqlx::query_scalar("SELECT COUNT(*) FROM video_jobs WHERE deleted = 0");
    let jobs: i64 = query.fetch_one(database).await?;
    Ok(u64::try_from(jobs).unwrap_or(0))
}

/// Runs file operations on a blocking thread.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BackupError> + Send + 'static,
) -> Result<T, BackupError> {
    match spawn_blocking(work).await {
        Ok(result) => result,
        // The task is never aborted.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Returns the name of an unfinished backup.
fn partial_path(target: &Path) -> PathBuf {
    // Without a trailing slash.
    let mut name: OsString = target.components().collect::<PathBuf>().into();
    name.push(".partial");
    name.into()
}

/// A directory that is removed unless it is renamed.
struct RemoveOnDrop(Option<PathBuf>);

impl RemoveOnDrop {
    fn path(&self) -> &Path {
        self.0.as_deref().unwrap_or(Path::new(""))
    }

    /// Gives the directory its final name, and flushes the name to the disk.
    fn rename(mut self, target: &Path) -> Result<(), BackupError> {
        if let Some(path) = self.0.take()
            && let Err(error) = fs::rename(&path, target)
        {
            self.0 = Some(path);
            return Err(BackupError::at(target)(error));
        }
        let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty());
        files::flush(parent.unwrap_or(Path::new(".")))
    }
}

impl Drop for RemoveOnDrop {
    fn drop(&mut self) {
        if let Some(path) = &self.0
            && let Err(error) = fs::remove_dir_all(path)
        {
            tracing::warn!("{}: the unfinished backup cannot be removed: {error}", path.display());
        }
    }
}
