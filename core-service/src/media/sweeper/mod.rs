//! Removes media files that exceeded their retention, and the least recently used ones while the total exceeds the quota.
//!
//! Never removed: a file that is in use or was used within the last minutes (a client may not have followed its link yet), and
//! a file that is [referenced](MediaReferences).

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use tokio::{task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{
    key::MediaKey,
    store::{MediaStore, REUSE_WINDOW},
};
use crate::{error::Error, metrics, node::SingletonTask};

/// The time between two sweeps.
const INTERVAL: Duration = Duration::from_mins(10);

/// The time between two sweeps if there is a quota.
const QUOTA_INTERVAL: Duration = Duration::from_mins(1);

/// How many files are read from the index at a time.
const BATCH: u32 = if cfg!(test) { 4 } else { 200 };

/// How long media files stay.
#[derive(Debug, Clone, Copy, Default)]
pub struct RetentionPolicy {
    /// How long an unused file is kept. `None`: without limit.
    pub retention: Option<Duration>,
    /// The most bytes that all files may have together. `None`: no limit.
    pub quota_bytes: Option<u64>,
}

impl RetentionPolicy {
    fn interval(self) -> Duration {
        match self {
            Self { quota_bytes: Some(_), .. } => QUOTA_INTERVAL,
            Self { retention: Some(retention), .. } => INTERVAL.min(retention),
            Self { .. } => INTERVAL,
        }
    }

    fn is_expired(self, idle: Duration) -> bool {
        self.retention.is_some_and(|retention| idle >= retention)
    }

    fn is_over_quota(self, total_bytes: u64) -> bool {
        self.quota_bytes.is_some_and(|quota| total_bytes > quota)
    }
}

/// References to media files, for example those of video jobs, which keep the files from being removed.
#[async_trait]
pub trait MediaReferences: fmt::Debug + Send + Sync {
    /// Returns whether the file is referenced, and so must stay even if it is not used.
    ///
    /// # Errors
    /// [`Error::Storage`] if no references can be read at the moment; any other error if only those to this file cannot be read.
    async fn is_referenced(&self, key: &MediaKey) -> Result<bool, Error>;
}

/// The result of one sweep.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// How many files were removed.
    pub removed: u64,
    /// How many bytes they had.
    pub removed_bytes: u64,
    /// How many bytes remain.
    pub remaining_bytes: u64,
}

/// Applies a retention policy to a media store.
#[derive(Debug)]
pub struct Sweeper {
    media_store: MediaStore,
    policy: RetentionPolicy,
    references: Arc<dyn MediaReferences>,
    stop: CancellationToken,
}

impl Sweeper {
    /// Returns a sweeper that removes only files which are not referenced.
    pub fn new(media_store: MediaStore, policy: RetentionPolicy, references: Arc<dyn MediaReferences>) -> Self {
        Self { media_store, policy, references, stop: CancellationToken::new() }
    }

    /// Starts a task that sweeps at once, and then at intervals until it is stopped. Of several nodes, the one that holds
    /// `singleton` sweeps.
    pub(crate) fn start(self, singleton: SingletonTask) -> SweeperHandle {
        let stop = self.stop.clone();
        SweeperHandle { stop, task: tokio::spawn(self.run(singleton)) }
    }

    /// Sweeps once, as of `now`. Reads the index in batches, so the memory it takes does not grow with the number of files.
    ///
    /// # Errors
    /// [`Error::Storage`] if the media store or the references cannot be read. Files that were removed until then stay
    /// removed; the next sweep continues.
    pub async fn sweep(&self, now: SystemTime) -> Result<SweepReport, Error> {
        self.media_store.clean_up(now).await?;
        let remaining_bytes = self.media_store.total_bytes().await?;
        let mut report = SweepReport { remaining_bytes, ..SweepReport::default() };
        let mut last = None;
        loop {
            let batch = self.media_store.least_recently_used(last.as_ref(), BATCH).await?;
            for candidate in &batch {
                let idle = candidate.idle(now);
                let over_quota = self.policy.is_over_quota(report.remaining_bytes) && idle >= REUSE_WINDOW;
                // All further files were used later.
                if !(self.policy.is_expired(idle) || over_quota) || self.stop.is_cancelled() {
                    return Ok(report);
                }
                if self.is_referenced(&candidate.key).await? {
                    continue;
                }
                if self.media_store.remove_if_unused(candidate, now).await? {
                    report.removed += 1;
                    report.removed_bytes += candidate.size_bytes;
                    report.remaining_bytes = report.remaining_bytes.saturating_sub(candidate.size_bytes);
                }
            }
            last = match batch.last() {
                Some(last) => Some(last.clone()),
                None => return Ok(report),
            };
        }
    }

    async fn is_referenced(&self, key: &MediaKey) -> Result<bool, Error> {
        match self.references.is_referenced(key).await {
            Err(error @ (Error::Storage(_) | Error::StorageNotWritable(_))) => Err(error),
            Err(error) => {
                // One row that cannot be read must not keep all other files for ever.
                tracing::warn!(media.key = %key, "a file is kept because its references cannot be read: {error}");
                Ok(true)
            }
            checked => checked,
        }
    }

    async fn run(self, singleton: SingletonTask) {
        let mut was_over_quota = false;
        while !self.stop.is_cancelled() {
            let swept = async {
                Ok::<_, Error>(if singleton.is_mine().await? {
                    Some(self.sweep(self.media_store.now()).await?)
                } else {
                    None
                })
            };
            match swept.await {
                Ok(None) => was_over_quota = false,
                Ok(Some(report)) => {
                    let SweepReport { removed, removed_bytes, remaining_bytes } = report;
                    metrics::sweep(Some((removed, removed_bytes)));
                    if removed > 0 {
                        tracing::info!(removed, removed_bytes, remaining_bytes, "removed media files");
                    }
                    let over_quota = self.policy.is_over_quota(remaining_bytes);
                    if over_quota && !was_over_quota {
                        tracing::warn!(
                            remaining_bytes,
                            "the media files that are in use or belong to jobs exceed media.quota_bytes"
                        );
                    }
                    was_over_quota = over_quota;
                }
                Err(error) => {
                    metrics::sweep(None);
                    tracing::warn!("the sweep of media files failed and will be tried again: {error}");
                }
            }
            tokio::select! {
                () = sleep(self.policy.interval()) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }
}

/// A running sweeper.
#[derive(Debug)]
pub struct SweeperHandle {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl SweeperHandle {
    /// Stops the sweeper after the removal in progress.
    pub async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::error!("the task that sweeps media files failed: {error}");
        }
    }
}

#[cfg(test)]
mod tests;
