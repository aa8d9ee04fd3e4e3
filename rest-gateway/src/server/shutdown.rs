//! The two stages of shutdown, as seen by connections and handlers.

use tokio_util::sync::CancellationToken;

/// A request extension, cancelled when shutdown begins. Handlers of endless streams end them then.
#[derive(Debug, Clone, Default)]
pub(crate) struct Draining(pub(crate) CancellationToken);

/// The stages of shutdown.
#[derive(Debug, Clone, Default)]
pub(super) struct Shutdown {
    /// No new requests; those in flight continue.
    pub(super) draining: Draining,
    /// The drain period is over: connections are closed.
    pub(super) abort: CancellationToken,
}
