//! The stages of a shutdown. First it is announced, while everything is served as before; in the drain, requests in flight may
//! finish; at its end they are cut off.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use tokio_util::sync::CancellationToken;

/// The stages of a shutdown. [`serve`](crate::serve) begins the last two, and the application of the server watches them.
#[derive(Debug, Clone, Default)]
pub struct Drain {
    /// The announcement of the shutdown, which begins at the latest with the drain.
    pub announced: Announcement,
    /// Cancelled when the drain begins: no new requests, and endless streams should end.
    pub draining: CancellationToken,
    /// Cancelled when the drain is over: all responses should end now.
    pub cut_off: CancellationToken,
}

/// Whether a shutdown is announced. From then on, every HTTP/1.1 response closes its connection, so that a client with a pool opens
/// the next one at another server, if a load balancer is in front. Clones share the state.
///
/// Without this, clients would still have idle connections when the drain closes them, and a request that crosses the close is lost.
#[derive(Debug, Clone, Default)]
pub struct Announcement(Arc<AtomicBool>);

impl Announcement {
    /// Announces the shutdown.
    pub fn announce(&self) {
        self.0.store(true, Relaxed);
    }

    /// Returns whether the shutdown is announced.
    pub fn is_announced(&self) -> bool {
        self.0.load(Relaxed)
    }
}
