//! Long computations on the requests to upstreams and their responses, off the threads that serve connections.

use std::sync::LazyLock;

use http_server::BlockingLimiter;

use crate::error::ProviderError;

/// Bounds the blocking threads for requests to upstreams and their responses.
static LIMITER: LazyLock<BlockingLimiter> = LazyLock::new(BlockingLimiter::per_cpu);

/// Runs `work` on a blocking thread: encoding or decoding a message takes long, because it may have many pictures as base64, each as
/// large as `media.max_input_bytes` (20 MiB by default). Dropping the future discards the result; the work itself runs to its end.
///
/// # Errors
/// Those of the work; [`ProviderError::Unreadable`] if it panics.
pub(crate) async fn on_blocking_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ProviderError> + Send + 'static,
) -> Result<T, ProviderError> {
    LIMITER.run(work).await.unwrap_or_else(|error| {
        tracing::error!(%error, "processing upstream data panicked or was aborted");
        Err(ProviderError::Unreadable("the data of the upstream could not be processed".to_owned()))
    })
}
