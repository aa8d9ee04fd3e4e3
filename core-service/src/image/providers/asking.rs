//! What the requests to different upstreams have in common.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// The headers of a JSON request, with our id of it where the upstream has a place for that in its logs.
pub(super) fn json_headers(trace: Option<(&'static str, &str)>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(2);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some((name, id)) = trace
        && let Ok(id) = HeaderValue::try_from(id)
    {
        headers.insert(HeaderName::from_static(name), id);
    }
    headers
}
