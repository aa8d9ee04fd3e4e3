//! The rows of the table `api_keys`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sqlx::{Row, query::Query};

use crate::{
    config::AccountLimits,
    database::{Db, DbArguments, DbRow},
    error::Error,
    keys::{KeyChange, KeyDefinition, SecretDigest, StoredKey},
    on_disconnect::OnDisconnect,
    priority::Priority,
};

/// Inserts a key unless its name is taken. The parameters are those of [`bind`].
pub(super) const INSERT: &str = "INSERT INTO api_keys (name, revision, digest, hint, previous_digest, previous_hint, \
     previous_until, team, admin, on_disconnect, limits, expires_at, created_at, created_by, updated_at, updated_by, revoked_at, \
     priority) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) ON CONFLICT (name) DO NOTHING";

/// Replaces a key if the stored revision is the one before that of `key`. The parameters are those of [`bind`].
pub(super) const REPLACE: &str = "UPDATE api_keys SET revision = $2, digest = $3, hint = $4, previous_digest = $5, \
     previous_hint = $6, previous_until = $7, team = $8, admin = $9, on_disconnect = $10, limits = $11, expires_at = $12, \
     created_at = $13, created_by = $14, updated_at = $15, updated_by = $16, revoked_at = $17, priority = $18 \
     WHERE name = $1 AND revision = $2 - 1";

/// The columns that contain structures as text, `limits` as JSON.
pub(super) struct Columns {
    on_disconnect: Option<String>,
    limits: String,
}

/// Returns these columns for a key.
pub(super) fn columns(key: &StoredKey) -> Result<Columns, Error> {
    let KeyDefinition { on_disconnect, limits, .. } = &key.definition;
    let limits = serde_json::to_string(limits).map_err(|error| Error::Internal(format!("limits of a key: {error}")))?;
    Ok(Columns { on_disconnect: on_disconnect.map(|policy| policy.to_string()), limits })
}

/// Binds all columns.
pub(super) fn bind<'q>(
    query: Query<'q, Db, DbArguments>,
    key: &StoredKey,
    columns: &Columns,
) -> Query<'q, Db, DbArguments> {
    let StoredKey { definition, revision, secret, previous_secret, expires_at, created, updated, revoked_at } = key;
    let KeyDefinition { name, team, admin, on_disconnect: _, priority, limits: _ } = definition;
    let digest = |secret: &SecretDigest| secret.digest.to_vec();
    let hint = |secret: &SecretDigest| secret.hint.clone();
    let previous = previous_secret.as_ref();
    query
        .bind(name.clone())
        .bind(i64::from(*revision))
        .bind(secret.as_ref().map(digest))
        .bind(secret.as_ref().map(hint))
        .bind(previous.map(|(secret, _)| digest(secret)))
        .bind(previous.map(|(secret, _)| hint(secret)))
        .bind(previous.map(|(_, until)| millis(*until)))
        .bind(team.clone())
        .bind(i64::from(*admin))
        .bind(columns.on_disconnect.clone())
        .bind(columns.limits.clone())
        .bind(expires_at.map(millis))
        .bind(millis(created.at))
        .bind(created.by.clone())
        .bind(millis(updated.at))
        .bind(updated.by.clone())
        .bind(revoked_at.map(millis))
        .bind(priority.as_str())
}

/// Selects all keys.
pub(super) const SELECT: &str = "SELECT name, revision, digest, hint, previous_digest, previous_hint, previous_until, team, admin, \
     on_disconnect, priority, limits, expires_at, created_at, created_by, updated_at, updated_by, revoked_at FROM api_keys ORDER BY name";

/// Reads a row.
///
/// # Errors
/// A column has no valid value. The core does not start then: without the row, a server could accept calls without a key.
pub(super) fn key(row: &DbRow) -> Result<StoredKey, sqlx::Error> {
    let name: String = row.try_get("name")?;
    let corrupt = |column: &str, why: String| {
        sqlx::Error::Decode(format!("the stored API key `{name}` has an invalid {column}: {why}").into())
    };
    let secret = |digest: &str, hint: &str| {
        let Some(bytes) = row.try_get::<Option<Vec<u8>>, _>(digest)? else { return Ok(None) };
        let bytes = bytes.try_into().map_err(|_| corrupt(digest, "not 32 bytes".to_owned()))?;
        let hint = row.try_get::<Option<String>, _>(hint)?.unwrap_or_default();
        Ok::<_, sqlx::Error>(Some(SecretDigest { digest: bytes, hint }))
    };
    let time = |column: &str| row.try_get::<Option<i64>, _>(column).map(|millis| millis.map(time_of));
    let on_disconnect = row.try_get::<Option<String>, _>("on_disconnect")?;
    let on_disconnect = on_disconnect.map(|text| text.parse::<OnDisconnect>()).transpose();
    let priority = row.try_get::<&str, _>("priority")?.parse::<Priority>();
    let limits = serde_json::from_str::<AccountLimits>(row.try_get("limits")?);
    let change =
        |at: &str, by: &str| Ok::<_, sqlx::Error>(KeyChange { at: time_of(row.try_get(at)?), by: row.try_get(by)? });
    Ok(StoredKey {
        revision: u32::try_from(row.try_get::<i64, _>("revision")?)
            .map_err(|error| corrupt("revision", error.to_string()))?,
        secret: secret("digest", "hint")?,
        previous_secret: secret("previous_digest", "previous_hint")?.zip(time("previous_until")?),
        expires_at: time("expires_at")?,
        created: change("created_at", "created_by")?,
        updated: change("updated_at", "updated_by")?,
        revoked_at: time("revoked_at")?,
        definition: KeyDefinition {
            team: row.try_get("team")?,
            admin: row.try_get::<i64, _>("admin")? != 0,
            on_disconnect: on_disconnect.map_err(|error| corrupt("on_disconnect", error.to_string()))?,
            priority: priority.map_err(|error| corrupt("priority", error.to_string()))?,
            limits: limits.map_err(|error| corrupt("limits", error.to_string()))?,
            name,
        },
    })
}

/// Returns a time as milliseconds since 1970.
fn millis(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn time_of(millis: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).unwrap_or_default())
}
