//! The index of the media store: which files exist, how large they are, and until when each must stay.
//!
//! The object store has the files; the index is what the sweeper decides by. An upload writes its rows before the object
//! and a removal deletes its row after the object, so no crash can leave an object that the index does not know. Rows that
//! a killed process left are found by their expired leases.
//!
//! Every statement that decides something is one conditional write, so several processes can share the database.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sqlx::{QueryBuilder, Row, Sqlite, sqlite::SqliteRow};
use uuid::Uuid;

use crate::{database::Database, error::Error, keys::Owner, media::key::MediaKey};

/// How long one pin protects a file from the sweepers of all processes.
pub(super) const PIN: Duration = Duration::from_mins(10);

/// A use of a file writes its row at most once in this time.
pub(super) const PIN_INTERVAL: Duration = Duration::from_secs(150);

/// How long a file stays after its last use in any case: players and resumed downloads return for the next range, and a
/// link that was just handed out has not been followed yet.
pub(in crate::media) const REUSE_WINDOW: Duration = Duration::from_mins(5);

/// How long an upload counts as in progress without a sign of life.
const UPLOAD_LEASE: Duration = PIN;

/// How long the removal of one object may take.
pub(super) const REMOVAL_LEASE: Duration = Duration::from_mins(1);

/// The most keys that one statement names. SQLite takes 32766 parameters.
const KEYS_PER_STATEMENT: usize = 1000;

/// Adds an owner of a file in the index. The anonymous owner has no rows: without keys everybody may use everything.
const ADD_OWNER: &str = "INSERT INTO media_owners (key, owner) SELECT key, $2 FROM media WHERE key = $1 \
     ON CONFLICT (key, owner) DO NOTHING";

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
    pinned_until: i64,
}

impl Entry {
    /// Whether a use at this time has to be written: less than [`PIN`] minus [`PIN_INTERVAL`] of the pin remains.
    pub(super) fn needs_pin(&self, now: SystemTime) -> bool {
        self.state == State::Ready && self.pinned_until < millis(now + PIN.saturating_sub(PIN_INTERVAL))
    }
}

/// A stored file, as the sweeper sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::media) struct Candidate {
    pub(in crate::media) key: MediaKey,
    pub(in crate::media) size_bytes: u64,
    last_used_at: i64,
}

impl Candidate {
    /// Returns how long it has not been used; zero if the clock was set back since.
    pub(in crate::media) fn idle(&self, now: SystemTime) -> Duration {
        Duration::from_millis(u64::try_from(millis(now).saturating_sub(self.last_used_at)).unwrap_or(0))
    }
}

/// A file that was in the object store before the index existed.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) key: MediaKey,
    pub(super) size_bytes: u64,
    pub(super) last_used: SystemTime,
}

/// The id of an upload in progress.
#[derive(Debug, Clone)]
pub(super) struct UploadId(String);

/// The right to remove one object, until [`REMOVAL_LEASE`] ends.
#[derive(Debug)]
pub(super) struct Removal {
    pub(super) key: MediaKey,
    lease_until: i64,
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
    pub(super) async fn import(&self, files: &[Found], now: SystemTime) -> Result<(), Error> {
        for files in files.chunks(KEYS_PER_STATEMENT) {
            let mut query =
                QueryBuilder::<Sqlite>::new("INSERT INTO media (key, state, size_bytes, created_at, last_used_at) ");
            query.push_values(files, |mut row, file| {
                row.push_bind(file.key.as_str()).push("'ready'").push_bind(integer(file.size_bytes));
                row.push_bind(millis(now)).push_bind(millis(file.last_used));
            });
            query.push(" ON CONFLICT (key) DO NOTHING");
            run(query.build().execute(self.database.writer())).await?;
        }
        Ok(())
    }

    /// Whether the files from before the index have been imported.
    pub(super) async fn is_imported(&self) -> Result<bool, Error> {
        let query = sqlx::query_scalar("SELECT COUNT(*) FROM media_imports");
        let count: i64 = run(query.fetch_one(self.database.readers())).await?;
        Ok(count > 0)
    }

    /// Records that the import is complete.
    pub(super) async fn finish_import(&self, now: SystemTime) -> Result<(), Error> {
        let query = sqlx::query("INSERT INTO media_imports (finished_at) VALUES ($1)").bind(millis(now));
        run(query.execute(self.database.writer())).await?;
        Ok(())
    }

