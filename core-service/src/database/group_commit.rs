//! Group commit: writes that wait at the same time share one transaction, and with it one flush to the disk.

use std::{
    panic::AssertUnwindSafe,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use futures_util::FutureExt;
use sqlx::{Connection, pool::PoolConnection};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::{Db, DbConnection, DbPool, dialect::Dialect};

/// The maximum number of writes in one transaction.
const MAX_GROUP: usize = 256;

/// The capacity of the queue. Further callers wait until there is space.
const QUEUE_CAPACITY: usize = 1024;

/// A write that can share a transaction with others.
#[async_trait]
pub(crate) trait Write: Send + 'static {
    /// The result that the caller gets once the transaction is committed.
    type Output: Send + 'static;

    /// Returns whether the commit must survive a power failure. Every commit survives a crash of the process.
    fn must_be_durable(&self) -> bool {
        true
    }

    /// Runs the statements. May be called again after a transaction was rolled back.
    ///
    /// # Errors
    /// The database failed; the transaction is rolled back. A write that refuses its operation must write nothing, and report that in
    /// its output.
    async fn run(&mut self, connection: &mut DbConnection) -> Result<Self::Output, sqlx::Error>;

    /// Called after the commit, whether or not the caller still waits.
    fn on_commit(&self, output: &Self::Output) {
        let _ = output;
    }
}

/// The task that runs the writes in the order of their arrival.
#[derive(Debug)]
pub(super) struct GroupCommit {
    queue: mpsc::Sender<Box<dyn QueuedWrite>>,
    stop: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl GroupCommit {
    /// Starts the task, which acquires a connection of this pool for each group. It ends after [`close`](Self::close), or after this
    /// value is dropped.
    pub(super) fn start(writer: DbPool, dialect: Dialect) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE_CAPACITY);
        let stop = CancellationToken::new();
        let task = Mutex::new(Some(tokio::spawn(run(writer, dialect, waiting, stop.clone()))));
        Self { queue, stop, task }
    }

    /// Queues a write, and returns its output after the commit. A queued write is run even if the caller is cancelled; one that still
    /// waits for space in the queue is not.
    pub(super) async fn write<W: Write>(&self, write: W) -> Result<W::Output, sqlx::Error> {
        let (reply, committed) = oneshot::channel();
        let member = Box::new(PendingWrite { write, output: None, reply });
        self.queue.send(member).await.map_err(|_| sqlx::Error::PoolClosed)?;
        // Dropped without a reply only if a write has panicked, or the task has ended.
        committed.await.unwrap_or(Err(sqlx::Error::PoolClosed))
    }

    /// Runs the waiting writes, refuses further ones, and waits for the task to end.
    pub(super) async fn close(&self) {
        self.stop.cancel();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Err(error)) = futures_util::future::OptionFuture::from(task).await
            && error.is_panic()
        {
            tracing::error!("the writer of the database panicked: {error}");
        }
    }
}

async fn run(
    writer: DbPool,
    dialect: Dialect,
    mut waiting: mpsc::Receiver<Box<dyn QueuedWrite>>,
    stop: CancellationToken,
) {
    let mut group = Vec::new();
    loop {
        tokio::select! {
            biased;
            received = waiting.recv_many(&mut group, MAX_GROUP) => if received == 0 { return },
            // Writes that are already queued are still received after this.
            () = stop.cancelled(), if !waiting.is_closed() => waiting.close(),
        }
        let group = std::mem::take(&mut group);
        if group.is_empty() {
            continue;
        }
        match writer.acquire().await {
            Ok(connection) => {
                let mut writer = Writer { pool: &writer, dialect, connection: Some(connection) };
                let committed = AssertUnwindSafe(commit(&mut writer, group)).catch_unwind().await;
                if committed.is_err() {
                    // Its callers get an error. The connection may have an open transaction.
                    tracing::error!("a write to the database panicked");
                    writer.discard();
                }
            }
            Err(error) => {
                // sqlx::Error is not Clone: each caller gets the message.
                let message = error.to_string();
                for member in group {
                    member.finish(Err(sqlx::Error::Protocol(message.clone())));
                }
            }
        }
    }
}

/// The connection for writes, which is replaced after a failure that leaves it unusable.
struct Writer<'a> {
    pool: &'a DbPool,
    dialect: Dialect,
    connection: Option<PoolConnection<Db>>,
}

impl Writer<'_> {
    async fn connection(&mut self) -> Result<&mut PoolConnection<Db>, sqlx::Error> {
        Ok(match self.connection.take() {
            Some(connection) => self.connection.insert(connection),
            None => self.connection.insert(self.pool.acquire().await?),
        })
    }

    /// Closes the connection.
    fn discard(&mut self) {
        if let Some(mut connection) = self.connection.take() {
            connection.close_on_drop();
        }
    }
}

/// Commits a group in one transaction. If that fails, each write gets a transaction of its own, so that none fails because of
/// another.
async fn commit(writer: &mut Writer<'_>, mut group: Vec<Box<dyn QueuedWrite>>) {
    if group.len() > 1 {
        match transaction(writer, &mut group).await {
            Ok(()) => return group.into_iter().for_each(|member| member.finish(Ok(()))),
            Err(error) => {
                tracing::warn!(writes = group.len(), "a group of writes failed, each is tried on its own: {error}");
            }
        }
    }
    for mut member in group {
        let committed = transaction(writer, std::slice::from_mut(&mut member)).await;
        member.finish(committed);
    }
}

