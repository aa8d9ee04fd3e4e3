//! The media files that a database names. Reads the index in any version of its schema, because a backup is made before a migration.

use std::{fs, path::Path};

use sqlx::SqliteConnection;

use super::{
    error::BackupError,
    layout::{DATABASE_FILE, MEDIA},
};
use crate::media::MediaKey;

/// Returns the keys of the stored files, without those whose first upload is in progress or whose removal has begun.
///
/// # Errors
/// The index cannot be read; without an index, the directory cannot be listed.
pub(super) async fn stored_keys(
    database: &mut SqliteConnection,
    data_dir: &Path,
) -> Result<Vec<MediaKey>, BackupError> {
    let failed = |source| BackupError::Copy { path: data_dir.join(DATABASE_FILE), source };
    if !has_index(database).await.map_err(failed)? {
        return list(&data_dir.join(MEDIA));
    }
    let query = sqlx::query_scalar("SELECT key FROM media WHERE state = 'ready' ORDER BY key");
    let keys: Vec<String> = query.fetch_all(database).await.map_err(failed)?;
    // The index has only valid keys. An invalid one is skipped, so that it cannot become a path.
    Ok(keys.iter().filter_map(|key| MediaKey::parse(key)).collect())
}

/// Returns those of `absent` that the database names as stored.
pub(super) async fn still_stored(
    database: &mut SqliteConnection,
    absent: &[MediaKey],
) -> Result<Vec<String>, sqlx::Error> {
    if !has_index(database).await? {
        return Ok(Vec::new());
    }
    let keys = serde_json::Value::from(absent.iter().map(MediaKey::as_str).collect::<Vec<_>>()).to_string();
    let query = "SELECT key FROM media WHERE state = 'ready' AND key IN (SELECT value FROM json_each($1)) ORDER BY key";
    sqlx::query_scalar(query).bind(keys).fetch_all(database).await
}

/// Returns whether the database has an index of all files. A database of an early version has none, or has not filled it yet.
async fn has_index(database: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    let query = "SELECT COUNT(*) FROM sqlite_schema WHERE type = 'table' AND name = 'media_imports'";
    let tables: i64 = sqlx::query_scalar(query).fetch_one(&mut *database).await?;
    if tables == 0 {
        return Ok(false);
    }
    let imports: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM media_imports").fetch_one(database).await?;
    Ok(imports > 0)
}

/// Returns the files of a directory whose names are keys: staging files are not among them.
fn list(directory: &Path) -> Result<Vec<MediaKey>, BackupError> {
    if !directory.exists() {
        return Ok(Vec::new());
    }
    let mut keys = Vec::new();
    for entry in fs::read_dir(directory).map_err(BackupError::at(directory))? {
        let entry = entry.map_err(BackupError::at(directory))?;
        keys.extend(entry.file_name().to_str().and_then(MediaKey::parse));
    }
    Ok(keys)
}
