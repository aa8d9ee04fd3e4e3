//! The lease of this process, by which the other nodes of a shared database know that it runs.
//!
//! Rows that belong to a node contain its id: the money that the ledger reserves for its calls (allowances), and responses in progress.
//! When its lease has expired, the other nodes clean these up. Video jobs have leases of their own (`video::runner`), because a runner can
//! lose its lease and go on with a new one.
//!
//! A node that was only paused renews its lease when it continues. Each clean-up ensures by itself that late writes of such a node have
//! no effect on what was cleaned up.

mod id;
mod lease;
#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::{
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval_at},
};
use tokio_util::sync::CancellationToken;

pub(crate) use self::id::NodeId;
use self::lease::{ClaimSingletonTask, Leave, Others, Renew};
use crate::{database::Database, error::Error, node_count::NodeCount, storage_failure::storage_error};

/// How long a node counts as running after it has renewed its lease.
const LEASE: Duration = Duration::from_secs(20);

/// The interval between two renewals, and between two clean-ups after dead nodes.
pub(crate) const RENEWAL_INTERVAL: Duration = Duration::from_secs(5);

/// This process among the nodes of a database. Clones share the lease.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    id: NodeId,
    database: Database,
    count: NodeCount,
}

/// The task that renews the lease. If it is dropped without [`leave`](Self::leave), the lease expires, as after a crash.
#[derive(Debug)]
pub(crate) struct NodeHandle {
    node: Node,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl Node {
    /// Starts a lease, and a task that renews it if other nodes can use the database. Otherwise there is no other process, and the leases
    /// of earlier ones end. `count` is kept up to date.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub(crate) async fn join(database: Database, count: NodeCount) -> Result<(Self, NodeHandle), Error> {
        let id = NodeId::generate();
        let is_shared = database.is_shared();
        let node = Self { id, database, count };
        node.renew(if is_shared { Others::Keep } else { Others::RemoveAll }).await?;
        let stop = CancellationToken::new();
        let task = is_shared.then(|| {
            let (node, stopped) = (node.clone(), stop.clone());
            tokio::spawn(async move { _ = stopped.run_until_cancelled(node.renew_at_intervals()).await })
        });
        Ok((node.clone(), NodeHandle { node, stop, task }))
    }

    /// Returns the id of this process.
    pub(crate) fn id(&self) -> &NodeId {
        &self.id
    }

    /// Returns whether other nodes can use the database, so that this node must clean up after dead ones at intervals.
    pub(crate) fn shares_database(&self) -> bool {
        self.database.is_shared()
    }

    /// Returns the periodic work of this name, which one of the nodes does for all.
    pub(crate) fn singleton_task(&self, name: &'static str) -> SingletonTask {
        SingletonTask(self.shares_database().then(|| (self.clone(), name)))
    }

    async fn renew(&self, others: lease::Others) -> Result<(), Error> {
        let now = self.now();
        let lease = i64::try_from(LEASE.as_millis()).unwrap_or(i64::MAX);
        let renew = Renew { node: self.id.clone(), until: now + lease, now, others };
        let nodes = self.database.write(renew).await.map_err(|error| storage_error("node", &error))?;
        if self.count.get() != nodes {
            tracing::info!(nodes, "the number of nodes changed");
        }
        self.count.set(nodes);
        Ok(())
    }

    /// Returns the time on the clock of the database, in milliseconds since 1970.
    pub(crate) fn now(&self) -> i64 {
        let system = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let of_server = self.database.clock().map(|clock| clock.now_millis());
        of_server.unwrap_or_else(|| i64::try_from(system()).unwrap_or(i64::MAX))
    }

    async fn renew_at_intervals(&self) {
        let mut ticks = interval_at(Instant::now() + RENEWAL_INTERVAL, RENEWAL_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last_renewal = Instant::now();
        loop {
            ticks.tick().await;
            // If no node could reach the database, or this process was paused, the others first get the time to renew their leases.
            let is_regular = last_renewal.elapsed() < 2 * RENEWAL_INTERVAL;
            let others = if is_regular { Others::RemoveExpired } else { Others::Keep };
            match self.renew(others).await {
                Ok(()) => last_renewal = Instant::now(),
                Err(error) => tracing::warn!("the lease of this node was not renewed and will be tried again: {error}"),
            }
        }
    }
}

/// Periodic work that one of the nodes does for all: the first that takes it, until its lease ends.
#[derive(Debug)]
pub(crate) struct SingletonTask(Option<(Node, &'static str)>);

impl SingletonTask {
    /// Returns a task that this node always has.
    #[cfg(test)]
    pub(crate) fn of_the_only_node() -> Self {
        Self(None)
    }

    /// Returns whether this node has the task, which it claims if no running node has it.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub(crate) async fn is_mine(&self) -> Result<bool, Error> {
        let Some((node, name)) = &self.0 else { return Ok(true) };
        let claim = ClaimSingletonTask { name, node: node.id.clone() };
        node.database.write(claim).await.map_err(|error| storage_error("node", &error))
    }
}

impl NodeHandle {
    /// Ends the lease. Must be called after all work of the node has been released.
    pub(crate) async fn leave(mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take() {
            // Fails only after a panic, which is logged.
            let _ = task.await;
        }
        let Node { id, database, .. } = &self.node;
        if let Err(error) = database.write(Leave { node: id.clone() }).await {
            tracing::warn!("the lease of this node was not ended, and expires: {error}");
        }
    }
}

impl Drop for NodeHandle {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}
