//! The insert of a new job.

use async_trait::async_trait;

use super::{changes::record, money, row};
use crate::{
    database::{DbConnection, DbExecutor, DbRow, Write},
    idempotency::Idempotency,
    keys::Owner,
    video::{
        job::Job,
        store::{ChangeKind, Inserted, JobEvent, JobLimits, KeyMatch, StoreError, changes::ChangeFeed, match_key},
        time::Timestamp,
    },
};

/// Inserts a job, unless the call repeats an earlier one.
pub(super) struct InsertJob {
    pub(super) job: Job,
    pub(super) call: Option<Idempotency>,
    pub(super) limits: JobLimits,
    pub(super) now: Timestamp,
    pub(super) feed: ChangeFeed,
}

#[async_trait]
impl Write for InsertJob {
    type Output = Result<Inserted, StoreError>;

    async fn run(&mut self, connection: &mut DbConnection) -> Result<Self::Output, sqlx::Error> {
        // Writes run one after the other, so nothing comes between the look-up of the key, the count and the insert.
        let mut known = None;
        if let Some(call) = &self.call {
            known = by_key(&mut *connection, call).await?;
            let key = known.as_ref().and_then(row::key);
            match match_key(key.as_ref(), call, self.now) {
                Ok(KeyMatch::Repetition) => {
                    // Never `New`: a repetition has found the row of a job.
                    let existing = known.as_ref().map(row::job).transpose();
                    return Ok(existing.map(|job| job.map_or(Inserted::New, |job| Inserted::Existing(Box::new(job)))));
                }
                Ok(KeyMatch::Free) => {}
                Err(conflict) => return Ok(Err(conflict)),
            }
        }
        if let Err(full) = check_limits(connection, &self.job, &self.limits).await? {
            return Ok(Err(full));
        }
        let insert = match row::bind_new(sqlx::query(row::INSERT), &self.job) {
            Ok(insert) => insert,
            Err(error) => return Ok(Err(error)),
        };
        if let Err(exceeded) = money::hold(connection, &self.job, &self.limits, self.now).await? {
            return Ok(Err(exceeded));
        }
        if let Some(known) = known {
            let free =
                "UPDATE video_jobs SET idempotency_key = NULL, fingerprint = NULL, key_expires_at = NULL WHERE id = $1";
            sqlx::query(free).bind(row::raw_id(&known)).execute(&mut *connection).await?;
        }
        insert.execute(&mut *connection).await?;
        record(connection, JobEvent::from_change(None, &self.job, self.now)).await?;
        Ok(Ok(Inserted::New))
    }

    fn on_commit(&self, output: &Self::Output) {
        if matches!(output, Ok(Inserted::New)) {
            self.feed.publish(&self.job, ChangeKind::Created);
        }
    }
}

/// Returns the row of the job under the key of this call.
pub(super) async fn by_key(executor: impl DbExecutor<'_>, call: &Idempotency) -> Result<Option<DbRow>, sqlx::Error> {
    let query =
        sqlx::query(concat!("SELECT ", row::columns!(), " FROM video_jobs WHERE owner = $1 AND idempotency_key = $2"));
    query.bind(call.scope.owner.as_str()).bind(call.scope.key.to_column()).fetch_optional(executor).await
}

/// Fails if the job would exceed a limit of queued jobs or of jobs in flight.
async fn check_limits(
    connection: &mut DbConnection,
    job: &Job,
    limits: &JobLimits,
) -> Result<Result<(), StoreError>, sqlx::Error> {
    let query = sqlx::query_as(
        "SELECT COALESCE((SELECT jobs FROM video_queue WHERE owner = $1), 0), \
         CAST(COALESCE((SELECT SUM(jobs) FROM video_queue), 0) AS BIGINT)",
    );
    let (of_owner, of_all): (i64, i64) = query.bind(job.owner.as_str()).fetch_one(&mut *connection).await?;
    if let Err(full) = limits.check(of_owner.cast_unsigned(), of_all.cast_unsigned()) {
        return Ok(Err(full));
    }
    for limit in &limits.in_flight {
        // One statement, however many keys a team has.
        let query = sqlx::query_scalar(
            "SELECT COUNT(*) FROM video_jobs WHERE owner IN (SELECT value FROM json_each($1)) \
             AND phase IN ('queued', 'submitting', 'rendering', 'storing')",
        );
        let owners: serde_json::Value = limit.owners.iter().map(Owner::as_str).collect();
        let in_flight: i64 = query.bind(owners.to_string()).fetch_one(&mut *connection).await?;
        if in_flight.cast_unsigned() >= u64::from(limit.limit) {
            return Ok(Err(StoreError::InFlight(limit.clone())));
        }
    }
    Ok(Ok(()))
}
