//! A transaction of SQLite.

use sqlx::Connection as _;

use super::{
    write::{QueuedWrite, durability},
    writer::Writer,
};
use crate::database::{
    dialect::{Dialect, Durability},
    driver::DbConnection,
};

/// Runs the writes in one transaction. After an error nothing was committed.
pub(super) async fn transaction(
    writer: &mut Writer<'_>,
    group: &mut [Box<dyn QueuedWrite>],
) -> Result<(), sqlx::Error> {
    let connection = writer.connection().await?;
    let durability = durability(group);
    if durability == Durability::Unflushed {
        sqlx::query("PRAGMA synchronous = NORMAL").execute(&mut **connection).await?;
    }
    let result = statements(connection, Dialect::Sqlite.begin(durability), group).await;
    let rolled_back = !matches!(&result, Err(Failed { rolled_back: false, .. }));
    let mut restored = Ok(());
    if durability == Durability::Unflushed && rolled_back {
        restored = sqlx::query("PRAGMA synchronous = FULL").execute(&mut **connection).await.map(|_| ());
    }
    if !rolled_back || restored.is_err() {
        // The connection would be refused further transactions, or stay at NORMAL and lose the durability of later writes.
        writer.discard();
    }
    result.map_err(|failed| failed.error).and(restored)
}

/// A transaction that failed.
struct Failed {
    error: sqlx::Error,
    /// Whether the connection can be used again. After a failed write to the disk, SQLite has rolled back by itself, which sqlx does
    /// not know: it would refuse every further transaction of the connection.
    rolled_back: bool,
}

async fn statements(
    connection: &mut DbConnection,
    begin: &'static str,
    group: &mut [Box<dyn QueuedWrite>],
) -> Result<(), Failed> {
    let not_begun = |error| Failed { error, rolled_back: true };
    let mut transaction = connection.begin_with(begin).await.map_err(not_begun)?;
    for member in group {
        if let Err(error) = member.run(&mut transaction).await {
            let rolled_back = transaction.rollback().await.is_ok();
            return Err(Failed { error, rolled_back });
        }
    }
    transaction.commit().await.map_err(|error| Failed { error, rolled_back: false })
}
