//! A write transaction of PostgreSQL. It begins by taking the lock of the writers, which all processes share, and by storing a mark
//! (`postgres/outcome.rs`). The mark tells whether the transaction was committed if the connection is lost during the commit.

use std::io;

use sqlx::Connection as _;
use tokio::time::{Instant, timeout_at};

use super::{
    write::{QueuedWrite, durability},
    writer::{Failure, Writer},
};
use crate::database::{
    dialect::Dialect,
    driver::DbConnection,
    postgres::{self, CommitMark, Outcome, WRITE_TIMEOUT},
    unavailable::is_unavailable,
};

/// Runs the writes in one transaction.
pub(super) async fn transaction(writer: &mut Writer<'_>, group: &mut [Box<dyn QueuedWrite>]) -> Result<(), Failure> {
    let mark = writer.mark.next();
    let connection = writer.connection().await.map_err(Failure::Unavailable)?;
    let failed = match attempt(connection, &mark, group).await {
        Ok(()) => return Ok(()),
        Err(failed) => failed,
    };
    match failed {
        Failed::Write { error, rolled_back: true } => Err(Failure::Statement(error)),
        Failed::Write { error, rolled_back: false } | Failed::Begin(error) => {
            writer.discard();
            Err(if is_unavailable(&error) { Failure::Unavailable(error) } else { Failure::Statement(error) })
        }
        Failed::Commit(error) => {
            writer.discard();
            // Also after an error of the server: one that ends the session can arrive after the commit.
            match postgres::outcome(writer.pool, &mark).await {
                Outcome::Committed => Ok(()),
                Outcome::Aborted if is_unavailable(&error) => Err(Failure::Unavailable(error)),
                Outcome::Aborted => Err(Failure::Statement(error)),
                Outcome::Unknown => Err(Failure::OutcomeUnknown(error)),
            }
        }
    }
}

/// A transaction that failed.
enum Failed {
    /// It was not begun, or the lock of the writers not taken.
    Begin(sqlx::Error),
    Write {
        error: sqlx::Error,
        /// Whether the connection can be used again.
        rolled_back: bool,
    },
    Commit(sqlx::Error),
}

async fn attempt(
    connection: &mut DbConnection,
    mark: &CommitMark,
    group: &mut [Box<dyn QueuedWrite>],
) -> Result<(), Failed> {
    let deadline = Instant::now() + WRITE_TIMEOUT;
    let durability = durability(group);
    let begin = async {
        let mut transaction = connection.begin_with(Dialect::Postgres.begin(durability)).await?;
        // Takes the lock, and stores the mark.
        mark.lock(&mut transaction).await?;
        Ok(transaction)
    };
    let mut transaction = before(deadline, begin).await.map_err(Failed::Begin)?;
    for member in group {
        if let Err(error) = before(deadline, member.run(&mut transaction)).await {
            let rolled_back = !is_unavailable(&error) && before(deadline, transaction.rollback()).await.is_ok();
            return Err(Failed::Write { error, rolled_back });
        }
    }
    // The commit has the whole time for itself: the outcome of one that is given up is unknown.
    let deadline = Instant::now() + WRITE_TIMEOUT;
    before(deadline, transaction.commit()).await.map_err(Failed::Commit)
}

/// Runs an operation until the deadline. After it, the connection must not be used again.
async fn before<T>(
    deadline: Instant,
    operation: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let late = || sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "the database server does not answer"));
    timeout_at(deadline, operation).await.unwrap_or_else(|_elapsed| Err(late()))
}
