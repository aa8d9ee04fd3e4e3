//! The number of the latest job event, kept in a file beside the database.
//!
//! SQLite opens a database whose write-ahead log was lost, or an empty one in its place, without an error. Jobs that were
//! acknowledged would be missing silently. The numbers of events only grow, so a database that ends before the number in the
//! file has lost jobs, or is an older backup. The file is written shortly after the events and may be behind.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicI64, Ordering},
};

use super::driver::DbPool;

/// No number was saved by this process.
const UNSAVED: i64 = -1;

/// The file with the number.
#[derive(Debug)]
pub(super) struct SequenceFile {
    path: PathBuf,
    /// The number that this process wrote last, or [`UNSAVED`].
    saved: AtomicI64,
}

/// A database that lacks events which were stored before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the job database ends at event {found}, but event {expected} was stored before: its newest jobs are missing; restore \
     jobs.sqlite together with jobs.sqlite-wal"
)]
pub struct LostEvents {
    /// The number of the latest event that was stored.
    pub expected: i64,
    /// The number of the latest event in the database.
    pub found: i64,
}

/// Returns the file in which a database counts its job events.
pub(crate) fn sequence_file(database: &Path) -> PathBuf {
    database.with_extension("sequence")
}

impl SequenceFile {
    /// Returns the file of this database.
    pub(super) fn beside(database: &Path) -> Self {
        Self { path: sequence_file(database), saved: AtomicI64::new(UNSAVED) }
    }

    /// Compares the database with the file. Returns `None` if the file is missing or unreadable.
    pub(super) async fn lost_events(&self, database: &DbPool) -> Result<Option<LostEvents>, sqlx::Error> {
        let found = latest(database).await?;
        let text = tokio::fs::read_to_string(&self.path).await.unwrap_or_default();
        let expected = text.trim().parse().unwrap_or(0);
        Ok((found < expected).then_some(LostEvents { expected, found }))
    }

    /// Writes the number of the latest event, if it has changed.
    pub(super) async fn save(&self, database: &DbPool) -> Result<(), sqlx::Error> {
        let latest = latest(database).await?;
        if self.saved.load(Ordering::Relaxed) == latest {
            return Ok(());
        }
        let staging = self.path.with_extension("sequence~");
        tokio::fs::write(&staging, latest.to_string()).await.map_err(sqlx::Error::Io)?;
        tokio::fs::rename(&staging, &self.path).await.map_err(sqlx::Error::Io)?;
        self.saved.store(latest, Ordering::Relaxed);
        Ok(())
    }
}

/// Returns the number of the latest event, also if its row was removed.
async fn latest(database: &DbPool) -> Result<i64, sqlx::Error> {
    let query = "SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence WHERE name = 'job_events'";
    sqlx::query_scalar(query).fetch_one(database).await
}
