//! The sqlx types for both databases (`sqlx::Any`). Stores use these names, and not the types of one database.

use sqlx::{
    Any, AnyConnection, AnyPool, Connection as _, Transaction,
    any::{AnyArguments, AnyQueryResult, AnyRow, AnyStatement},
    query::Query,
};

pub(crate) use sqlx::AnyExecutor as DbExecutor;

/// The driver of both databases.
pub(crate) type Db = Any;
/// A connection to the database.
pub(crate) type DbConnection = AnyConnection;
/// A row of a result.
pub(crate) type DbRow = AnyRow;
/// A prepared statement.
pub(crate) type DbStatement = AnyStatement;
/// The number of rows that a statement changed.
pub(crate) type DbResult = AnyQueryResult;
/// The parameters of a statement.
pub(crate) type DbArguments = AnyArguments;
/// A statement with its parameters.
pub(crate) type DbQuery<'q> = Query<'q, Db, DbArguments>;
/// A transaction, which is rolled back when it is dropped.
pub(crate) type DbTransaction = Transaction<'static, Db>;
/// A pool of connections.
pub(crate) type DbPool = AnyPool;

/// Returns whether a connection can be used again. After a failed write to the disk, SQLite has rolled the transaction back by itself,
/// which sqlx does not know: its own rollback fails, and it would refuse every further transaction of the connection.
pub(super) async fn is_reusable(connection: &mut DbConnection) -> Result<bool, sqlx::Error> {
    if connection.is_in_transaction() {
        // Runs the rollback of a transaction that was dropped.
        connection.ping().await?;
    }
    Ok(!connection.is_in_transaction())
}
