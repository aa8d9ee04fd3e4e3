//! Jobs in the core's SQLite database.

mod claims;
mod row;

use std::time::Duration;

use async_trait::async_trait;
use futures_util::TryStreamExt;
use sqlx::{
    QueryBuilder, Sqlite, SqliteConnection,
    sqlite::{SqliteArguments, SqliteRow},
};

use self::claims::Select;
use super::{
    BusyProviders, ChangeKind, Changes, Claim, Inserted, JobChanges, JobEvent, JobQueue, JobStore, KeyMatch, Lease,
    Page, QueueLimits, StoreError, WorkerId, changes::ChangeFeed, match_key, turns::Turns,
};
use crate::{
    database::Database,
    idempotency::Idempotency,
    keys::Owners,
    video::{
        job::{Job, JobId},
        provider::UpstreamTask,
        state::Phase,
        time::{Clock, Timestamp},
    },
};

/// How long a row that cannot be read is not claimed again. A later version may be able to read it.
const UNREADABLE_DELAY: Duration = Duration::from_mins(10);

/// A store in the core's SQLite database. Clones share it.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    database: Database,
    clock: Clock,
    feed: ChangeFeed,
    turns: Turns,
}

impl SqliteStore {
    /// Returns the store in this database. SQLite has one machine, so the store's clock is the machine's.
    pub fn new(database: Database) -> Self {
        Self::with_clock(database, Clock::system())
    }

    pub(crate) fn with_clock(database: Database, clock: Clock) -> Self {
        Self { database, clock, feed: ChangeFeed::default(), turns: Turns::default() }
    }
}

#[async_trait]
impl JobStore for SqliteStore {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn changes(&self) -> Changes {
        self.feed.subscribe()
    }

    fn changes_of(&self, id: &JobId) -> JobChanges {
        self.feed.subscribe_to(id)
    }

    async fn insert(&self, job: &Job, call: Option<&Idempotency>, limits: QueueLimits) -> Result<Inserted, StoreError> {
        let now = self.now();
        self.database.check_file().await?;
        // The pool has one writer, so nothing comes between the look-up of the key, the count and the insert.
        let mut transaction = self.database.writer().begin_with("BEGIN IMMEDIATE").await?;
        if let Some(call) = call
            && let Some(known) = by_key(&mut transaction, call).await?
        {
            match match_key(row::key(&known).as_ref(), call, now)? {
                KeyMatch::Repetition => return Ok(Inserted::Existing(Box::new(row::job(&known)?))),
                KeyMatch::Free => {
                    let free = "UPDATE video_jobs SET idempotency_key = NULL, fingerprint = NULL, key_expires_at = NULL \
                                WHERE id = $1";
                    sqlx::query(free).bind(row::raw_id(&known)).execute(&mut *transaction).await?;
                }
            }
        }
        check_limits(&mut transaction, job, limits).await?;
        row::bind_new(sqlx::query(row::INSERT), job)?.execute(&mut *transaction).await?;
        record(&mut transaction, JobEvent::from_change(None, job, now)).await?;
        transaction.commit().await?;
        self.feed.publish(job, ChangeKind::Created);
        Ok(Inserted::New)
    }

    async fn get(&self, id: &JobId, owners: &Owners) -> Result<Option<Job>, StoreError> {
        let query =
            sqlx::query("SELECT * FROM video_jobs WHERE id = $1 AND deleted = 0 AND ($2 IS NULL OR owner = $2)");
        let query = query.bind(id.as_str()).bind(owners.only().map(|owner| owner.as_str().to_owned()));
        query.fetch_optional(self.database.readers()).await?.as_ref().map(row::job).transpose()
    }

    async fn contains(&self, id: &JobId) -> Result<bool, StoreError> {
        let query = sqlx::query_scalar("SELECT COUNT(*) FROM video_jobs WHERE id = $1 AND deleted = 0");
        let count: i64 = query.bind(id.as_str()).fetch_one(self.database.readers()).await?;
        Ok(count > 0)
    }

