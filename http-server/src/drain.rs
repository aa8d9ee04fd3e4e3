//! The stages of a shutdown. In the drain, requests in flight may finish; at its end they are cut off.

use tokio_util::sync::CancellationToken;

/// Tokens for the stages of a shutdown. [`serve`](crate::serve) cancels them, and the application of the server watches
/// them.
#[derive(Debug, Clone, Default)]
pub struct Drain {
    /// Cancelled when the shutdown begins: no new requests, and endless streams should end.
    pub draining: CancellationToken,
    /// Cancelled when the drain is over: all responses should end now.
    pub cut_off: CancellationToken,
}
