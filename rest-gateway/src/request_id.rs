//! Request ids, by which responses, log lines and calls to the core and to upstreams can be matched.

use http::{HeaderMap, HeaderValue};

use crate::headers::X_REQUEST_ID;

/// The id of a request.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub(crate) HeaderValue);

impl RequestId {
    /// Returns the client's `x-request-id` if it is 1 to 128 visible ASCII characters, otherwise a new random id.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Self {
        let valid = |id: &&HeaderValue| (1..=128).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic);
        headers.get(X_REQUEST_ID).filter(valid).cloned().map_or_else(Self::random, Self)
    }

    /// Returns a new random id.
    pub(crate) fn random() -> Self {
        let mut text = *b"req_00000000000000000000000000000000";
        uuid::Uuid::new_v4().simple().encode_lower(&mut text[4..]);
        Self(HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("req_")))
    }
}
