//! The jobs of a backup that were queued when it was made. Afterwards the process that was backed up may have submitted them, so that
//! a second submission could be billed twice.

use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::error::BackupError;
use crate::{
    database::Database,
    error::codes,
    video::{
        job::{Job, JobId},
        state::Event,
        store::{JobQueue as _, JobStore as _, StoreError, sql::SqlStore},
        time::Timestamp,
    },
};

/// How long a provider certainly keeps what a search for a submission reads: its list of renders, and idempotency keys.
/// The shortest time that a provider with a complete list documents is some days, that of idempotency keys is usually a day.
const SEARCHABLE: Duration = Duration::from_hours(24);

/// How many jobs are changed at a time, so that they share transactions.
const CONCURRENCY: usize = 256;

/// The treatment, after a restore, of jobs that were queued when the backup was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueuedJobs {
    /// Assumes that they may have been submitted since: they are treated as submissions whose response was lost.
    MayBeSubmitted,
    /// Submits them: the process was stopped before the backup was made and has not run since.
    Resume,
}

/// The numbers of jobs that were queued when the backup was made, by their treatment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unsent {
    /// Still queued: they will be submitted.
    pub resumed: u64,
    /// Their provider is searched for a render; those for which it cannot tell will fail with `outcome_unknown`.
    pub searched: u64,
    /// Failed with `outcome_unknown`, because the backup is too old for a search.
    pub failed: u64,
    /// Their rows cannot be read; they are unchanged.
    pub unreadable: u64,
}

/// Prepares the jobs of a restored database for a process that continues them. Unfinished jobs get a new deadline, `deadline` from
/// now, because the time since the backup does not count.
pub(super) async fn prepare(
    database: &Database,
    queued: QueuedJobs,
    deadline: Duration,
) -> Result<Unsent, BackupError> {
    let store = SqlStore::new(database.clone());
    let (now, as_of) = (store.now(), latest_event(database).await?);
    let is_searchable = now.since(as_of) <= SEARCHABLE;
    extend_deadlines(database, is_searchable, now, now.after(deadline)).await?;
    let ids: Vec<String> = sqlx::query_scalar("SELECT id FROM video_jobs WHERE phase = 'queued' AND deleted = 0")
        .fetch_all(database.readers())
        .await
        .map_err(failed)?;
    if queued == QueuedJobs::Resume {
        return Ok(Unsent { resumed: ids.len() as u64, ..Unsent::default() });
    }
    interrupt_responses(database).await?;
    let outcomes = stream::iter(ids.iter().map(|id| settle(&store, id, as_of, is_searchable.then_some(deadline))));
    outcomes
        .buffer_unordered(CONCURRENCY)
        .try_fold(Unsent::default(), |mut unsent, outcome| {
            match outcome {
                Outcome::Searched => unsent.searched += 1,
                Outcome::Failed => unsent.failed += 1,
                Outcome::Unreadable => unsent.unreadable += 1,
            }
            std::future::ready(Ok(unsent))
        })
        .await
        .map_err(failed)
}

enum Outcome {
    Searched,
    Failed,
    Unreadable,
}

/// Moves a queued job to `Submitting`, as if the process had crashed during a submission that began at `as_of`: the runner then
/// submits it again only to a provider that recognizes it, or that has no render of it. Without a `deadline` for this, the job
/// fails.
async fn settle(
    store: &SqlStore,
    id: &str,
    as_of: Timestamp,
    deadline: Option<Duration>,
) -> Result<Outcome, StoreError> {
    let Some(id) = JobId::parse(id) else { return Ok(Outcome::Unreadable) };
    let job = match store.read(&id).await {
        Ok(Some(job)) => job,
        Ok(None) | Err(StoreError::Corrupt { .. }) => return Ok(Outcome::Unreadable),
        Err(error) => return Err(error),
    };
    let now = store.now();
    // The state machine permits both events for a queued job.
    let after = |job: &Job, event| job.after(event, now).map_err(|_| StoreError::Stale);
    let mut submitting = after(&job, Event::SubmissionStarted(as_of))?;
    submitting.submissions += 1;
    submitting.failures = 0;
    submitting.deadline_at = now.after(deadline.unwrap_or_default());
    store.amend(&job, &submitting).await?;
    if deadline.is_some() {
        return Ok(Outcome::Searched);
    }
    let message = "the data directory was restored from a backup in which the job was queued; whether it was submitted after the \
                   backup is unknown, and a second submission could be billed twice";
    let event = Event::Failed { code: codes::OUTCOME_UNKNOWN.to_owned(), message: message.to_owned() };
    let mut ended = after(&submitting, event)?;
    ended.due_at = ended.due_when_final();
    store.amend(&submitting, &ended).await?;
    Ok(Outcome::Failed)
}

/// Marks queued responses as in progress: the process that was backed up may have generated them since, and chat upstreams cannot be
/// searched. Those in progress fail with `outcome_unknown` when the process starts.
async fn interrupt_responses(database: &Database) -> Result<(), BackupError> {
    let query = sqlx::query("UPDATE responses SET status = 'in_progress' WHERE status = 'queued'");
    database.execute(query).await.map_err(failed)?;
    Ok(())
}

/// Gives the renders, and submissions that can be searched for, time until `deadline`, and makes them due.
async fn extend_deadlines(
    database: &Database,
    with_submissions: bool,
    now: Timestamp,
    deadline: Timestamp,
) -> Result<(), BackupError> {
    let statement = "UPDATE video_jobs SET deadline_at = MAX(deadline_at, $1), due_at = MIN(due_at, $2) \
                     WHERE deleted = 0 AND (phase IN ('rendering', 'storing') OR phase = 'submitting' AND $3 = 1)";
    let query = sqlx::query(statement).bind(deadline.0).bind(now.0).bind(i64::from(with_submissions));
    database.execute(query).await.map_err(failed)?;
    Ok(())
}

/// Returns the time of the newest change of a job in the database, which does not know of later submissions.
async fn latest_event(database: &Database) -> Result<Timestamp, BackupError> {
    let query = sqlx::query_scalar("SELECT COALESCE(MAX(created_at), 0) FROM job_events");
    Ok(Timestamp(query.fetch_one(database.readers()).await.map_err(failed)?))
}

fn failed(error: impl std::fmt::Display) -> BackupError {
    BackupError::Jobs(error.to_string())
}
