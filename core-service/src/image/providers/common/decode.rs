//! Decoding parts of upstream responses.

use base64::{
    Engine,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;

use crate::error::ProviderError;

/// Standard base64 with optional padding: upstreams differ in whether they pad.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Decodes an image in base64, with or without the prefix of a `data:` URL.
pub(in crate::image::providers) fn base64_image(encoded: &str) -> Result<Bytes, ProviderError> {
    let encoded = match encoded.strip_prefix("data:") {
        Some(url) => url.split_once(',').map_or("", |(_, encoded)| encoded),
        None => encoded,
    };
    let bytes = BASE64.decode(encoded.trim_ascii());
    let invalid = |_| ProviderError::Unreadable("the upstream returned an image that is not valid base64".to_owned());
    bytes.map(Bytes::from).map_err(invalid)
}

/// Runs `decode` on a blocking thread: a response may hold dozens of megabytes of base64.
pub(in crate::image::providers) async fn offload<T: Send + 'static>(
    decode: impl FnOnce() -> Result<T, ProviderError> + Send + 'static,
) -> Result<T, ProviderError> {
    tokio::task::spawn_blocking(decode).await.unwrap_or_else(|error| {
        tracing::error!(%error, "processing upstream data panicked or was aborted");
        Err(ProviderError::Unreadable("the upstream's response could not be processed".to_owned()))
    })
}
