//! The writes of leases. None has to be durable: a node that survives a power failure of the database renews its lease.

use async_trait::async_trait;

use super::id::NodeId;
use crate::database::{DbConnection, Write};

/// The effect of a renewal on the leases of the other nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    /// Nothing.
    Keep,
    /// Those that have expired are removed.
    RemoveExpired,
    /// All are removed.
    RemoveAll,
}

/// Begins or extends the lease of a node, and returns the number of nodes.
pub(super) struct Renew {
    pub(super) node: NodeId,
    /// The end of the lease. As `now`, in milliseconds since 1970.
    pub(super) until: i64,
    pub(super) now: i64,
    pub(super) others: Others,
}

#[async_trait]
impl Write for Renew {
    type Output = u32;

    fn must_be_durable(&self) -> bool {
        false
    }

    async fn run(&mut self, connection: &mut DbConnection) -> Result<u32, sqlx::Error> {
        let query = "INSERT INTO nodes (id, lease_until) VALUES ($1, $2) \
                     ON CONFLICT (id) DO UPDATE SET lease_until = excluded.lease_until";
        let node = self.node.as_str();
        sqlx::query(query).bind(node).bind(self.until).execute(&mut *connection).await?;
        let expired = match self.others {
            Others::Keep => None,
            Others::RemoveExpired => Some(self.now),
            Others::RemoveAll => Some(i64::MAX),
        };
        if let Some(expired) = expired {
            let query = sqlx::query("DELETE FROM nodes WHERE id <> $1 AND lease_until <= $2");
            query.bind(node).bind(expired).execute(&mut *connection).await?;
        }
        let nodes: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM nodes").fetch_one(connection).await?;
        Ok(u32::try_from(nodes).unwrap_or(u32::MAX))
    }
}

/// Ends the lease of a node.
pub(super) struct Leave {
    pub(super) node: NodeId,
}

#[async_trait]
impl Write for Leave {
    type Output = ();

    fn must_be_durable(&self) -> bool {
        false
    }

    async fn run(&mut self, connection: &mut DbConnection) -> Result<(), sqlx::Error> {
        sqlx::query("DELETE FROM nodes WHERE id = $1").bind(self.node.as_str()).execute(connection).await?;
        Ok(())
    }
}

/// Claims a singleton task (periodic work that one node does for all) if no running node has it, and returns whether the node
/// has it.
pub(super) struct ClaimSingletonTask {
    pub(super) name: &'static str,
    pub(super) node: NodeId,
}

#[async_trait]
impl Write for ClaimSingletonTask {
    type Output = bool;

    fn must_be_durable(&self) -> bool {
        false
    }

    async fn run(&mut self, connection: &mut DbConnection) -> Result<bool, sqlx::Error> {
        let query = "INSERT INTO node_duties AS duty (name, node) VALUES ($1, $2) \
                     ON CONFLICT (name) DO UPDATE SET node = excluded.node \
                     WHERE duty.node = excluded.node OR duty.node NOT IN (SELECT id FROM nodes)";
        let taken = sqlx::query(query).bind(self.name).bind(self.node.as_str()).execute(connection).await?;
        Ok(taken.rows_affected() > 0)
    }
}
