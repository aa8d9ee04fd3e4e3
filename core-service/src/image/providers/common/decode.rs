//! Decoding parts of upstream responses.

use std::sync::LazyLock;

use bytes::Bytes;
use http_server::BlockingPool;
use openai_dialect::base64;

use crate::error::ProviderError;

/// Decodes an image in base64, in any form that upstreams write: see [`base64::decode`].
pub(in crate::image::providers) fn base64_image(encoded: &str) -> Result<Bytes, ProviderError> {
    let invalid = || ProviderError::Unreadable("the upstream returned an image that is not valid base64".to_owned());
    base64::decode(encoded).map(Bytes::from).ok_or_else(invalid)
}

/// The threads for requests to upstreams and their responses.
static THREADS: LazyLock<BlockingPool> = LazyLock::new(BlockingPool::per_cpu);

/// Runs `decode` on a blocking thread: a response may hold dozens of megabytes of base64.
pub(in crate::image::providers) async fn offload<T: Send + 'static>(
    decode: impl FnOnce() -> Result<T, ProviderError> + Send + 'static,
) -> Result<T, ProviderError> {
    THREADS.run(decode).await.unwrap_or_else(|error| {
        tracing::error!(%error, "processing upstream data panicked or was aborted");
        Err(ProviderError::Unreadable("the upstream's response could not be processed".to_owned()))
    })
}
