//! The row of a job: the statements that write it, and its conversion to and from [`Job`].

use std::error::Error;

use sqlx::{Row, query::Query};

use crate::{
    database::{Db, DbArguments, DbRow},
    idempotency::{Fingerprint, Key},
    keys::Owner,
    video::{
        job::{Job, JobId, JobKey, JobRequest},
        provider::UpstreamTask,
        state::JobState,
        store::{Claim, JobEvent, StoreError},
        time::Timestamp,
    },
};

/// A statement whose parameters are not all bound yet.
type Statement<'q> = Query<'q, Db, DbArguments>;

/// Inserts a job.
pub(super) const INSERT: &str = "INSERT INTO video_jobs (id, owner, revision, phase, state, request, origin, created_at, \
     completed_at, expires_at, deadline_at, due_at, failures, abandoned, deleted, idempotency_key, fingerprint, key_expires_at, \
     submissions, extra_json, provider_id, charge, priority) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)";

/// The columns of a job and of a claim.
macro_rules! columns {
    () => {
        "id, owner, revision, state, request, origin, created_at, completed_at, expires_at, deadline_at, due_at, failures, \
         submissions, abandoned, deleted, idempotency_key, fingerprint, key_expires_at, charge, priority, extra_json, fence"
    };
}
pub(super) use columns;

/// The columns of a job in a list, which needs neither the long `extra_json` nor the fence of a claim.
pub(super) const LISTED: &str = "id, owner, revision, state, request, origin, created_at, completed_at, expires_at, \
     deadline_at, due_at, failures, submissions, abandoned, deleted, idempotency_key, fingerprint, key_expires_at, charge, priority, \
     '' AS extra_json";

/// Changes a job that has revision `$20`. Owner, request, origin, priority and creation time never change, so the statement leaves
/// their parameters out. The key is only ever removed: between the read and this write a later call may have taken it over.
pub(super) const AMEND: &str = "UPDATE video_jobs SET revision = $3, phase = $4, state = $5, completed_at = $9, \
     expires_at = $10, deadline_at = $11, due_at = $12, failures = $13, submissions = $19, abandoned = $14, deleted = $15, \
     idempotency_key = CASE WHEN $16 IS NULL THEN NULL ELSE idempotency_key END, charge = $21 WHERE id = $1 AND revision = $20";

/// As [`AMEND`], for a claim with fence `$22`, which ends unless `$23` is 1.
pub(super) const COMMIT: &str = "UPDATE video_jobs SET revision = $3, phase = $4, state = $5, completed_at = $9, \
     expires_at = $10, deadline_at = $11, due_at = $12, failures = $13, submissions = $19, abandoned = $14, deleted = $15, \
     idempotency_key = CASE WHEN $16 IS NULL THEN NULL ELSE idempotency_key END, charge = $21, \
     lease_owner = CASE WHEN $23 = 1 THEN lease_owner ELSE '' END \
     WHERE id = $1 AND revision = $20 AND fence = $22";

/// Binds all parameters of [`INSERT`].
pub(super) fn bind_new<'q>(query: Statement<'q>, job: &Job) -> Result<Statement<'q>, StoreError> {
    let JobRequest { provider_id, parameters, .. } = &job.request;
    let query = bind(query, job)?.bind(parameters.extra_json.clone()).bind(provider_id.clone()).bind(charge(job)?);
    Ok(query.bind(job.priority.as_str()))
}

/// Binds `$20` and `$21` of [`AMEND`] and [`COMMIT`]: the revision that the change is based on, and the charge.
pub(super) fn bind_change<'q>(query: Statement<'q>, before: &Job, next: &Job) -> Result<Statement<'q>, StoreError> {
    Ok(bind(query, next)?.bind(integer(before.revision)).bind(charge(next)?))
}

/// Returns the column `charge`.
fn charge(job: &Job) -> Result<Option<String>, StoreError> {
    let document = job.charge.as_ref().map(serde_json::to_string).transpose();
    document.map_err(|why| StoreError::Corrupt { id: job.id.to_string(), why: why.to_string() })
}

/// Binds `$1` to `$19`.
fn bind<'q>(query: Statement<'q>, job: &Job) -> Result<Statement<'q>, StoreError> {
    // Destructured, so that a new field stops the build here.
    let Job {
        id,
        owner,
        request,
        origin,
        priority: _,
        state,
        revision,
        created_at,
        completed_at,
        expires_at,
        deadline_at,
        due_at,
        submissions,
        failures,
        abandoned,
        deleted,
        key,
        charge: _,
    } = job;
    let corrupt = |why: String| StoreError::Corrupt { id: id.to_string(), why };
    Ok(query
        .bind(id.as_str().to_owned())
        .bind(owner.as_str().to_owned())
        .bind(integer(*revision))
        .bind(state.phase().as_str())
        .bind(state.to_json().map_err(|why| corrupt(why.to_string()))?)
        .bind(serde_json::to_string(request).map_err(|why| corrupt(why.to_string()))?)
        .bind(serde_json::to_string(origin).map_err(|why| corrupt(why.to_string()))?)
        .bind(created_at.0)
        .bind(completed_at.map(|at| at.0))
        .bind(expires_at.map(|at| at.0))
        .bind(deadline_at.0)
        .bind(due_at.map(|at| at.0))
        .bind(i64::from(*failures))
        .bind(abandoned.as_ref().map(|task| task.0.clone()))
        .bind(i64::from(*deleted))
        .bind(key.as_ref().map(|key| key.key.to_column()))
        .bind(key.as_ref().map(|key| key.fingerprint.to_hex()))
        .bind(key.as_ref().and_then(|key| key.expires_at).map(|at| at.0))
        .bind(i64::from(*submissions)))
}