    async fn find(&self, call: &Idempotency) -> Result<Option<Job>, StoreError> {
        let mut connection = self.database.readers().acquire().await?;
        let Some(known) = by_key(&mut connection, call).await? else { return Ok(None) };
        Ok(match match_key(row::key(&known).as_ref(), call, self.now())? {
            KeyMatch::Repetition => Some(row::job(&known)?),
            KeyMatch::Free => None,
        })
    }

    async fn list(&self, page: &Page) -> Result<Vec<Job>, StoreError> {
        let Page { limit, after, oldest_first, owners } = page;
        // Ids sort by creation time. `video_` sorts before and `video~` after every id.
        let (compare, order, start) = if *oldest_first { (">", "ASC", "video_") } else { ("<", "DESC", "video~") };
        let mut query = QueryBuilder::<Sqlite>::new("SELECT ");
        query.push(row::LISTED).push(" FROM video_jobs WHERE deleted = 0 AND id ").push(compare);
        query.push_bind(after.as_ref().map_or(start, JobId::as_str));
        if let Some(owner) = owners.only() {
            query.push(" AND owner = ").push_bind(owner.as_str());
        }
        query.push(" ORDER BY id ").push(order);
        // Without LIMIT, because rows that cannot be read do not count. Dropping the rows ends the statement.
        let mut rows = query.build().fetch(self.database.readers());
        let mut jobs = Vec::new();
        while jobs.len() < *limit as usize {
            let Some(row) = rows.try_next().await? else { break };
            match row::job(&row) {
                Ok(job) => jobs.push(job),
                Err(error) => tracing::error!(job.id = row::raw_id(&row), "a job was left out of a list: {error}"),
            }
        }
        Ok(jobs)
    }

    async fn queue_position(&self, id: &JobId) -> Result<u32, StoreError> {
        let query = sqlx::query_scalar("SELECT COUNT(*) FROM video_jobs WHERE phase = 'queued' AND id < $1");
        let count: i64 = query.bind(id.as_str()).fetch_one(self.database.readers()).await?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    async fn amend(&self, before: &Job, next: &Job) -> Result<(), StoreError> {
        let query = row::bind(sqlx::query(row::AMEND), next)?.bind(row::integer(before.revision));
        self.write(query, JobEvent::from_change(Some(before), next, self.now())).await?;
        self.feed.publish(next, ChangeKind::Amended);
        Ok(())
    }

    async fn remove_unreadable(&self, id: &JobId, owners: &Owners) -> Result<bool, StoreError> {
        let query = sqlx::query("DELETE FROM video_jobs WHERE id = $1 AND deleted = 0 AND ($2 IS NULL OR owner = $2)");
        let query = query.bind(id.as_str()).bind(owners.only().map(|owner| owner.as_str().to_owned()));
        Ok(query.execute(self.database.writer()).await?.rows_affected() > 0)
    }

    async fn events(&self, id: &JobId) -> Result<Vec<JobEvent>, StoreError> {
        let query = sqlx::query("SELECT * FROM job_events WHERE job_id = $1 ORDER BY sequence").bind(id.as_str());
        query.fetch_all(self.database.readers()).await?.iter().map(row::event).collect()
    }
}

#[async_trait]
impl JobQueue for SqliteStore {
    async fn claim(
        &self,
        worker: &WorkerId,
        lease: Duration,
        busy: &BusyProviders,
    ) -> Result<Option<Claim>, StoreError> {
        let now = self.now();
        let last = self.turns.last_owner();
        let (submissions, steps) = (id_list(&busy.submissions), id_list(&busy.steps));
        let (after, before) = ((Select::QueuedAfter, last.as_str()), (Select::QueuedUpTo, last.as_str()));
        let progressing = (Select::InProgress, "");
        let order = if self.turns.queued_first() { [after, before, progressing] } else { [progressing, after, before] };
        for (select, owner) in order {
            let query =
                sqlx::query(select.claim_statement()).bind(worker.as_str()).bind(now.after(lease).0).bind(now.0);
            let query = match select {
                Select::InProgress => query.bind(&steps),
                Select::QueuedAfter | Select::QueuedUpTo => query.bind(&submissions).bind(owner),
            };
            let Some(row) = query.fetch_optional(self.database.writer()).await? else { continue };
            let claim = row::claim(&row);
            match (&claim, select) {
                (Ok(claim), Select::QueuedAfter | Select::QueuedUpTo) => self.turns.record_claim(&claim.job.owner),
                (Ok(_), Select::InProgress) => {}
                (Err(_), _) => self.postpone(&row, now).await?,
            }
            return claim.map(Some);
        }
        Ok(None)
    }

