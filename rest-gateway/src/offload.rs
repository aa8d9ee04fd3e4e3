//! Work that would hold up other calls runs off the threads that serve them.

use crate::error::GatewayError;

/// Below this many bytes, moving the work costs more than doing it.
const WORTH_MOVING: usize = 64 << 10;

/// Runs `work`, which takes time in proportion to `bytes`. Dropping the future gives the result up, not the work.
pub(crate) async fn run<T, F>(bytes: usize, work: F) -> Result<T, GatewayError>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    if bytes < WORTH_MOVING {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "work beside the calls failed");
        GatewayError::internal()
    })
}
