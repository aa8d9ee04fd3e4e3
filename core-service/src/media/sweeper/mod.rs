//! Removes media that were unused for too long, and the longest unused ones while all together are too large.
//!
//! Never removed: what is being read, what was used within the last minutes (its link may not have been followed yet),
//! and what somebody [holds](MediaReferences). Reads note themselves on the files, an hour apart at most.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use tokio::{task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{key::MediaKey, store::MediaStore};
use crate::error::Error;

/// Between two sweeps.
const EVERY: Duration = Duration::from_mins(10);

/// The same where a bound on the bytes must be kept.
const EVERY_UNDER_QUOTA: Duration = Duration::from_mins(1);

/// What was used within this time is not removed for want of room.
const FRESH: Duration = Duration::from_mins(5);

/// How long media stay.
#[derive(Debug, Clone, Copy, Default)]
pub struct RetentionPolicy {
    /// How long an unused one is kept. `None`: for ever.
    pub retention: Option<Duration>,
    /// How many bytes all of them may have. `None`: no bound.
    pub quota_bytes: Option<u64>,
}

/// Somebody who needs media for longer than their use tells.
#[async_trait]
pub trait MediaReferences: fmt::Debug + Send + Sync {
    /// Whether this one is still needed.
    async fn holds(&self, key: &MediaKey) -> Result<bool, Error>;
}

/// What one sweep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// How many media were removed.
    pub removed: u64,
    /// How many bytes they had.
    pub removed_bytes: u64,
    /// How many bytes are left.
    pub left_bytes: u64,
}

/// Sweeps a media_store.
#[derive(Debug)]
pub struct Sweeper {
    media_store: MediaStore,
    keeping: RetentionPolicy,
    holder: Arc<dyn MediaReferences>,
    stop: CancellationToken,
}

impl Sweeper {
    /// A sweeper of this media_store, which asks `holder` before it removes anything.
    pub fn new(media_store: MediaStore, keeping: RetentionPolicy, holder: Arc<dyn MediaReferences>) -> Self {
        Self { media_store, keeping, holder, stop: CancellationToken::new() }
    }

    /// Sweeps now, and then at intervals, until it is stopped.
    pub fn start(self) -> SweeperHandle {
        let stop = self.stop.clone();
        SweeperHandle { stop, task: tokio::spawn(self.run()) }
    }

    /// One sweep, at this time.
    ///
    /// # Errors
    /// [`Error::Storage`] if the media_store cannot be looked through, or the holder not be asked; what was removed until then
    /// stays removed, and the rest is for the next sweep.
    pub async fn sweep(&self, now: SystemTime) -> Result<Swept, Error> {
        let RetentionPolicy { retention, quota_bytes } = self.keeping;
        let mut stored = self.media_store.survey(now).await?;
        stored.sort_by_key(|medium| medium.used);
        let mut swept = Swept { left_bytes: stored.iter().map(|medium| medium.size).sum(), ..Swept::default() };
        for medium in stored {
            // What was used in the future, by a clock that was set back, is fresh.
            let idle = now.duration_since(medium.used).unwrap_or_default();
            let outdated = retention.is_some_and(|retention| idle >= retention);
            let crowded = quota_bytes.is_some_and(|quota| swept.left_bytes > quota) && idle >= FRESH;
            // The others were used later still.
            if !(outdated || crowded) || self.stop.is_cancelled() {
                break;
            }
            match self.holder.holds(&medium.key).await {
                Ok(false) => {}
                Ok(true) => continue,
                Err(error @ Error::Storage(_)) => return Err(error),
                Err(error) => {
                    // One owner that cannot be read must not keep all the others' files for ever.
                    tracing::warn!(media.key = %medium.key, "nobody can say whether it is needed, so it stays: {error}");
                    continue;
                }
            }
            let size = medium.size;
            if self.media_store.evict(medium).await? {
                swept.removed += 1;
                swept.removed_bytes += size;
                swept.left_bytes -= size;
            }
        }
        Ok(swept)
    }

    async fn run(self) {
        let every = match self.keeping {
            RetentionPolicy { quota_bytes: Some(_), .. } => EVERY_UNDER_QUOTA,
            RetentionPolicy { retention: Some(retention), .. } => EVERY.min(retention),
            RetentionPolicy { .. } => EVERY,
        };
        let mut told = false;
        while !self.stop.is_cancelled() {
            match self.sweep(SystemTime::now()).await {
                Ok(swept) => {
                    if swept.removed > 0 {
                        let Swept { removed, removed_bytes, left_bytes } = swept;
                        tracing::info!(removed, removed_bytes, left_bytes, "removed media");
                    }
                    let crowded = self.keeping.quota_bytes.is_some_and(|quota| swept.left_bytes > quota);
                    if crowded && !told {
                        tracing::warn!(
                            left_bytes = swept.left_bytes,
                            "more media are in use than media.quota_bytes has room for"
                        );
                    }
                    told = crowded;
                }
                Err(error) => tracing::warn!("media could not be swept, trying again later: {error}"),
            }
            tokio::select! {
                () = sleep(every) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }
}

/// A sweeper at work.
#[derive(Debug)]
pub struct SweeperHandle {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl SweeperHandle {
    /// Ends it, after the removal that is under way.
    pub async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::error!("the sweeper of the media ended by itself: {error}");
        }
    }
}

#[cfg(test)]
mod tests;
