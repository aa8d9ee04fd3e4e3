//! The owners of files: those who have stored them, and so may use them as inputs of requests.

use super::{MediaIndex, run};
use crate::{database::DbConnection, error::Error, keys::Owner, media::key::MediaKey};

/// Adds an owner of a file in the index. The anonymous owner has no rows: without API keys all callers may use all files.
const ADD_OWNER: &str = "INSERT INTO media_owners (key, owner) SELECT key, $2 FROM media WHERE key = $1 \
     ON CONFLICT (key, owner) DO NOTHING";

impl MediaIndex {
    /// Records that a stored file also belongs to this owner.
    pub(in crate::media::store) async fn add_owner(&self, key: &MediaKey, owner: &Owner) -> Result<(), Error> {
        if owner.as_str().is_empty() || self.has_owner(key, owner).await? {
            return Ok(());
        }
        let add = async {
            let mut transaction = self.database.begin().await?;
            add(&mut transaction, key, owner).await?;
            transaction.commit().await
        };
        run(add).await
    }

    /// Returns whether the file belongs to this owner.
    pub(in crate::media::store) async fn has_owner(&self, key: &MediaKey, owner: &Owner) -> Result<bool, Error> {
        let query = sqlx::query_scalar("SELECT COUNT(*) FROM media_owners WHERE key = $1 AND owner = $2");
        let query = query.bind(key.as_str()).bind(owner.as_str());
        let count: i64 = run(query.fetch_one(self.database.readers())).await?;
        Ok(count > 0)
    }
}

/// Adds an owner of a file in the index; nothing for the anonymous owner.
pub(super) async fn add(database: &mut DbConnection, key: &MediaKey, owner: &Owner) -> Result<(), sqlx::Error> {
    if owner.as_str().is_empty() {
        return Ok(());
    }
    let query = sqlx::query(ADD_OWNER).bind(key.as_str()).bind(owner.as_str());
    query.execute(database).await.map(drop)
}
