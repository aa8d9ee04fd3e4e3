//! The index of the media store: which files exist, how large they are, and until when each must stay. A *pin* is that time: it
//! protects a file from the sweepers of all processes.
//!
//! The object store has the files; the sweeper decides by the index. An upload writes its rows before the object
//! and a removal deletes its row after the object, so no crash can leave an object that the index does not know. Rows that
//! a killed process left are found by their expired leases.
//!
//! Every statement that decides something is one conditional write, so several processes can share the database.

mod owners;
mod removals;
mod uploads;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sqlx::Row;

pub(super) use self::{removals::Removal, uploads::UploadId};
use crate::{
    database::{Database, DbRow, QueryBuilder},
    error::Error,
    media::key::MediaKey,
    storage_failure::storage_error,
};

/// How long a pin protects a file.
pub(super) const PIN_DURATION: Duration = Duration::from_mins(10);

/// The minimum interval between two writes of a pin, a quarter of [`PIN_DURATION`]. Uses of a file within it do not write
/// its row again.
pub(super) const PIN_INTERVAL: Duration = Duration::from_secs(150);

/// The minimum time that a file is kept after its last use: players and resumed downloads request the next range later, and
/// a link may be followed some time after it was returned.
pub(in crate::media) const REUSE_WINDOW: Duration = Duration::from_mins(5);

/// How long a process may take to remove one object. After that, another process can take the removal over.
pub(super) const REMOVAL_LEASE: Duration = Duration::from_mins(1);

/// The most keys that one statement names. SQLite takes at most 32766 parameters.
const KEYS_PER_STATEMENT: usize = 1000;

/// The state of an indexed file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Its first upload has not finished.
    Pending,
    /// Stored.
    Ready,
    /// Being removed.
    Deleting,
}

/// The index entry of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) state: State,
    pub(super) size_bytes: u64,
    /// In milliseconds since 1970.
    pinned_until: i64,
}

impl Entry {
    /// Returns whether a use at `now` must write a new pin: less than [`PIN_DURATION`] minus [`PIN_INTERVAL`] of the
    /// stored one remains.
    pub(super) fn needs_pin(&self, now: SystemTime) -> bool {
        self.state == State::Ready && self.pinned_until < millis(now + PIN_DURATION.saturating_sub(PIN_INTERVAL))
    }
}

/// A stored file, which the sweeper may remove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::media) struct Candidate {
    pub(in crate::media) key: MediaKey,
    pub(in crate::media) size_bytes: u64,
    /// In milliseconds since 1970.
    last_used_at: i64,
}

impl Candidate {
    /// Returns how long it has not been used; zero if the clock was set back since.
    pub(in crate::media) fn idle(&self, now: SystemTime) -> Duration {
        Duration::from_millis(u64::try_from(millis(now).saturating_sub(self.last_used_at)).unwrap_or(0))
    }
}

/// A file of the object store that has no index entry, because it was stored before the index existed or restored from a backup.
#[derive(Debug)]
pub(super) struct UnindexedFile {
    pub(super) key: MediaKey,
    pub(super) size_bytes: u64,
    pub(super) last_used: SystemTime,
}

/// The index. Clones share the database.
#[derive(Debug, Clone)]
pub(super) struct MediaIndex {
    database: Database,
}

impl MediaIndex {
    pub(super) fn new(database: Database) -> Self {
        Self { database }
    }

    /// Returns the current time by the clock that all nodes share: leases, pins and last uses are compared between nodes.
    pub(super) fn now(&self) -> SystemTime {
        self.database.clock().map_or_else(SystemTime::now, |clock| {
            UNIX_EPOCH + Duration::from_millis(u64::try_from(clock.now_millis()).unwrap_or(0))
        })
    }

    /// Returns an error if the index cannot be used.
    pub(super) async fn probe(&self) -> Result<(), Error> {
        run(self.database.check_file()).await?;
        run(sqlx::query("SELECT 1 FROM media LIMIT 1").fetch_optional(self.database.readers())).await?;
        Ok(())
    }

