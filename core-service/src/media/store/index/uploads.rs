//! Uploads in progress, and the search for interrupted ones.

use std::time::{Duration, SystemTime};

use uuid::Uuid;

use super::{MediaIndex, PIN_DURATION, REUSE_WINDOW, integer, millis, owners, run};
use crate::{error::Error, keys::Owner, media::key::MediaKey};

/// How long an upload counts as in progress without a renewal.
const UPLOAD_LEASE: Duration = PIN_DURATION;

/// The id of an upload in progress.
#[derive(Debug, Clone)]
pub(in crate::media::store) struct UploadId(String);

impl MediaIndex {
    /// Registers an upload, before its object is written. `None` while another process removes an object of this key.
    pub(in crate::media::store) async fn begin_upload(
        &self,
        key: &MediaKey,
        now: SystemTime,
    ) -> Result<Option<UploadId>, Error> {
        run(self.database.check_file()).await?;
        let id = UploadId(Uuid::now_v7().simple().to_string());
        let begin = async {
            let mut transaction = self.database.begin().await?;
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
    pub(in crate::media::store) async fn renew_upload(&self, id: &UploadId, now: SystemTime) -> Result<(), Error> {
        let query = sqlx::query("UPDATE media_uploads SET lease_until = $1 WHERE id = $2");
        run(self.database.execute(query.bind(millis(now + UPLOAD_LEASE)).bind(&id.0))).await?;
        Ok(())
    }

    /// Records that the object is stored by this owner, and pins it for [`REUSE_WINDOW`].
    pub(in crate::media::store) async fn finish_upload(
        &self,
        id: &UploadId,
        key: &MediaKey,
        owner: &Owner,
        size_bytes: u64,
        now: SystemTime,
    ) -> Result<(), Error> {
        let finish = async {
            let mut transaction = self.database.begin().await?;
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
            owners::add(&mut transaction, key, owner).await?;
            transaction.commit().await
        };
        run(finish).await
    }

    /// Forgets an upload that failed and left nothing behind.
    pub(in crate::media::store) async fn abandon_upload(&self, id: &UploadId, key: &MediaKey) -> Result<(), Error> {
        let abandon = async {
            let mut transaction = self.database.begin().await?;
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

    /// Returns at most `limit` keys, in order from `after`, whose uploads were all interrupted.
    pub(in crate::media::store) async fn interrupted_uploads(
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

    /// Forgets the interrupted uploads of a file, after their staging files and objects were removed.
    pub(in crate::media::store) async fn forget_interrupted_uploads(
        &self,
        key: &MediaKey,
        now: SystemTime,
    ) -> Result<(), Error> {
        let query = sqlx::query("DELETE FROM media_uploads WHERE key = $1 AND lease_until <= $2");
        run(self.database.execute(query.bind(key.as_str()).bind(millis(now)))).await?;
        Ok(())
    }
}