/// Reads the job in a row.
///
/// # Errors
/// `Corrupt` with the id for every decoding error, so that callers can skip the row: it must not fail calls for other jobs.
pub(super) fn job(row: &DbRow) -> Result<Job, StoreError> {
    decode(row).map_err(|why| StoreError::Corrupt { id: raw_id(row), why: why.to_string() })
}

/// Returns the id in a row as it is stored; empty if it is no text.
pub(super) fn raw_id(row: &DbRow) -> String {
    row.try_get("id").unwrap_or_default()
}

fn decode(row: &DbRow) -> Result<Job, Box<dyn Error + Send + Sync>> {
    let optional = |column: &str| row.try_get::<Option<i64>, _>(column).map(|at| at.map(Timestamp));
    let mut request: JobRequest =
        serde_json::from_str(row.try_get("request")?).map_err(|why| format!("request: {why}"))?;
    request.parameters.extra_json = row.try_get("extra_json")?;
    Ok(Job {
        id: JobId::parse(row.try_get("id")?).ok_or("the id is not a job id")?,
        owner: Owner::new(row.try_get("owner")?),
        request,
        origin: serde_json::from_str(row.try_get("origin")?).map_err(|why| format!("origin: {why}"))?,
        priority: row.try_get::<&str, _>("priority")?.parse()?,
        state: JobState::from_json(row.try_get("state")?).map_err(|why| format!("state: {why}"))?,
        revision: u64::try_from(row.try_get::<i64, _>("revision")?)?,
        created_at: Timestamp(row.try_get("created_at")?),
        completed_at: optional("completed_at")?,
        expires_at: optional("expires_at")?,
        deadline_at: Timestamp(row.try_get("deadline_at")?),
        due_at: optional("due_at")?,
        submissions: u32::try_from(row.try_get::<i64, _>("submissions")?)?,
        failures: u32::try_from(row.try_get::<i64, _>("failures")?)?,
        abandoned: row.try_get::<Option<String>, _>("abandoned")?.map(UpstreamTask),
        deleted: row.try_get::<i64, _>("deleted")? != 0,
        key: key(row),
        charge: row
            .try_get::<Option<&str>, _>("charge")?
            .map(serde_json::from_str)
            .transpose()
            .map_err(|why| format!("charge: {why}"))?,
    })
}

/// Reads the idempotency key in a row. A key that cannot be read can never be repeated, which loses no job.
pub(super) fn key(row: &DbRow) -> Option<JobKey> {
    let key = row.try_get::<Option<&str>, _>("idempotency_key").ok().flatten().and_then(Key::from_column)?;
    let fingerprint = row.try_get::<Option<&str>, _>("fingerprint").ok().flatten().and_then(Fingerprint::from_hex)?;
    let expires_at = row.try_get::<Option<i64>, _>("key_expires_at").ok().flatten().map(Timestamp);
    Some(JobKey { key, fingerprint, expires_at })
}

/// Reads the claim in a row that was just updated.
pub(super) fn claim(row: &DbRow) -> Result<Claim, StoreError> {
    let job = job(row)?;
    let corrupt = |why: sqlx::Error| StoreError::Corrupt { id: job.id.to_string(), why: why.to_string() };
    Ok(Claim { fence: row.try_get("fence").map_err(corrupt)?, job })
}

/// Reads an outbox row.
pub(super) fn event(row: &DbRow) -> Result<JobEvent, StoreError> {
    let id: String = row.try_get("job_id")?;
    let job_id = JobId::parse(&id);
    Ok(JobEvent {
        job_id: job_id.ok_or_else(|| StoreError::Corrupt { id, why: "the id is not a job id".to_owned() })?,
        owner: Owner::new(row.try_get("owner")?),
        revision: unsigned(row, "revision")?,
        kind: row.try_get("kind")?,
        created_at: Timestamp(row.try_get("created_at")?),
    })
}

/// Returns a counter as the database stores it; none comes near the maximum.
pub(super) fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn unsigned(row: &DbRow, column: &str) -> Result<u64, StoreError> {
    let value: i64 = row.try_get(column)?;
    u64::try_from(value).map_err(|why| StoreError::Unavailable(format!("{column}: {why}")))
}