    /// Records a use of each of these files, and pins them for [`PIN`].
    pub(super) async fn pin(&self, keys: &[MediaKey], now: SystemTime) -> Result<(), Error> {
        for keys in keys.chunks(KEYS_PER_STATEMENT) {
            let mut query = QueryBuilder::<Sqlite>::new("UPDATE media SET last_used_at = ");
            query.push_bind(millis(now)).push(", pinned_until = ").push_bind(millis(now + PIN));
            query.push(" WHERE state = 'ready' AND key IN (");
            let mut list = query.separated(", ");
            for key in keys {
                list.push_bind(key.as_str());
            }
            query.push(")");
            run(query.build().execute(self.database.writer())).await?;
        }
        Ok(())
    }

    /// Pins a file of this size, if it is ready. Returns whether it is, and so stays for at least [`REUSE_WINDOW`].
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
        let query = query.bind(millis(now)).bind(millis(now + PIN)).bind(key.as_str()).bind(integer(size_bytes));
        Ok(run(query.execute(self.database.writer())).await?.rows_affected() > 0)
    }

    /// Registers an upload, before its object is written. `None` while another process removes an object of this key.
    pub(super) async fn begin_upload(&self, key: &MediaKey, now: SystemTime) -> Result<Option<UploadId>, Error> {
        run(self.database.check_file()).await?;
        let id = UploadId(Uuid::now_v7().simple().to_string());
        let begin = async {
            let mut transaction = self.database.writer().begin().await?;
            // A removal whose lease has expired was interrupted; this upload takes its place.
            sqlx::query(
                "INSERT INTO media (key, state, size_bytes, created_at, last_used_at) VALUES ($1, 'pending', 0, $2, $2) \
                 ON CONFLICT (key) DO UPDATE SET state = 'pending', size_bytes = 0 \
                 WHERE media.state = 'deleting' AND media.removal_lease_until <= $2",
            )
            .bind(key.as_str())
            .bind(millis(now))
            .execute(&mut *transaction)
            .await?;
            let registered = sqlx::query(
                "INSERT INTO media_uploads (id, key, lease_until) SELECT $1, key, $2 FROM media \
                 WHERE key = $3 AND state <> 'deleting'",
            )
            .bind(&id.0)
            .bind(millis(now + UPLOAD_LEASE))
            .bind(key.as_str())
            .execute(&mut *transaction)
            .await?;
            transaction.commit().await?;
            Ok(registered.rows_affected() > 0)
        };
        Ok(run(begin).await?.then_some(id))
    }

    /// Extends the lease of an upload in progress.
    pub(super) async fn renew_upload(&self, id: &UploadId, now: SystemTime) -> Result<(), Error> {
        let query = sqlx::query("UPDATE media_uploads SET lease_until = $1 WHERE id = $2");
        run(query.bind(millis(now + UPLOAD_LEASE)).bind(&id.0).execute(self.database.writer())).await?;
        Ok(())
    }

    /// Records that the object is stored by this owner, and pins it for [`REUSE_WINDOW`].
    pub(super) async fn finish_upload(
        &self,
        id: &UploadId,
        key: &MediaKey,
        owner: &Owner,
        size_bytes: u64,
        now: SystemTime,
    ) -> Result<(), Error> {
        let finish = async {
            let mut transaction = self.database.writer().begin().await?;
            // The row can be missing: an explicit removal during the upload deletes it, and the object exists again now.
            sqlx::query(
                "INSERT INTO media (key, state, size_bytes, created_at, last_used_at, pinned_until) \
                 VALUES ($1, 'ready', $2, $3, $3, $4) ON CONFLICT (key) DO UPDATE SET state = 'ready', \
                 size_bytes = excluded.size_bytes, created_at = excluded.created_at, \
                 last_used_at = excluded.last_used_at, pinned_until = excluded.pinned_until",
            )
            .bind(key.as_str())
            .bind(integer(size_bytes))
            .bind(millis(now))
            .bind(millis(now + REUSE_WINDOW))
            .execute(&mut *transaction)
            .await?;
            sqlx::query("DELETE FROM media_uploads WHERE id = $1").bind(&id.0).execute(&mut *transaction).await?;
            if !owner.as_str().is_empty() {
                let add = sqlx::query(ADD_OWNER).bind(key.as_str()).bind(owner.as_str());
                add.execute(&mut *transaction).await?;
            }
            transaction.commit().await
        };
        run(finish).await
    }

    /// Records that a stored file also belongs to this owner.
    pub(super) async fn add_owner(&self, key: &MediaKey, owner: &Owner) -> Result<(), Error> {
        if owner.as_str().is_empty() || self.has_owner(key, owner).await? {
            return Ok(());
        }
        let query = sqlx::query(ADD_OWNER).bind(key.as_str()).bind(owner.as_str());
        run(query.execute(self.database.writer())).await?;
        Ok(())
    }

    /// Returns whether the file belongs to this owner.
    pub(super) async fn has_owner(&self, key: &MediaKey, owner: &Owner) -> Result<bool, Error> {
        let query = sqlx::query_scalar("SELECT COUNT(*) FROM media_owners WHERE key = $1 AND owner = $2");
        let query = query.bind(key.as_str()).bind(owner.as_str());
        let count: i64 = run(query.fetch_one(self.database.readers())).await?;
        Ok(count > 0)
    }

    /// Forgets an upload that failed and left nothing behind.
    pub(super) async fn abandon_upload(&self, id: &UploadId, key: &MediaKey) -> Result<(), Error> {
        let abandon = async {
            let mut transaction = self.database.writer().begin().await?;
            sqlx::query("DELETE FROM media_uploads WHERE id = $1").bind(&id.0).execute(&mut *transaction).await?;
            sqlx::query(
                "DELETE FROM media WHERE key = $1 AND state = 'pending' \
                 AND NOT EXISTS (SELECT 1 FROM media_uploads WHERE key = $1)",
            )
            .bind(key.as_str())
            .execute(&mut *transaction)
            .await?;
            transaction.commit().await
        };
        run(abandon).await
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

    /// Begins the removal of a file, unless it was used since it was read, is pinned, or is being uploaded again.
    pub(super) async fn begin_removal_if_unused(
        &self,
        candidate: &Candidate,
        now: SystemTime,
    ) -> Result<Option<Removal>, Error> {
        let lease_until = millis(now + REMOVAL_LEASE);
        let query = sqlx::query(
            "UPDATE media SET state = 'deleting', removal_lease_until = $1 WHERE key = $2 AND state = 'ready' \
             AND last_used_at = $3 AND pinned_until <= $4 \
             AND NOT EXISTS (SELECT 1 FROM media_uploads WHERE key = $2 AND lease_until > $4)",
        );
        let query = query.bind(lease_until).bind(candidate.key.as_str()).bind(candidate.last_used_at).bind(millis(now));
        let begun = run(query.execute(self.database.writer())).await?.rows_affected() > 0;
        Ok(begun.then(|| Removal { key: candidate.key.clone(), lease_until }))
    }

    /// Begins the removal of a file, even if it is in use.
    pub(super) async fn begin_removal(&self, key: &MediaKey, now: SystemTime) -> Result<Removal, Error> {
        let lease_until = millis(now + REMOVAL_LEASE);
        let query = sqlx::query("UPDATE media SET state = 'deleting', removal_lease_until = $1 WHERE key = $2");
        run(query.bind(lease_until).bind(key.as_str()).execute(self.database.writer())).await?;
        Ok(Removal { key: key.clone(), lease_until })
    }

    /// Takes over at most `limit` removals whose processes were killed.
    pub(super) async fn interrupted_removals(&self, limit: u32, now: SystemTime) -> Result<Vec<Removal>, Error> {
        let lease_until = millis(now + REMOVAL_LEASE);
        let query = sqlx::query_scalar(
            "UPDATE media SET removal_lease_until = $1 WHERE key IN (SELECT key FROM media \
             WHERE state = 'deleting' AND removal_lease_until <= $2 LIMIT $3) RETURNING key",
        );
        let query = query.bind(lease_until).bind(millis(now)).bind(i64::from(limit));
        let keys: Vec<String> = run(query.fetch_all(self.database.writer())).await?;
        let keys = keys.iter().filter_map(|key| MediaKey::parse(key));
        Ok(keys.map(|key| Removal { key, lease_until }).collect())
    }

    /// Deletes the row of a file whose object is removed, unless another process has taken the removal over.
    pub(super) async fn finish_removal(&self, removal: &Removal) -> Result<(), Error> {
        let query = sqlx::query("DELETE FROM media WHERE key = $1 AND state = 'deleting' AND removal_lease_until = $2");
        let query = query.bind(removal.key.as_str()).bind(removal.lease_until);
        run(query.execute(self.database.writer())).await?;
        Ok(())
    }

    /// Returns at most `limit` keys, in order from `after`, whose uploads were all interrupted.
    pub(super) async fn interrupted_uploads(
        &self,
        after: Option<&MediaKey>,
        limit: u32,
        now: SystemTime,
    ) -> Result<Vec<MediaKey>, Error> {
        let query = sqlx::query_scalar(
            "SELECT key FROM media_uploads WHERE key > $1 GROUP BY key HAVING MAX(lease_until) <= $2 ORDER BY key LIMIT $3",
        );
        let query = query.bind(after.map_or("", MediaKey::as_str)).bind(millis(now)).bind(i64::from(limit));
        let keys: Vec<String> = run(query.fetch_all(self.database.readers())).await?;
        Ok(keys.iter().filter_map(|key| MediaKey::parse(key)).collect())
    }

    /// Begins the removal of a file whose first upload was interrupted. `None` if the file is stored or is being uploaded.
    pub(super) async fn begin_removal_of_pending(
        &self,
        key: &MediaKey,
        now: SystemTime,
    ) -> Result<Option<Removal>, Error> {
        let lease_until = millis(now + REMOVAL_LEASE);
        let query = sqlx::query(
            "UPDATE media SET state = 'deleting', removal_lease_until = $1 WHERE key = $2 AND state = 'pending' \
             AND NOT EXISTS (SELECT 1 FROM media_uploads WHERE key = $2 AND lease_until > $3)",
        );
        let query = query.bind(lease_until).bind(key.as_str()).bind(millis(now));
        let begun = run(query.execute(self.database.writer())).await?.rows_affected() > 0;
        Ok(begun.then(|| Removal { key: key.clone(), lease_until }))
    }

    /// Forgets the interrupted uploads of a file, after what they left was removed.
    pub(super) async fn forget_interrupted_uploads(&self, key: &MediaKey, now: SystemTime) -> Result<(), Error> {
        let query = sqlx::query("DELETE FROM media_uploads WHERE key = $1 AND lease_until <= $2");
        run(query.bind(key.as_str()).bind(millis(now)).execute(self.database.writer())).await?;
        Ok(())
    }

    /// Corrects the size of a file that an interrupted upload may have replaced.
    pub(super) async fn set_size(&self, key: &MediaKey, size_bytes: u64) -> Result<(), Error> {
        let query = sqlx::query("UPDATE media SET size_bytes = $1 WHERE key = $2 AND state = 'ready'");
        run(query.bind(integer(size_bytes)).bind(key.as_str()).execute(self.database.writer())).await?;
        Ok(())
    }
}

