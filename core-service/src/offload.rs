//! Long computations on the requests to upstreams and their responses.

use std::sync::LazyLock;

use http_server::BlockingLimiter;

use crate::error::ProviderError;

/// Bounds the blocking threads for requests to upstreams and their responses.
static LIMITER: LazyLock<BlockingLimiter> = LazyLock::new(BlockingLimiter::per_cpu);

/// Runs `work` on a blocking thread: a message may hold dozens of megabytes of base64.
pub(crate) async fn offload<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ProviderError> + Send + 'static,
) -> Result<T, ProviderError> {
    LIMITER.run(work).await.unwrap_or_else(|error| {
        tracing::error!(%error, "processing upstream data panicked or was aborted");
        Err(ProviderError::Unreadable("the data of the upstream could not be processed".to_owned()))
    })
}
