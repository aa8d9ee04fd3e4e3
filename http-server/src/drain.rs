//! The stages of a shutdown.

use tokio_util::sync::CancellationToken;

/// The stages of a shutdown, for the application of a server.
#[derive(Debug, Clone, Default)]
pub struct Drain {
    /// Cancelled when the shutdown begins: no new requests, and endless streams should end.
    pub draining: CancellationToken,
    /// Cancelled when the drain is over: all responses should end now.
    pub cut_off: CancellationToken,
}