    async fn next_due(&self, busy: &BusyProviders) -> Result<Option<Timestamp>, StoreError> {
        let query = sqlx::query_scalar(
            "SELECT MIN(due) FROM (\
             SELECT MIN(CASE WHEN lease_until > due_at THEN lease_until ELSE due_at END) AS due FROM video_jobs \
             WHERE due_at IS NOT NULL AND phase <> 'queued' AND provider_id NOT IN (SELECT value FROM json_each($2)) \
             UNION ALL \
             SELECT MIN(CASE WHEN lease_until > due_at THEN lease_until ELSE due_at END) AS due FROM video_jobs \
             WHERE due_at IS NOT NULL AND phase = 'queued' AND provider_id NOT IN (SELECT value FROM json_each($1)))",
        );
        let due: Option<i64> = query
            .bind(id_list(&busy.submissions))
            .bind(id_list(&busy.steps))
            .fetch_one(self.database.readers())
            .await?;
        Ok(due.map(Timestamp))
    }

    async fn read(&self, id: &JobId) -> Result<Option<Job>, StoreError> {
        let query = sqlx::query("SELECT * FROM video_jobs WHERE id = $1").bind(id.as_str());
        query.fetch_optional(self.database.readers()).await?.as_ref().map(row::job).transpose()
    }

    async fn has_render(&self, provider_id: &str, task: &UpstreamTask, id: &JobId) -> Result<bool, StoreError> {
        // Rare, so that it needs no index: only for a search that found a render without a mark.
        let query = sqlx::query_scalar(
            "SELECT COUNT(*) FROM video_jobs WHERE provider_id = $1 AND id <> $2 AND \
             CASE WHEN json_valid(state) THEN json_extract(state, '$.task') END = $3",
        );
        let count: i64 =
            query.bind(provider_id).bind(id.as_str()).bind(&task.0).fetch_one(self.database.readers()).await?;
        Ok(count > 0)
    }

    async fn commit(&self, claim: &Claim, next: Job, then: Lease) -> Result<Claim, StoreError> {
        let query = row::bind(sqlx::query(row::COMMIT), &next)?.bind(row::integer(claim.job.revision));
        let query = query.bind(claim.fence).bind(i64::from(then == Lease::Kept));
        self.write(query, JobEvent::from_change(Some(&claim.job), &next, self.now())).await?;
        if next.revision != claim.job.revision {
            self.feed.publish(&next, ChangeKind::Moved);
        }
        Ok(Claim { job: next, fence: claim.fence })
    }

