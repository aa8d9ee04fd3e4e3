//! Moves CPU-heavy work off the threads that serve connections.

use crate::error::GatewayError;

/// Inputs below this length are processed in place: a blocking task would cost more than the work.
const MIN_OFFLOAD_BYTES: usize = 64 << 10;

/// Runs `work` on a blocking thread if its input, `bytes` long, is large. Dropping the future discards the result; the
/// work itself runs to its end.
///
/// # Errors
/// 500 if the work panics.
pub(crate) async fn run<T, F>(bytes: usize, work: F) -> Result<T, GatewayError>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    if bytes < MIN_OFFLOAD_BYTES {
        return Ok(work());
    }
    let span = tracing::Span::current();
    tokio::task::spawn_blocking(move || span.in_scope(work)).await.map_err(|error| {
        tracing::error!(%error, "blocking task failed");
        GatewayError::internal()
    })
}