    /// Returns the entry of a file, if there is one.
    pub(super) async fn find(&self, key: &MediaKey) -> Result<Option<Entry>, Error> {
        let query = sqlx::query("SELECT state, size_bytes, pinned_until FROM media WHERE key = $1").bind(key.as_str());
        let row = run(query.fetch_optional(self.database.readers())).await?;
        row.map(|row| to_storage_error(entry(&row))).transpose()
    }

    /// Adds files whose objects exist. Keys that are known keep their entries.
    pub(super) async fn import(&self, files: &[UnindexedFile], now: SystemTime) -> Result<(), Error> {
        for files in files.chunks(KEYS_PER_STATEMENT) {
            let mut query = QueryBuilder::new("INSERT INTO media (key, state, size_bytes, created_at, last_used_at) ");
            for (index, file) in files.iter().enumerate() {
                query.push(if index == 0 { "VALUES (" } else { ", (" }).push_bind(file.key.as_str());
                query.push(", 'ready', ").push_bind(integer(file.size_bytes)).push(", ").push_bind(millis(now));
                query.push(", ").push_bind(millis(file.last_used)).push(")");
            }
            query.push(" ON CONFLICT (key) DO NOTHING");
            run(self.database.execute(query.build())).await?;
        }
        Ok(())
    }

    /// Returns whether the files from before the index have been imported.
    pub(super) async fn is_imported(&self) -> Result<bool, Error> {
        let query = sqlx::query_scalar("SELECT COUNT(*) FROM media_imports");
        let count: i64 = run(query.fetch_one(self.database.readers())).await?;
        Ok(count > 0)
    }

    /// Records that the import is complete.
    pub(super) async fn finish_import(&self, now: SystemTime) -> Result<(), Error> {
        let query = sqlx::query("INSERT INTO media_imports (finished_at) VALUES ($1)").bind(millis(now));
        run(self.database.execute(query)).await?;
        Ok(())
    }

    /// Records a use of each of these files, and pins them for [`PIN_DURATION`].
    pub(super) async fn pin(&self, keys: &[MediaKey], now: SystemTime) -> Result<(), Error> {
        for keys in keys.chunks(KEYS_PER_STATEMENT) {
            let query = sqlx::query(
                "UPDATE media SET last_used_at = $1, pinned_until = $2 WHERE state = 'ready' \
                 AND key IN (SELECT value FROM json_each($3))",
            );
            let list = serde_json::Value::from(keys.iter().map(MediaKey::as_str).collect::<Vec<_>>()).to_string();
            let query = query.bind(millis(now)).bind(millis(now + PIN_DURATION)).bind(list);
            run(self.database.execute(query)).await?;
        }
        Ok(())
    }

    /// Pins a file of this size, if it is ready. Returns whether it is ready: then it is kept for at
    /// least [`REUSE_WINDOW`].
    pub(super) async fn pin_if_ready(&self, key: &MediaKey, size_bytes: u64, now: SystemTime) -> Result<bool, Error> {
        match self.find(key).await? {
            Some(entry) if entry.state == State::Ready && entry.size_bytes == size_bytes => {
                if !entry.needs_pin(now) {
                    return Ok(true);
                }
            }
            Some(_) | None => return Ok(false),
        }
        // Conditional: since the entry was read, the sweeper of another process may have begun the removal.
        let query = sqlx::query(
            "UPDATE media SET last_used_at = $1, pinned_until = $2 WHERE key = $3 AND state = 'ready' AND size_bytes = $4",
        );
        let query =
            query.bind(millis(now)).bind(millis(now + PIN_DURATION)).bind(key.as_str()).bind(integer(size_bytes));
        Ok(run(self.database.execute(query)).await? > 0)
    }

    /// Returns the total size of all stored files.
    pub(super) async fn total_bytes(&self) -> Result<u64, Error> {
        let query = "SELECT CAST(COALESCE(SUM(size_bytes), 0) AS BIGINT) FROM media WHERE state = 'ready'";
        let total: i64 = run(sqlx::query_scalar(query).fetch_one(self.database.readers())).await?;
        Ok(u64::try_from(total).unwrap_or(0))
    }

