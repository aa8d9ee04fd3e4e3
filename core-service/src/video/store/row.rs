//! A job as columns, and back.

use serde::{Serialize, de::DeserializeOwned};
use sqlx::{
    Row, Sqlite,
    query::Query,
    sqlite::{SqliteArguments, SqliteRow},
};

use super::{Claim, StoreError};
use crate::video::{
    UpstreamTask,
    job::{IdempotencyKey, Job, JobId},
    time::Timestamp,
};

/// A statement with its parameters still open.
type Statement<'q> = Query<'q, Sqlite, SqliteArguments>;

/// Binds `$1` to `$15`: the columns from `id` to `fingerprint`, in the order of the table.
pub(super) fn bind<'q>(query: Statement<'q>, job: &Job) -> Result<Statement<'q>, StoreError> {
    // Named one by one, so that a new field stops the build here.
    let Job {
        id,
        order,
        state,
        revision,
        created_at,
        completed_at,
        expires_at,
        deadline_at,
        due_at,
        attempt,
        abandoned,
        deleted,
        key,
    } = job;
    Ok(query
        .bind(id.as_str().to_owned())
        .bind(integer(*revision))
        .bind(state.phase().as_str())
        .bind(document(id, state)?)
        .bind(document(id, order)?)
        .bind(created_at.0)
        .bind(completed_at.map(|at| at.0))
        .bind(expires_at.map(|at| at.0))
        .bind(deadline_at.0)
        .bind(due_at.map(|at| at.0))
        .bind(i64::from(*attempt))
        .bind(abandoned.as_ref().map(|task| task.0.clone()))
        .bind(i64::from(*deleted))
        .bind(key.as_ref().map(|key| key.text.clone()))
        .bind(key.as_ref().map(|key| key.fingerprint.clone())))
}

/// The job in this row.
pub(super) fn job(row: &SqliteRow) -> Result<Job, StoreError> {
    let id: String = row.try_get("id")?;
    let corrupt = |why: String| StoreError::Corrupt { id: id.clone(), why };
    let optional = |column: &str| row.try_get::<Option<i64>, _>(column).map(|at| at.map(Timestamp));
    let key: Option<String> = row.try_get("idempotency_key")?;
    let fingerprint: Option<String> = row.try_get("fingerprint")?;
    Ok(Job {
        order: read(row.try_get("asked")?).map_err(|why| corrupt(format!("asked: {why}")))?,
        state: read(row.try_get("state")?).map_err(|why| corrupt(format!("state: {why}")))?,
        revision: u64::try_from(row.try_get::<i64, _>("revision")?).map_err(|why| corrupt(why.to_string()))?,
        created_at: Timestamp(row.try_get("created_at")?),
        completed_at: optional("completed_at")?,
        expires_at: optional("expires_at")?,
        deadline_at: Timestamp(row.try_get("deadline_at")?),
        due_at: optional("due_at")?,
        attempt: u32::try_from(row.try_get::<i64, _>("attempt")?).map_err(|why| corrupt(why.to_string()))?,
        abandoned: row.try_get::<Option<String>, _>("abandoned")?.map(UpstreamTask),
        deleted: row.try_get::<i64, _>("deleted")? != 0,
        key: key.zip(fingerprint).map(|(text, fingerprint)| IdempotencyKey { text, fingerprint }),
        id: JobId::parse(&id).ok_or_else(|| corrupt("the id is none of ours".to_owned()))?,
    })
}

/// The claim in this row, as it was just written.
pub(super) fn claim(row: &SqliteRow) -> Result<Claim, StoreError> {
    Ok(Claim { job: job(row)?, fence: row.try_get("fence")? })
}

/// A counter as the database has it; none of them comes near the top.
pub(super) fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn document(id: &JobId, value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|why| StoreError::Corrupt { id: id.to_string(), why: why.to_string() })
}

fn read<T: DeserializeOwned>(text: &str) -> serde_json::Result<T> {
    serde_json::from_str(text)
}
