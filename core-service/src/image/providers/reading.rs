//! What the answers of different upstreams have in common.

use base64::{
    Engine,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use http::header;

use crate::{error::ProviderError, upstream::Reply};

/// Servers differ in whether they pad.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A picture in base64, with or without the beginning of a `data:` address.
pub(super) fn decoded(encoded: &str) -> Result<Bytes, ProviderError> {
    let encoded = match encoded.strip_prefix("data:") {
        Some(address) => address.split_once(',').map_or("", |(_, encoded)| encoded),
        None => encoded,
    };
    let bytes = BASE64.decode(encoded.trim_ascii());
    bytes.map(Bytes::from).map_err(|_| ProviderError::Unreadable("the upstream's picture is no base64".to_owned()))
}

/// Whether an answer comes as events.
pub(super) fn is_stream(reply: &Reply) -> bool {
    let kind = reply.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| kind.trim_start().starts_with("text/event-stream"))
}

/// Reads off the async threads: an answer may hold dozens of megabytes of base64.
pub(super) async fn offloaded<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, ProviderError> + Send + 'static,
) -> Result<T, ProviderError> {
    tokio::task::spawn_blocking(read).await.unwrap_or_else(|error| {
        tracing::error!("reading an upstream's answer: {error}");
        Err(ProviderError::Unreadable("the upstream's answer cannot be read".to_owned()))
    })
}
