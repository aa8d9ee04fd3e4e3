//! The statements that claim jobs. They need no row locks: transactions that write exclude each other.
//!
//! Those for queued jobs are planned for each call (`persistent(false)`): PostgreSQL would keep a plan that was made while there were few
//! jobs, with an index that does not suit many.

use std::time::Duration;

use async_trait::async_trait;

use super::row;
use crate::{
    database::{DbConnection, DbRow, Write},
    priority::Priority,
    video::{
        state::Phase,
        store::{BusyProviders, Claim, StoreError, WorkerId, turns::Turns},
        time::Timestamp,
    },
};

/// How long a row that cannot be read is not claimed again. A later version may be able to read it.
const UNREADABLE_DELAY: Duration = Duration::from_mins(10);

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

/// The first due job of the provider `provider.id` that matches `$jobs`.
macro_rules! first_of_provider {
    ($jobs:expr, $order:literal) => {
        concat!(
            "(SELECT id FROM video_jobs WHERE provider_id = provider.id AND due_at <= $2 AND ",
            $jobs,
            " ORDER BY ",
            $order,
            " LIMIT 1)"
        )
    };
}

/// A column of the job `first.id`. A join would let PostgreSQL read the whole table, because it cannot know how few ids there are.
macro_rules! of_first {
    ($column:literal) => {
        concat!("(SELECT ", $column, " FROM video_jobs WHERE id = first.id)")
    };
}

/// Claims the first due job of the providers that are not in `$3`; `$1` and `$2` are the worker and now. `$first` is the first job of a
/// provider, and `$order` the order of those of all providers. PostgreSQL would look each job up again for each use of a common table
/// expression that is not materialized.
macro_rules! claim_statement {
    ($jobs:expr, $first:expr, $order:expr) => {
        concat!(
            "WITH RECURSIVE ",
            providers!("provider", $jobs),
            ", first (id) AS MATERIALIZED (SELECT ",
            $first,
            " FROM provider WHERE provider.id NOT IN (SELECT value FROM json_each($3))) \
             UPDATE video_jobs SET lease_owner = $1, fence = fence + 1 WHERE id = (SELECT first.id FROM first WHERE first.id IS NOT NULL \
             ORDER BY ",
            $order,
            " LIMIT 1) RETURNING ",
            row::columns!()
        )
    };
}

/// Claims the first due job that is not queued.
pub(super) const CLAIM_IN_PROGRESS: &str = claim_statement!(
    in_progress!(),
    first_of_provider!(in_progress!(), "due_at, video_jobs.id"),
    concat!(of_first!("due_at"), ", first.id")
);

/// Claims the first queued job of priority `$4`: of the owners whose name is greater than `$5`, the owner of the last claim, or else of
/// those up to it.
pub(super) const CLAIM_QUEUED: &str = claim_statement!(
    queued!(),
    concat!(
        "COALESCE(",
        first_of_provider!(concat!(queued!(), " AND priority = $4 AND owner > $5"), "owner, due_at, video_jobs.id"),
        ", ",
        first_of_provider!(concat!(queued!(), " AND priority = $4 AND owner <= $5"), "owner, due_at, video_jobs.id"),
        ")"
    ),
    concat!(of_first!("owner"), " <= $5, ", of_first!("owner"), ", ", of_first!("due_at"), ", first.id")
);

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
        let mut is_none_in_progress = false;
        while claims.len() < self.max {
            let queued_first = self.turns.queued_first();
            if queued_first && let Some(claim) = self.claim_queued(connection).await? {
                claims.push(claim);
                continue;
            }
            if !is_none_in_progress && let Some(claim) = self.claim_in_progress(connection).await? {
                claims.push(claim);
                continue;
            }
            is_none_in_progress = true;
            if !queued_first && let Some(claim) = self.claim_queued(connection).await? {
                claims.push(claim);
                continue;
            }
            break;
        }
        Ok(claims)
    }
}

impl ClaimJobs {
    /// Claims the next job that is not queued, if there is one.
    async fn claim_in_progress(
        &self,
        connection: &mut DbConnection,
    ) -> Result<Option<Result<Claim, StoreError>>, sqlx::Error> {
        let query = sqlx::query(CLAIM_IN_PROGRESS).bind(self.worker.as_str()).bind(self.now.0);
        let Some(row) = query.bind(id_list(&self.busy.steps)).fetch_optional(&mut *connection).await? else {
            return Ok(None);
        };
        self.read(connection, &row).await.map(Some)
    }

    /// Claims the queued job whose turn it is, if there is one.
    async fn claim_queued(
        &self,
        connection: &mut DbConnection,
    ) -> Result<Option<Result<Claim, StoreError>>, sqlx::Error> {
        let busy = id_list(&self.busy.submissions);
        let waiting = self.waiting(connection, &busy).await?;
        let Some(priority) = self.turns.next_priority(&waiting) else { return Ok(None) };
        let query = sqlx::query(CLAIM_QUEUED).persistent(false).bind(self.worker.as_str()).bind(self.now.0).bind(busy);
        let last = self.turns.last_owner(priority);
        let query = query.bind(priority.as_str()).bind(last.as_str());
        let Some(row) = query.fetch_optional(&mut *connection).await? else { return Ok(None) };
        let claim = self.read(connection, &row).await?;
        if let Ok(claim) = &claim {
            self.turns.record_claim(&claim.job, &waiting);
        }
        Ok(Some(claim))
    }

    /// Returns the priorities of the queued jobs that can be claimed.
    async fn waiting(&self, connection: &mut DbConnection, busy: &str) -> Result<Vec<Priority>, sqlx::Error> {
        let query = sqlx::query_scalar(WAITING).persistent(false).bind(busy).bind(self.now.0);
        let names: Vec<String> = query.fetch_all(connection).await?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// Reads a claimed row.
    async fn read(&self, connection: &mut DbConnection, row: &DbRow) -> Result<Result<Claim, StoreError>, sqlx::Error> {
        let claim = row::claim(row);
        if claim.is_err() {
            self.postpone(connection, row).await?;
        }
        Ok(claim)
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
