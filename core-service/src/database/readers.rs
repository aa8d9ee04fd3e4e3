//! The connections for reads.

use std::{io, time::Duration};

use futures_util::{FutureExt, StreamExt, TryStreamExt, future::BoxFuture, stream, stream::BoxStream};
use sqlx::{Either, Execute, Executor, SqlStr, any::AnyTypeInfo};
use tokio::time::timeout;

use super::driver::{Db, DbConnection, DbPool, DbResult, DbRow, DbStatement};

/// A pool that executes statements within a time limit, if there is one: after a network failure without a reset, a statement could wait
/// for minutes although the network works again.
///
/// After the limit the connection is closed, and the statement is an error. With a limit, all rows are read before the first is returned.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Readers<'p> {
    pool: &'p DbPool,
    time_limit: Option<Duration>,
}

impl<'p> Readers<'p> {
    pub(super) fn new(pool: &'p DbPool, time_limit: Option<Duration>) -> Self {
        Self { pool, time_limit }
    }

    /// Runs a statement on a connection of its own.
    async fn run<T>(
        self,
        limit: Duration,
        statement: impl AsyncFnOnce(&mut DbConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, sqlx::Error> {
        let mut connection = self.pool.acquire().await?;
        if let Ok(result) = timeout(limit, statement(&mut connection)).await {
            return result;
        }
        // Returned to the pool, the connection would be tested, which waits as well.
        drop(connection.detach());
        Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "the database server does not answer")))
    }
}

impl<'p> Executor<'p> for Readers<'p> {
    type Database = Db;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<DbResult, DbRow>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Db>,
    {
        let Some(limit) = self.time_limit else { return self.pool.fetch_many(query) };
        let read = self.run(limit, async |connection| connection.fetch_many(query).try_collect::<Vec<_>>().await);
        stream::once(read).map_ok(|steps| stream::iter(steps).map(Ok)).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<DbRow>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Db>,
    {
        let Some(limit) = self.time_limit else { return self.pool.fetch_optional(query) };
        self.run(limit, async |connection| connection.fetch_optional(query).await).boxed()
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [AnyTypeInfo],
    ) -> BoxFuture<'e, Result<DbStatement, sqlx::Error>>
    where
        'p: 'e,
    {
        self.pool.prepare_with(sql, parameters)
    }
}
