//! Metadata of the core's gRPC responses that the gateway repeats as headers of HTTP responses: see
//! [`FORWARDED_FROM_CORE`].

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
    headers.reserve(metadata.len());
    // Mostly, all of them are forwarded.
    for (name, value) in metadata.as_ref() {
        if FORWARDED_FROM_CORE.contains(name) {
            headers.insert(name, value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        routes::ROUTES,
        testing::{CoreStub, request_for, send},
    };

    #[tokio::test]
    async fn attempts_are_a_response_header_of_every_api_route() {
        // Downloads do not repeat the metadata.
        let is_api = |path: &str| path.starts_with("/v1/") && !path.ends_with("/content");
        for route in ROUTES.iter().filter(|route| is_api(route.path)) {
            let core = CoreStub::default();
            core.set_attempts("near=ok");
            let response = send(&core, request_for(route.method, route.path)).await;
            assert_eq!(response.status, 200, "{route:?}");
            assert_eq!(response.header("x-triptych-attempts"), Some("near=ok"), "{route:?}");
        }
    }
}
