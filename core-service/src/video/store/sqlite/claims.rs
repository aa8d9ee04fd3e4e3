//! The statements that claim jobs. PostgreSQL adds FOR UPDATE SKIP LOCKED to the innermost queries.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::{SqliteConnection, sqlite::SqliteRow};

use super::row;
use crate::{
    database::Write,
    keys::Owner,
    video::{
        state::Phase,
        store::{BusyProviders, Claim, StoreError, WorkerId, turns::Turns},
        time::Timestamp,
    },
};

/// How long a row that cannot be read is not claimed again. A later version may be able to read it.
const UNREADABLE_DELAY: Duration = Duration::from_mins(10);

/// Which due jobs a statement considers.
#[derive(Debug, Clone, Copy)]
pub(super) enum Select {
    /// Jobs that are not queued.
    InProgress,
    /// Queued jobs of the owners whose name is greater than `$4`, that of the last claim.
    QueuedAfter,
    /// Queued jobs of the owners up to `$4`.
    QueuedUpTo,
}

/// The jobs in progress that no worker has: the condition of the index `video_jobs_due`.
macro_rules! in_progress {
    () => {
        "due_at IS NOT NULL AND phase <> 'queued' AND lease_owner = ''"
    };
}

/// The queued jobs that no worker has: the condition of the index `video_jobs_waiting`.
macro_rules! queued {
    () => {
        "due_at IS NOT NULL AND phase = 'queued' AND lease_owner = ''"
    };
}

/// A recursive query of the providers that have such a job, by one look-up in the index for each: a scan would read every job.
macro_rules! providers {
    ($name:literal, $jobs:expr) => {
        concat!(
            $name,
            " (id) AS (SELECT (SELECT provider_id FROM video_jobs WHERE ",
            $jobs,
            " ORDER BY provider_id LIMIT 1) UNION ALL SELECT (SELECT provider_id FROM video_jobs WHERE ",
            $jobs,
            " AND provider_id > ",
            $name,
            ".id ORDER BY provider_id LIMIT 1) FROM ",
            $name,
            " WHERE ",
            $name,
            ".id IS NOT NULL)"
        )
    };
}

/// Claims the first due job of the providers that are not in `$3`; `$1` and `$2` are the worker and now.
macro_rules! claim_statement {
    ($jobs:expr, $where:literal, $order:literal) => {
        concat!(
            "WITH RECURSIVE ",
            providers!("provider", $jobs),
            ", first (id) AS (SELECT (SELECT id FROM video_jobs WHERE provider_id = provider.id AND due_at <= $2 AND ",
            $jobs,
            $where,
            " ORDER BY ",
            $order,
            " LIMIT 1) FROM provider WHERE provider.id NOT IN (SELECT value FROM json_each($3))) \
             UPDATE video_jobs SET lease_owner = $1, fence = fence + 1 WHERE id = (SELECT video_jobs.id FROM first \
             CROSS JOIN video_jobs ON video_jobs.id = first.id ORDER BY ",
            $order,
            " LIMIT 1) RETURNING *"
        )
    };
}

/// The earliest due time of the jobs of providers that are neither in `$1`, for queued jobs, nor in `$2`, for the others.
pub(super) const NEXT_DUE: &str = concat!(
    "WITH RECURSIVE ",
    providers!("queued", queued!()),
    ", ",
    providers!("progressing", in_progress!()),
    " SELECT MIN(due) FROM (SELECT (SELECT MIN(due_at) FROM video_jobs WHERE provider_id = queued.id AND ",
    queued!(),
    ") AS due FROM queued WHERE queued.id NOT IN (SELECT value FROM json_each($1)) \
     UNION ALL SELECT (SELECT MIN(due_at) FROM video_jobs WHERE provider_id = progressing.id AND ",
    in_progress!(),
    ") AS due FROM progressing WHERE progressing.id NOT IN (SELECT value FROM json_each($2)))"
);

impl Select {
    pub(super) const fn claim_statement(self) -> &'static str {
        match self {
            Self::InProgress => claim_statement!(in_progress!(), "", "due_at, video_jobs.id"),
            Self::QueuedAfter => claim_statement!(queued!(), " AND owner > $4", "owner, due_at, video_jobs.id"),
            Self::QueuedUpTo => claim_statement!(queued!(), " AND owner <= $4", "owner, due_at, video_jobs.id"),
        }
    }
}

/// Claims one job. The result is the row, which may be unreadable.
pub(super) struct ClaimJob {
    pub(super) worker: WorkerId,
    pub(super) busy: BusyProviders,
    pub(super) now: Timestamp,
    pub(super) turns: Turns,
}

#[async_trait]
impl Write for ClaimJob {
    type Output = Result<Option<Claim>, StoreError>;

    /// After a power failure there is no worker that could have a job.
    fn must_be_durable(&self) -> bool {
        false
    }

    async fn run(&mut self, connection: &mut SqliteConnection) -> Result<Self::Output, sqlx::Error> {
        let (after, before) = (Select::QueuedAfter, Select::QueuedUpTo);
        let order = if self.turns.queued_first() {
            [after, before, Select::InProgress]
        } else {
            [Select::InProgress, after, before]
        };
        let last = self.turns.last_owner();
        for select in order {
            let Some(row) = self.claim(connection, select, &last).await? else { continue };
            let claim = row::claim(&row);
            match (&claim, select) {
                (Ok(claim), Select::QueuedAfter | Select::QueuedUpTo) => self.turns.record_claim(&claim.job.owner),
                (Ok(_), Select::InProgress) => {}
                (Err(_), _) => self.postpone(connection, &row).await?,
            }
            return Ok(claim.map(Some));
        }
        Ok(Ok(None))
    }
}

impl ClaimJob {
    async fn claim(
        &self,
        connection: &mut SqliteConnection,
        select: Select,
        last: &Owner,
    ) -> Result<Option<SqliteRow>, sqlx::Error> {
        let query = sqlx::query(select.claim_statement()).bind(self.worker.as_str()).bind(self.now.0);
        let query = match select {
            Select::InProgress => query.bind(id_list(&self.busy.steps)),
            Select::QueuedAfter | Select::QueuedUpTo => query.bind(id_list(&self.busy.submissions)).bind(last.as_str()),
        };
        query.fetch_optional(connection).await
    }

    /// Keeps a row that cannot be read from being claimed for a while.
    async fn postpone(&self, connection: &mut SqliteConnection, row: &SqliteRow) -> Result<(), sqlx::Error> {
        let query = sqlx::query("UPDATE video_jobs SET due_at = $1, lease_owner = '' WHERE id = $2");
        query.bind(self.now.after(UNREADABLE_DELAY).0).bind(row::raw_id(row)).execute(connection).await?;
        Ok(())
    }
}

/// Returns a list of provider ids as one parameter.
pub(super) fn id_list(ids: &[String]) -> String {
    serde_json::Value::from(ids.to_vec()).to_string()
}

/// The name of the state that the statements spell out.
const _: () = assert!(matches!(Phase::Queued.as_str().as_bytes(), b"queued"));
