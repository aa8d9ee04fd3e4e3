//! The writes of a group.

use async_trait::async_trait;
use tokio::sync::oneshot;

use crate::database::{dialect::Durability, driver::DbConnection};

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

/// A type-erased [`Write`] in the queue.
#[async_trait]
pub(super) trait QueuedWrite: Send {
    fn must_be_durable(&self) -> bool;

    async fn run(&mut self, connection: &mut DbConnection) -> Result<(), sqlx::Error>;

    /// Sends the result to the caller.
    fn finish(self: Box<Self>, committed: Result<(), sqlx::Error>);
}

/// Returns the durability that a group of writes needs: that of its most demanding member.
pub(super) fn durability(group: &[Box<dyn QueuedWrite>]) -> Durability {
    if group.iter().any(|member| member.must_be_durable()) { Durability::Flushed } else { Durability::Unflushed }
}

/// A write, its output until the commit, and the caller that waits for it.
pub(super) struct PendingWrite<W: Write> {
    pub(super) write: W,
    pub(super) output: Option<W::Output>,
    pub(super) reply: oneshot::Sender<Result<W::Output, sqlx::Error>>,
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