async fn transaction(writer: &mut Writer<'_>, group: &mut [Box<dyn QueuedWrite>]) -> Result<(), sqlx::Error> {
    let dialect = writer.dialect;
    let connection = writer.connection().await?;
    let durable = group.iter().any(|member| member.must_be_durable());
    if !durable {
        sqlx::query("PRAGMA synchronous = NORMAL").execute(&mut **connection).await?;
    }
    let result = statements(connection, dialect.begin(durable), group).await;
    let rolled_back = !matches!(&result, Err(Failed { rolled_back: false, .. }));
    let mut restored = Ok(());
    if !durable && rolled_back {
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

/// A type-erased [`Write`] in the queue.
#[async_trait]
trait QueuedWrite: Send {
    fn must_be_durable(&self) -> bool;

    async fn run(&mut self, connection: &mut DbConnection) -> Result<(), sqlx::Error>;

    /// Sends the result to the caller.
    fn finish(self: Box<Self>, committed: Result<(), sqlx::Error>);
}

/// A write, its output until the commit, and the caller that waits for it.
struct PendingWrite<W: Write> {
    write: W,
    output: Option<W::Output>,
    reply: oneshot::Sender<Result<W::Output, sqlx::Error>>,
}

#[async_trait]
impl<W: Write> QueuedWrite for PendingWrite<W> {
    fn must_be_durable(&self) -> bool {
        self.write.must_be_durable()
    }

    async fn run(&mut self, connection: &mut DbConnection) -> Result<(), sqlx::Error> {
        self.output = Some(self.write.run(connection).await?);
        Ok(())
    }

    fn finish(self: Box<Self>, committed: Result<(), sqlx::Error>) {
        let Self { write, output, reply } = *self;
        let result = committed.and_then(|()| output.ok_or(sqlx::Error::PoolClosed));
        if let Ok(output) = &result {
            write.on_commit(output);
        }
        // The caller may have stopped waiting.
        let _ = reply.send(result);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;
    use crate::database::Database;

    /// Inserts a worker with this id. `fails` makes its statement invalid, `panics` the write panic after it.
    #[derive(Default)]
    struct Insert {
        id: u32,
        fails: bool,
        panics: bool,
    }

    #[async_trait]
    impl Write for Insert {
        type Output = u32;

        async fn run(&mut self, connection: &mut DbConnection) -> Result<u32, sqlx::Error> {
            let statement = if self.fails {
                "INSERT INTO missing_table (id, lease_until) VALUES ($1, 0)"
            } else {
                "INSERT INTO video_workers (id, lease_until) VALUES ($1, 0)"
            };
            sqlx::query(statement).bind(i64::from(self.id)).execute(connection).await?;
            assert!(!self.panics, "scripted panic");
            Ok(self.id)
        }
    }

    async fn open(directory: &tempfile::TempDir) -> Database {
        Database::open(&directory.path().join("jobs.db")).await.unwrap()
    }

    async fn count(database: &Database) -> i64 {
        sqlx::query_scalar("SELECT COUNT(*) FROM video_workers").fetch_one(database.readers()).await.unwrap()
    }

    #[tokio::test]
    async fn failing_write_of_a_group_does_not_fail_the_others() {
        let directory = tempfile::tempdir().unwrap();
        let database = open(&directory).await;
        // While the connection is taken, all writes wait.
        let connection = database.writer().acquire().await.unwrap();
        let writes = join_all((0..50).map(|id| database.write(Insert { id, fails: id == 20, panics: false })));
        let (outputs, ()) = tokio::join!(writes, async { drop(connection) });
        for (id, output) in (0..50).zip(outputs) {
            assert_eq!(output.ok(), (id != 20).then_some(id));
        }
        assert_eq!(count(&database).await, 49);
    }

    #[tokio::test]
    async fn write_that_panics_is_rolled_back_and_later_writes_succeed() {
        let directory = tempfile::tempdir().unwrap();
        let database = open(&directory).await;
        assert!(database.write(Insert { id: 1, panics: true, ..Insert::default() }).await.is_err());
        assert_eq!(database.write(Insert { id: 2, ..Insert::default() }).await.unwrap(), 2);
        assert_eq!(count(&database).await, 1);
    }

    #[tokio::test]
    async fn queued_write_is_committed_after_its_caller_is_cancelled() {
        let directory = tempfile::tempdir().unwrap();
        let database = open(&directory).await;
        let connection = database.writer().acquire().await.unwrap();
        {
            let write = std::pin::pin!(database.write(Insert { id: 1, ..Insert::default() }));
            assert!(futures_util::poll!(write).is_pending());
        }
        drop(connection);
        database.write(Insert { id: 2, ..Insert::default() }).await.unwrap();
        assert_eq!(count(&database).await, 2);
    }

    #[tokio::test]
    async fn close_commits_queued_writes_and_refuses_later_ones() {
        let directory = tempfile::tempdir().unwrap();
        let database = open(&directory).await;
        let write = database.write(Insert { id: 1, ..Insert::default() });
        let (written, ()) = tokio::join!(write, database.close());
        assert_eq!(written.unwrap(), 1);
        assert!(database.write(Insert { id: 2, ..Insert::default() }).await.is_err());
        assert_eq!(count(&open(&directory).await).await, 1);
    }
}