    /// Returns at most `limit` stored files, least recently used first, that follow `after` in this order.
    pub(super) async fn least_recently_used(
        &self,
        after: Option<&Candidate>,
        limit: u32,
    ) -> Result<Vec<Candidate>, Error> {
        let query = sqlx::query(
            "SELECT key, size_bytes, last_used_at FROM media WHERE state = 'ready' AND (last_used_at, key) > ($1, $2) \
             ORDER BY last_used_at, key LIMIT $3",
        );
        let query = query.bind(after.map_or(i64::MIN, |last| last.last_used_at));
        let query = query.bind(after.map_or("", |last| last.key.as_str())).bind(i64::from(limit));
        let rows = run(query.fetch_all(self.database.readers())).await?;
        rows.iter().map(|row| to_storage_error(candidate(row))).collect()
    }

    /// Corrects the size of a file that an interrupted upload may have replaced.
    pub(super) async fn set_size(&self, key: &MediaKey, size_bytes: u64) -> Result<(), Error> {
        let query = sqlx::query("UPDATE media SET size_bytes = $1 WHERE key = $2 AND state = 'ready'");
        run(self.database.execute(query.bind(integer(size_bytes)).bind(key.as_str()))).await?;
        Ok(())
    }
}

#[cfg(test)]
impl MediaIndex {
    /// Sets the time of the last use of a file, and removes its pin.
    pub(super) async fn set_last_used(&self, key: &MediaKey, at: SystemTime) {
        let query = sqlx::query("UPDATE media SET last_used_at = $1, pinned_until = 0 WHERE key = $2");
        run(self.database.execute(query.bind(millis(at)).bind(key.as_str()))).await.unwrap();
    }

    /// Returns all rows as `key state size`, and all uploads as `upload key`.
    pub(super) async fn dump(&self) -> Vec<String> {
        let query = "SELECT key || ' ' || state || ' ' || size_bytes FROM media UNION ALL \
                     SELECT 'upload ' || key FROM media_uploads ORDER BY 1";
        run(sqlx::query_scalar(query).fetch_all(self.database.readers())).await.unwrap()
    }
}

fn entry(row: &DbRow) -> Result<Entry, sqlx::Error> {
    let state = match row.try_get("state")? {
        "pending" => State::Pending,
        "ready" => State::Ready,
        "deleting" => State::Deleting,
        other => return Err(sqlx::Error::Decode(format!("media.state: unknown state {other:?}").into())),
    };
    let size_bytes = u64::try_from(row.try_get::<i64, _>("size_bytes")?).unwrap_or(0);
    Ok(Entry { state, size_bytes, pinned_until: row.try_get("pinned_until")? })
}

fn candidate(row: &DbRow) -> Result<Candidate, sqlx::Error> {
    let key: &str = row.try_get("key")?;
    let key =
        MediaKey::parse(key).ok_or_else(|| sqlx::Error::Decode(format!("media.key: invalid key {key:?}").into()))?;
    let size_bytes = u64::try_from(row.try_get::<i64, _>("size_bytes")?).unwrap_or(0);
    Ok(Candidate { key, size_bytes, last_used_at: row.try_get("last_used_at")? })
}

/// Runs statements and reports a failure as [`Error::Storage`] or [`Error::StorageNotWritable`].
async fn run<T>(statements: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, Error> {
    // A paused test clock must not advance while SQLite works: timeouts around the statements would fire.
    #[cfg(test)]
    let _clock = crate::media::store::testing::stop_auto_advance();
    to_storage_error(statements.await)
}

fn to_storage_error<T>(result: Result<T, sqlx::Error>) -> Result<T, Error> {
    result.map_err(|error| storage_error("media index", &error))
}

/// Returns the milliseconds since 1970, as the database stores times.
fn millis(at: SystemTime) -> i64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Converts a size for SQL, which has no unsigned integers. No file is larger than `i64::MAX` bytes.
fn integer(size_bytes: u64) -> i64 {
    i64::try_from(size_bytes).unwrap_or(i64::MAX)
}
