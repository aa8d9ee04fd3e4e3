//! Moves CPU-heavy work off the threads that serve connections, such as parsing a body or encoding images in base64.

use std::sync::LazyLock;

use http_server::BlockingLimiter;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;
use tracing::{Instrument, Span};

use crate::error::GatewayError;

/// Inputs of fewer bytes are processed in place: a blocking task would cost more than the work.
const MIN_OFFLOAD_BYTES: usize = 64 << 10;

/// Bounds the number of blocking threads that work on request and response bodies at once: one per CPU.
static LIMITER: LazyLock<BlockingLimiter> = LazyLock::new(BlockingLimiter::per_cpu);

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
    LIMITER.run(work).await.map_err(|error| {
        tracing::error!(%error, "blocking task failed");
        GatewayError::internal()
    })
}

/// Runs `work`, which reads a body of at most `bytes`, on another runtime than that of the connection if the body is large or
/// of unknown length. Dropping the future ends the work.
///
/// # Errors
/// Those of the work; 500 if it panics.
pub(crate) async fn spawn<T, F>(runtime: &Handle, bytes: Option<u64>, work: F) -> Result<T, GatewayError>
where
    T: Send + 'static,
    F: Future<Output = Result<T, GatewayError>> + Send + 'static,
{
    if bytes.is_some_and(|bytes| bytes < MIN_OFFLOAD_BYTES as u64) {
        return work.await;
    }
    let task = runtime.spawn(work.instrument(Span::current()));
    AbortOnDropHandle::new(task).await.map_err(|error| {
        tracing::error!(%error, "task failed");
        GatewayError::internal()
    })?
}
