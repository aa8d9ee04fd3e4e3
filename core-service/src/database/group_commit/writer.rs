//! The connection for writes, and the failures of its transactions.

use sqlx::pool::PoolConnection;

use crate::database::{
    dialect::Dialect,
    driver::{Db, DbPool},
    postgres::CommitMark,
};

/// The connection for writes, which is replaced after a failure that leaves it unusable.
pub(super) struct Writer<'a> {
    pub(super) pool: &'a DbPool,
    pub(super) dialect: Dialect,
    pub(super) connection: Option<PoolConnection<Db>>,
    /// The mark of the last transaction, for PostgreSQL only.
    pub(super) mark: &'a mut CommitMark,
}

impl Writer<'_> {
    pub(super) async fn connection(&mut self) -> Result<&mut PoolConnection<Db>, sqlx::Error> {
        Ok(match self.connection.take() {
            Some(connection) => self.connection.insert(connection),
            None => self.connection.insert(self.pool.acquire().await?),
        })
    }

    /// Closes the connection.
    pub(super) fn discard(&mut self) {
        if let Some(mut connection) = self.connection.take() {
            connection.close_on_drop();
        }
    }
}

/// Why a transaction failed.
pub(super) enum Failure {
    /// One of the writes failed, or the commit. Nothing was committed.
    Statement(sqlx::Error),
    /// The database cannot be used: no write is at fault, and nothing was committed.
    Unavailable(sqlx::Error),
    /// The connection was lost during the commit, and whether it succeeded cannot be found out. The writes must not be repeated.
    OutcomeUnknown(sqlx::Error),
}
