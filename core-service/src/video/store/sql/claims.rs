//! The statements that claim jobs. They need no row locks: transactions that write exclude each other.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::query::Query;

use super::row;
use crate::{
    database::{Db, DbArguments, DbConnection, DbRow, Write},
    priority::Priority,
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
    /// Queued jobs of priority `$4`, of the owners whose name is greater than `$5`, the owner of the last claim.
    QueuedAfter,
    /// Queued jobs of priority `$4`, of the owners up to `$5`.
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

/// A recursive query of the providers that have a job of the condition `$jobs`, by one look-up in the index for each: a scan would read
/// every job.
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

/// A column of the job `first.id`. A join would let PostgreSQL read the whole table, because it cannot know how few ids there are.
macro_rules! of_first {
    ($column:literal) => {
        concat!("(SELECT ", $column, " FROM video_jobs WHERE id = first.id)")
    };
}

/// Claims the first due job of the providers that are not in `$3`; `$1` and `$2` are the worker and now. `$order` is the order of the
/// jobs of a provider, and `$order_of_first` the same for the first ones of all providers.
macro_rules! claim_statement {
    ($jobs:expr, $where:literal, $order:literal, $order_of_first:expr) => {
        concat!(
            "WITH RECURSIVE ",
            providers!("provider", $jobs),
            ", first (id) AS (SELECT (SELECT id FROM video_jobs WHERE provider_id = provider.id AND due_at <= $2 AND ",
            $jobs,
            $where,
            " ORDER BY ",
            $order,
            " LIMIT 1) FROM provider WHERE provider.id NOT IN (SELECT value FROM json_each($3))) \
             UPDATE video_jobs SET lease_owner = $1, fence = fence + 1 WHERE id = (SELECT first.id FROM first WHERE first.id IS NOT NULL \
             ORDER BY ",
            $order_of_first,
            " LIMIT 1) RETURNING ",
            row::columns!()
        )
    };
}

/// Claims the first queued job of this condition.
macro_rules! claim_queued {
    ($where:literal) => {
        claim_statement!(
            queued!(),
            $where,
            "owner, due_at, video_jobs.id",
            concat!(of_first!("owner"), ", ", of_first!("due_at"), ", first.id")
        )
    };
}

/// The priorities of the due queued jobs of providers that are not in `$1`; `$2` is now. One look-up for each provider and priority.
pub(super) const WAITING: &str = concat!(
    "WITH RECURSIVE ",
    providers!("provider", queued!()),
    " SELECT DISTINCT level.column1 FROM provider CROSS JOIN (VALUES ('high'), ('normal'), ('low')) AS level \
     WHERE provider.id NOT IN (SELECT value FROM json_each($1)) AND EXISTS (SELECT 1 FROM video_jobs \
     WHERE provider_id = provider.id AND priority = level.column1 AND due_at <= $2 AND ",
    queued!(),
    ")"
);

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
    ") AS due FROM progressing WHERE progressing.id NOT IN (SELECT value FROM json_each($2))) AS dues"
);

impl Select {
    pub(super) const fn claim_statement(self) -> &'static str {
        match self {
            Self::InProgress => {
                claim_statement!(
                    in_progress!(),
                    "",
                    "due_at, video_jobs.id",
                    concat!(of_first!("due_at"), ", first.id")
                )
            }
            Self::QueuedAfter => {
                claim_queued!(" AND priority = $4 AND owner > $5")
            }
            Self::QueuedUpTo => {
                claim_queued!(" AND priority = $4 AND owner <= $5")
            }
        }
    }
}

/// Claims several jobs, one after the other, until none is left. A row may be unreadable.
pub(super) struct ClaimJobs {
    pub(super) max: usize,
    pub(super) worker: WorkerId,
    pub(super) busy: BusyProviders,
    pub(super) now: Timestamp,
    pub(super) turns: Turns,
}

#[async_trait]
impl Write for ClaimJobs {
    type Output = Vec<Result<Claim, StoreError>>;

