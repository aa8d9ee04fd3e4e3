//! The outcome of a commit whose result was lost.
//!
//! Each transaction inserts a row with a number of this process: the row exists exactly if the transaction was committed. The status by
//! the id of the transaction (`pg_xact_status`) does not suffice: after a failover, the new server may have given the id to another one.

use std::time::Duration;

use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::{
    lock::{LOCK, lock},
    time_limits::WRITE_TIMEOUT,
};
use crate::database::driver::{DbConnection, DbPool};

/// The delay between two queries for the outcome of a transaction.
const OUTCOME_DELAY: Duration = Duration::from_millis(200);

/// After this many transactions, the rows of the earlier ones are removed.
const KEPT: i64 = 256;

/// Removes the rows of processes that have ended.
pub(super) const REMOVE_OLD_MARKS: &str = "DELETE FROM commit_marks WHERE written_at < now() - interval '1 day'";

/// Identifies a transaction in the table `commit_marks`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::database) struct CommitMark {
    /// A random id of this process.
    writer: String,
    number: i64,
}

/// The outcome of a transaction whose commit returned no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::database) enum Outcome {
    Committed,
    /// Rolled back, or lost in a failover.
    Aborted,
    /// No server that can be written has answered in time.
    Unknown,
}

impl CommitMark {
    /// Returns the mark before the first transaction of this process.
    pub(in crate::database) fn new() -> Self {
        Self { writer: Uuid::new_v4().to_string(), number: 0 }
    }

    /// Advances to the next transaction of this process, and returns its mark.
    pub(in crate::database) fn next(&mut self) -> Self {
        self.number += 1;
        self.clone()
    }

    /// Marks a transaction, and waits for the lock of the database's writers.
    pub(in crate::database) async fn lock(&self, transaction: &mut DbConnection) -> Result<(), sqlx::Error> {
        if self.number % KEPT == 0 {
            let query = sqlx::query("DELETE FROM commit_marks WHERE writer = $1 AND number BETWEEN $2 AND $3");
            let query = query.bind(self.writer.clone()).bind(self.number - 2 * KEPT).bind(self.number - 1);
            query.execute(&mut *transaction).await?;
        }
        // One statement for mark and lock, to save a round trip.
        let query = format!(
            "WITH mark AS (INSERT INTO commit_marks (writer, number, written_at) VALUES ($1, $2, now())) {LOCK}"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(query)).bind(self.writer.clone()).bind(self.number);
        query.execute(transaction).await.map(drop)
    }

    /// Returns whether the transaction was committed; `None` if the server is a standby.
    async fn is_committed(&self, pool: &DbPool) -> Result<Option<bool>, sqlx::Error> {
        let mut transaction = pool.begin().await?;
        // The transaction in question holds the lock until it ends.
        lock(&mut transaction).await?;
        let query = "SELECT EXISTS (SELECT 1 FROM commit_marks WHERE writer = $1 AND number = $2) WHERE NOT pg_is_in_recovery()";
        sqlx::query_scalar(query).bind(&self.writer).bind(self.number).fetch_optional(&mut *transaction).await
    }
}

/// Finds out the outcome of the last transaction of this process, on a new connection. Retries until a server that can be written
/// responds or [`WRITE_TIMEOUT`] has passed.
pub(in crate::database) async fn outcome(pool: &DbPool, mark: &CommitMark) -> Outcome {
    let retried = async {
        loop {
            match mark.is_committed(pool).await {
                Ok(Some(true)) => return Outcome::Committed,
                Ok(Some(false)) => return Outcome::Aborted,
                // No server yet that can be written.
                Ok(None) | Err(_) => sleep(OUTCOME_DELAY).await,
            }
        }
    };
    timeout(WRITE_TIMEOUT, retried).await.unwrap_or(Outcome::Unknown)
}