    async fn renew(&self, claim: &Claim, lease: Duration) -> Result<(), StoreError> {
        let query = sqlx::query("UPDATE video_jobs SET lease_until = $1 WHERE id = $2 AND fence = $3");
        let query = query.bind(self.now().after(lease).0).bind(claim.job.id.as_str()).bind(claim.fence);
        self.write(query, None).await
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        let query = sqlx::query("UPDATE video_jobs SET lease_until = 0 WHERE id = $1 AND fence = $2");
        match self.write(query.bind(claim.job.id.as_str()).bind(claim.fence), None).await {
            Ok(()) | Err(StoreError::Stale) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn purge(&self, claim: &Claim) -> Result<(), StoreError> {
        // The outbox rows go with it, by ON DELETE CASCADE.
        let query = sqlx::query("DELETE FROM video_jobs WHERE id = $1 AND fence = $2");
        self.write(query.bind(claim.job.id.as_str()).bind(claim.fence), None).await
    }
}

/// Returns a list of provider ids as one parameter.
fn id_list(ids: &[String]) -> String {
    serde_json::Value::from(ids.to_vec()).to_string()
}

impl SqliteStore {
    /// Keeps a row that cannot be read from being claimed for a while.
    async fn postpone(&self, row: &SqliteRow, now: Timestamp) -> Result<(), StoreError> {
        let query = sqlx::query("UPDATE video_jobs SET lease_until = $1 WHERE id = $2");
        query.bind(now.after(UNREADABLE_DELAY).0).bind(row::raw_id(row)).execute(self.database.writer()).await?;
        Ok(())
    }

    /// Runs a statement that must change exactly one row, and records the event in the same transaction.
    async fn write(
        &self,
        query: sqlx::query::Query<'_, sqlx::Sqlite, SqliteArguments>,
        event: Option<JobEvent>,
    ) -> Result<(), StoreError> {
        // Most commits only report progress: one statement is a transaction of its own.
        if event.is_none() {
            return require_change(&query.execute(self.database.writer()).await?);
        }
        let mut transaction = self.database.writer().begin_with("BEGIN IMMEDIATE").await?;
        require_change(&query.execute(&mut *transaction).await?)?;
        record(&mut transaction, event).await?;
        Ok(transaction.commit().await?)
    }
}

/// Requires that a row was changed; otherwise the caller's state is stale.
fn require_change(result: &sqlx::sqlite::SqliteQueryResult) -> Result<(), StoreError> {
    if result.rows_affected() == 0 { Err(StoreError::Stale) } else { Ok(()) }
}

/// Fails if no further job of this owner may be queued.
async fn check_limits(connection: &mut SqliteConnection, job: &Job, limits: QueueLimits) -> Result<(), StoreError> {
    let query = sqlx::query_as(
        "SELECT (SELECT COUNT(*) FROM video_jobs WHERE due_at IS NOT NULL AND phase = 'queued' AND owner = $1), \
         (SELECT COUNT(*) FROM video_jobs WHERE phase = 'queued')",
    );
    let (of_owner, of_all): (i64, i64) = query.bind(job.owner.as_str()).fetch_one(connection).await?;
    limits.check(of_owner.cast_unsigned(), of_all.cast_unsigned())
}

/// Returns the row of the job under the key of this call.
async fn by_key(connection: &mut SqliteConnection, call: &Idempotency) -> Result<Option<SqliteRow>, StoreError> {
    let query = sqlx::query("SELECT * FROM video_jobs WHERE owner = $1 AND idempotency_key = $2");
    let query = query.bind(call.scope.owner.as_str()).bind(call.scope.key.to_column());
    Ok(query.fetch_optional(connection).await?)
}

/// Writes an outbox row.
async fn record(connection: &mut SqliteConnection, event: Option<JobEvent>) -> Result<(), StoreError> {
    let Some(JobEvent { job_id, owner, revision, kind, created_at }) = event else { return Ok(()) };
    let query =
        sqlx::query("INSERT INTO job_events (job_id, owner, revision, kind, created_at) VALUES ($1, $2, $3, $4, $5)");
    let query = query.bind(job_id.as_str()).bind(owner.as_str()).bind(row::integer(revision));
    query.bind(kind).bind(created_at.0).execute(connection).await?;
    Ok(())
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// The name of the state in the index on queued jobs, which SQL spells out.
const _: () = assert!(matches!(Phase::Queued.as_str().as_bytes(), b"queued"));

#[cfg(test)]
mod tests;
