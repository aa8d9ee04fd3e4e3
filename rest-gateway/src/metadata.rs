//! Response metadata of the core that the gateway repeats as response headers: see [`FORWARDED_FROM_CORE`].

use axum::response::Response;
use http::HeaderMap;
use tonic::metadata::MetadataMap;

use crate::headers::FORWARDED_FROM_CORE;

/// Returns the part of `metadata` that becomes response headers. Does not allocate when there is none.
pub(crate) fn response_headers(metadata: &MetadataMap) -> HeaderMap {
    let mut headers = HeaderMap::new();
    copy(metadata, &mut headers);
    headers
}

/// Adds the response headers for `metadata` to a response.
pub(crate) fn with_metadata(mut response: Response, metadata: &MetadataMap) -> Response {
    copy(metadata, response.headers_mut());
    response
}

fn copy(metadata: &MetadataMap, headers: &mut HeaderMap) {
    if metadata.is_empty() {
        return;
    }
    for name in FORWARDED_FROM_CORE {
        if let Some(value) = metadata.as_ref().get(&name) {
            headers.insert(name, value.clone());
        }
    }
}
