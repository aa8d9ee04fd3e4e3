//! Decoding parts of upstream responses.

use bytes::Bytes;
use openai_dialect::base64;

use crate::error::ProviderError;

/// Decodes an image in base64, in any form that upstreams write: see [`base64::decode`].
pub(in crate::image::providers) fn base64_image(encoded: &str) -> Result<Bytes, ProviderError> {
    let invalid = || ProviderError::Unreadable("the upstream returned an image that is not valid base64".to_owned());
    base64::decode(encoded).map(Bytes::from).ok_or_else(invalid)
}
