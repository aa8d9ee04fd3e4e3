//! How many nodes, which are processes, share the database.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

/// The number of nodes that run. Clones share it. The default is one node.
#[derive(Debug, Clone)]
pub struct NodeCount(Arc<AtomicU32>);

impl NodeCount {
    /// Returns the number of nodes as of the last renewal of this node's lease: at least 1.
    pub fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, nodes: u32) {
        self.0.store(nodes.max(1), Ordering::Relaxed);
    }
}

impl Default for NodeCount {
    fn default() -> Self {
        Self(Arc::new(AtomicU32::new(1)))
    }
}