    /// With SQLite, no worker survives a power failure. A crash of PostgreSQL can make two workers claim a job with the same fence: its
    /// revision lets one of them commit.
    fn must_be_durable(&self) -> bool {
        false
    }

    async fn run(&mut self, connection: &mut DbConnection) -> Result<Self::Output, sqlx::Error> {
        let mut claims = Vec::new();
        while claims.len() < self.max
            && let Some(claim) = self.claim(connection).await?
        {
            claims.push(claim);
        }
        Ok(claims)
    }
}

impl ClaimJobs {
    /// Claims the next job, if there is one.
    async fn claim(&self, connection: &mut DbConnection) -> Result<Option<Result<Claim, StoreError>>, sqlx::Error> {
        let queued_first = self.turns.queued_first();
        for is_queued in [queued_first, !queued_first] {
            let (row, waiting) = if is_queued {
                let waiting = self.waiting(connection).await?;
                let Some(priority) = self.turns.next_priority(&waiting) else { continue };
                (self.claim_queued(connection, priority).await?, waiting)
            } else {
                (self.claim_in_progress(connection).await?, Vec::new())
            };
            let Some(row) = row else { continue };
            let claim = row::claim(&row);
            match &claim {
                Ok(claim) if is_queued => self.turns.record_claim(&claim.job, &waiting),
                Ok(_) => {}
                Err(_) => self.postpone(connection, &row).await?,
            }
            return Ok(Some(claim));
        }
        Ok(None)
    }

    /// Returns the priorities of the queued jobs that can be claimed.
    async fn waiting(&self, connection: &mut DbConnection) -> Result<Vec<Priority>, sqlx::Error> {
        let query = sqlx::query_scalar(WAITING).bind(id_list(&self.busy.submissions)).bind(self.now.0);
        let names: Vec<String> = query.fetch_all(connection).await?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    async fn claim_queued(
        &self,
        connection: &mut DbConnection,
        priority: Priority,
    ) -> Result<Option<DbRow>, sqlx::Error> {
        let last = self.turns.last_owner(priority);
        for select in [Select::QueuedAfter, Select::QueuedUpTo] {
            let query = self.claim_statement(select, &self.busy.submissions);
            let row = query.bind(priority.as_str()).bind(last.as_str()).fetch_optional(&mut *connection).await?;
            if row.is_some() {
                return Ok(row);
            }
        }
        Ok(None)
    }

    async fn claim_in_progress(&self, connection: &mut DbConnection) -> Result<Option<DbRow>, sqlx::Error> {
        self.claim_statement(Select::InProgress, &self.busy.steps).fetch_optional(connection).await
    }

    /// Returns the statement with `$1` to `$3` bound.
    fn claim_statement(&self, select: Select, busy: &[String]) -> Query<'static, Db, DbArguments> {
        let query = sqlx::query(select.claim_statement());
        query.bind(self.worker.as_str().to_owned()).bind(self.now.0).bind(id_list(busy))
    }

    /// Keeps a row that cannot be read from being claimed for a while.
    async fn postpone(&self, connection: &mut DbConnection, row: &DbRow) -> Result<(), sqlx::Error> {
        let query = sqlx::query("UPDATE video_jobs SET due_at = $1, lease_owner = '' WHERE id = $2");
        query.bind(self.now.after(UNREADABLE_DELAY).0).bind(row::raw_id(row)).execute(connection).await?;
        Ok(())
    }
}

/// Returns a list of provider ids as one parameter.
pub(super) fn id_list(ids: &[String]) -> String {
    serde_json::Value::from(ids.to_vec()).to_string()
}

/// Checks the names of the state and of the priorities that the statements spell out.
const _: () = assert!(matches!(Phase::Queued.as_str().as_bytes(), b"queued"));
const _: () = assert!(matches!(Priority::High.as_str().as_bytes(), b"high"));
const _: () = assert!(matches!(Priority::Normal.as_str().as_bytes(), b"normal"));
const _: () = assert!(matches!(Priority::Low.as_str().as_bytes(), b"low"));