#[cfg(test)]
impl MediaIndex {
    /// Makes a file look as if it was last used then, and takes its pin away.
    pub(super) async fn set_last_used(&self, key: &MediaKey, at: SystemTime) {
        let query = sqlx::query("UPDATE media SET last_used_at = $1, pinned_until = 0 WHERE key = $2");
        run(query.bind(millis(at)).bind(key.as_str()).execute(self.database.writer())).await.unwrap();
    }

    /// Returns all rows as `key state size`, and all uploads as `upload key`.
    pub(super) async fn dump(&self) -> Vec<String> {
        let query = "SELECT key || ' ' || state || ' ' || size_bytes FROM media UNION ALL \
                     SELECT 'upload ' || key FROM media_uploads ORDER BY 1";
        run(sqlx::query_scalar(query).fetch_all(self.database.readers())).await.unwrap()
    }
}

fn entry(row: &SqliteRow) -> Result<Entry, sqlx::Error> {
    let state = match row.try_get("state")? {
        "pending" => State::Pending,
        "ready" => State::Ready,
        "deleting" => State::Deleting,
        other => return Err(sqlx::Error::Decode(format!("media.state: unknown state {other:?}").into())),
    };
    let size_bytes = u64::try_from(row.try_get::<i64, _>("size_bytes")?).unwrap_or(0);
    Ok(Entry { state, size_bytes, pinned_until: row.try_get("pinned_until")? })
}

fn candidate(row: &SqliteRow) -> Result<Candidate, sqlx::Error> {
    let key: &str = row.try_get("key")?;
    let key =
        MediaKey::parse(key).ok_or_else(|| sqlx::Error::Decode(format!("media.key: invalid key {key:?}").into()))?;
    let size_bytes = u64::try_from(row.try_get::<i64, _>("size_bytes")?).unwrap_or(0);
    Ok(Candidate { key, size_bytes, last_used_at: row.try_get("last_used_at")? })
}

/// Runs statements and reports a failure as [`Error::Storage`].
async fn run<T>(statements: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, Error> {
    #[cfg(test)]
    let _clock = super::testing::stop_auto_advance();
    to_storage_error(statements.await)
}

fn to_storage_error<T>(result: Result<T, sqlx::Error>) -> Result<T, Error> {
    result.map_err(|error| Error::Storage(format!("media index: {error}")))
}

/// Milliseconds since 1970, as the database stores times.
fn millis(at: SystemTime) -> i64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// SQL has no unsigned integers. No file is larger than `i64::MAX` bytes.
fn integer(size_bytes: u64) -> i64 {
    i64::try_from(size_bytes).unwrap_or(i64::MAX)
}
