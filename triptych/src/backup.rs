//! `triptych backup` and `triptych restore`: copies of the data directory.

use std::{
    fmt::Display,
    future::Future,
    io::Write as _,
    path::{Path, PathBuf},
    sync::Mutex,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use core_service::backup::{self, BackupError, Manifest, MediaFiles, Method, QueuedJobs, Restored, Unsent};
use tokio_util::sync::CancellationToken;

use crate::{
    cli::{Backup, Restore},
    config::Config,
};

/// The interval between two lines about the progress.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// The most missing files that are named.
const MAX_NAMED: usize = 10;

/// Makes a backup, and prints a line about it.
///
/// # Errors
/// Nothing is left of the backup then.
pub(crate) fn create(config: Option<&Path>, arguments: &Backup) -> anyhow::Result<()> {
    let config = Config::load(config)?;
    let data_dir = data_dir(&config, arguments.data_dir.as_ref())?;
    let media_url = config.core.media.url.as_str();
    let method = match (media_url, arguments.copy) {
        ("", true) => Method::Copy,
        ("", false) => Method::Link,
        (_, _) => Method::Leave,
    };
    let start = Instant::now();
    let target = arguments.target.as_path();
    let manifest = run(|stop| async move { backup::create(&data_dir, target, method, &stop, progress()).await })?;
    let Manifest { database, jobs, media, .. } = manifest;
    let MediaFiles { files, bytes, linked, removed_meanwhile, missing } = media;
    let seconds = start.elapsed().as_secs_f64();
    print(format_args!(
        "Backup {}: {jobs} jobs, database of {}, {files} media files of {} ({linked} linked, {removed_meanwhile} removed \
         meanwhile, {} missing), {seconds:.1} s",
        target.display(),
        Size(database.bytes),
        Size(bytes),
        missing.len(),
    ))?;
    if method == Method::Leave {
        print(format_args!("The media files are at media.url = \"{media_url}\" and not part of the backup."))?;
    }
    for key in missing.iter().take(MAX_NAMED) {
        eprintln!("triptych: the media file {key} is missing in the data directory, and in the backup");
    }
    Ok(())
}

/// Restores a backup, and prints what to do next.
///
/// # Errors
/// The data directory is empty then.
pub(crate) fn restore(config: Option<&Path>, arguments: &Restore) -> anyhow::Result<()> {
    let config = Config::load(config)?;
    let data_dir = data_dir(&config, arguments.data_dir.as_ref())?;
    let queued = if arguments.resume_queued { QueuedJobs::Resume } else { QueuedJobs::MayBeSubmitted };
    let (source, directory) = (arguments.backup.as_path(), data_dir.as_path());
    let deadline = config.core.jobs.deadline;
    let restored =
        run(|stop| async move { backup::restore(source, directory, queued, deadline, &stop, progress()).await })?;
    let Restored { manifest: Manifest { created_at, jobs, media, .. }, unsent } = restored;
    print(format_args!(
        "Restored {} of {created_at} into {}: {jobs} jobs, {} media files of {}.",
        source.display(),
        directory.display(),
        media.files,
        Size(media.bytes),
    ))?;
    let Unsent { resumed, searched, failed, unreadable } = unsent;
    for (count, fate) in [
        (resumed, "will be submitted"),
        (
            searched,
            "may have been submitted since; their providers are searched for a render, or they fail with outcome_unknown",
        ),
        (
            failed,
            "failed with outcome_unknown: they may have been submitted since, and the backup is too old for a search",
        ),
        (unreadable, "cannot be read and are unchanged"),
    ] {
        if count > 0 {
            print(format_args!("Jobs that were queued: {count} {fate}."))?;
        }
    }
    print(format_args!("Next: start Triptych with TRIPTYCH_DATA_DIR={}.", directory.display()))
}

/// Returns the data directory of the arguments, or else that of the configuration, unless `database_url` is set.
fn data_dir(config: &Config, argument: Option<&PathBuf>) -> anyhow::Result<PathBuf> {
    anyhow::ensure!(
        argument.is_some() || config.core.database_url.is_none(),
        "database_url is set, and a backup has only the SQLite database of a data directory: back up and restore PostgreSQL with \
         pg_dump and pg_restore, and copy the directory media of data_dir after the dump"
    );
    Ok(argument.unwrap_or(&config.core.data_dir).clone())
}

/// Runs the work on a runtime of its own. A signal that ends the process cancels the token of the work, which then removes what it
/// has written.
fn run<T, W: Future<Output = Result<T, BackupError>>>(work: impl FnOnce(CancellationToken) -> W) -> anyhow::Result<T> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?;
    let stop = CancellationToken::new();
    runtime.block_on(async {
        let cancel = async {
            end_signal().await;
            stop.cancel();
            std::future::pending().await
        };
        tokio::select! {
            result = work(stop.clone()) => Ok(result?),
            never = cancel => never,
        }
    })
}

#[cfg(unix)]
async fn end_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
        (Ok(mut interrupt), Ok(mut terminate)) => tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        },
        // Without handlers, a signal ends the process at once.
        (Err(_), _) | (_, Err(_)) => std::future::pending().await,
    }
}

#[cfg(not(unix))]
async fn end_signal() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}

/// Returns a function that writes the number of files and bytes so far to standard error, at intervals.
fn progress() -> impl Fn(u64, u64) + Send + 'static {
    let last = Mutex::new(Instant::now());
    move |files, bytes| {
        if let Ok(mut last) = last.lock()
            && last.elapsed() >= PROGRESS_INTERVAL
        {
            *last = Instant::now();
            eprintln!("triptych: {files} media files of {} so far", Size(bytes));
        }
    }
}

fn print(line: impl Display) -> anyhow::Result<()> {
    writeln!(std::io::stdout().lock(), "{line}").context("cannot write to standard output")
}

/// Displays a number of bytes in the largest decimal unit that is not greater.
struct Size(u64);

impl Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(bytes) = *self;
        for (unit, name) in [(1_000_000_000, "GB"), (1_000_000, "MB"), (1000, "kB")] {
            if bytes >= unit {
                return write!(f, "{}.{} {name}", bytes / unit, bytes % unit * 10 / unit);
            }
        }
        write!(f, "{bytes} bytes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_the_largest_unit_and_one_decimal() {
        let text = |bytes| Size(bytes).to_string();
        assert_eq!((text(999), text(1500), text(2_345_678)), ("999 bytes".into(), "1.5 kB".into(), "2.3 MB".into()));
    }
}
