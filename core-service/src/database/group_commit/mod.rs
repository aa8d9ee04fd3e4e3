//! Group commit: writes that wait at the same time share one transaction, and with it one flush to the disk.

mod postgres;
mod sqlite;
#[cfg(test)]
mod tests;
mod write;
mod writer;

use std::{
    panic::AssertUnwindSafe,
    sync::{Mutex, PoisonError},
};

use futures_util::FutureExt;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

pub(crate) use self::write::Write;
use self::{
    write::{PendingWrite, QueuedWrite},
    writer::{Failure, Writer},
};
use super::{dialect::Dialect, driver::DbPool, postgres::CommitMark};

/// The maximum number of writes in one transaction.
const MAX_GROUP: usize = 256;

/// The capacity of the queue. Further callers wait until there is space.
const QUEUE_CAPACITY: usize = 1024;

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
    let mut mark = CommitMark::new();
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
                let mut writer = Writer { pool: &writer, dialect, connection: Some(connection), mark: &mut mark };
                let committed = AssertUnwindSafe(commit(&mut writer, group)).catch_unwind().await;
                if committed.is_err() {
                    // The callers of the group get an error. The connection may have an open transaction.
                    tracing::error!("a write to the database panicked");
                    writer.discard();
                }
            }
            Err(error) => fail(group, error),
        }
    }
}

/// Commits a group in one transaction. If one of the writes fails, each gets a transaction of its own, so that none fails because of
/// another.
async fn commit(writer: &mut Writer<'_>, mut group: Vec<Box<dyn QueuedWrite>>) {
    let mut result = transaction(writer, &mut group).await;
    if let Err(Failure::Unavailable(error)) = &result {
        // The server may have ended the connection since the last write.
        tracing::warn!(writes = group.len(), "writes are repeated on another connection: {error}");
        result = transaction(writer, &mut group).await;
    }
    let error = match result {
        Ok(()) => return group.into_iter().for_each(|member| member.finish(Ok(()))),
        Err(Failure::Statement(error)) if group.len() > 1 => {
            tracing::warn!(writes = group.len(), "a group of writes failed, each is tried on its own: {error}");
            return commit_each(writer, group).await;
        }
        Err(Failure::Statement(error) | Failure::Unavailable(error)) => error,
        Err(Failure::OutcomeUnknown(error)) => {
            let why = "the connection to the database was lost during a commit, which may have succeeded";
            tracing::error!(writes = group.len(), "{why}: {error}");
            sqlx::Error::Protocol(format!("{why}: {error}"))
        }
    };
    fail(group, error);
}

async fn commit_each(writer: &mut Writer<'_>, group: Vec<Box<dyn QueuedWrite>>) {
    for mut member in group {
        let committed = transaction(writer, std::slice::from_mut(&mut member)).await;
        member.finish(committed.map_err(|failure| match failure {
            Failure::Statement(error) | Failure::Unavailable(error) | Failure::OutcomeUnknown(error) => error,
        }));
    }
}

/// Gives each caller the error. `sqlx::Error` is not `Clone`: all but one get its message.
fn fail(mut group: Vec<Box<dyn QueuedWrite>>, error: sqlx::Error) {
    let last = group.pop();
    let message = error.to_string();
    for member in group {
        member.finish(Err(sqlx::Error::Protocol(message.clone())));
    }
    if let Some(member) = last {
        member.finish(Err(error));
    }
}

async fn transaction(writer: &mut Writer<'_>, group: &mut [Box<dyn QueuedWrite>]) -> Result<(), Failure> {
    match writer.dialect {
        Dialect::Sqlite => sqlite::transaction(writer, group).await.map_err(Failure::Statement),
        Dialect::Postgres => postgres::transaction(writer, group).await,
    }
}
