//! Removals of files: the row is marked before the object is removed, and deleted after it.

use std::time::SystemTime;

use sqlx::Row as _;

use super::{Candidate, MediaIndex, REMOVAL_LEASE, millis, run};
use crate::{error::Error, media::key::MediaKey};

/// The right to remove one object, until [`REMOVAL_LEASE`] ends.
#[derive(Debug)]
pub(in crate::media::store) struct Removal {
    pub(in crate::media::store) key: MediaKey,
    lease_until: i64,
}

impl MediaIndex {
    /// Begins the removal of a file, unless it was used since `candidate` was read, is pinned, or is being uploaded again.
    pub(in crate::media::store) async fn begin_removal_if_unused(
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
        let begun = run(self.database.execute(query)).await? > 0;
        Ok(begun.then(|| Removal { key: candidate.key.clone(), lease_until }))
    }

    /// Begins the removal of a file, even if it is in use.
    pub(in crate::media::store) async fn begin_removal(
        &self,
        key: &MediaKey,
        now: SystemTime,
    ) -> Result<Removal, Error> {
        let lease_until = millis(now + REMOVAL_LEASE);
        let query = sqlx::query("UPDATE media SET state = 'deleting', removal_lease_until = $1 WHERE key = $2");
        run(self.database.execute(query.bind(lease_until).bind(key.as_str()))).await?;
        Ok(Removal { key: key.clone(), lease_until })
    }

    /// Takes over at most `limit` removals whose processes were killed.
    pub(in crate::media::store) async fn interrupted_removals(
        &self,
        limit: u32,
        now: SystemTime,
    ) -> Result<Vec<Removal>, Error> {
        let lease_until = millis(now + REMOVAL_LEASE);
        let query = sqlx::query(
            "UPDATE media SET removal_lease_until = $1 WHERE key IN (SELECT key FROM media \
             WHERE state = 'deleting' AND removal_lease_until <= $2 LIMIT $3) RETURNING key",
        );
        let query = query.bind(lease_until).bind(millis(now)).bind(i64::from(limit));
        let rows = run(self.database.fetch_all(query)).await?;
        let keys = rows.iter().filter_map(|row| MediaKey::parse(row.try_get("key").ok()?));
        Ok(keys.map(|key| Removal { key, lease_until }).collect())
    }

    /// Deletes the row of a file whose object is removed, unless another process has taken the removal over.
    pub(in crate::media::store) async fn finish_removal(&self, removal: &Removal) -> Result<(), Error> {
        let query = sqlx::query("DELETE FROM media WHERE key = $1 AND state = 'deleting' AND removal_lease_until = $2");
        let query = query.bind(removal.key.as_str()).bind(removal.lease_until);
        run(self.database.execute(query)).await?;
        Ok(())
    }

    /// Begins the removal of a file whose first upload was interrupted. `None` if the file is stored or is being uploaded.
    pub(in crate::media::store) async fn begin_removal_of_pending(
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
        let begun = run(self.database.execute(query)).await? > 0;
        Ok(begun.then(|| Removal { key: key.clone(), lease_until }))
    }
}
