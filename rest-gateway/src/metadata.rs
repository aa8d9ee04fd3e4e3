//! Metadata of the core's gRPC responses that the gateway repeats as headers of HTTP responses: see
//! [`FORWARDED_FROM_CORE`].

use std::mem;

use axum::response::Response;
use http::{HeaderMap, HeaderName};
use tonic::metadata::MetadataMap;

use crate::headers::FORWARDED_FROM_CORE;

/// Returns the part of `metadata` that becomes response headers.
pub(crate) fn response_headers(metadata: MetadataMap) -> HeaderMap {
    let mut headers = metadata.into_headers();
    // A core in the same process sends nothing else.
    if !headers.keys().all(is_forwarded) {
        let others: Vec<HeaderName> = headers.keys().filter(|name| !is_forwarded(name)).cloned().collect();
        for name in others {
            headers.remove(name);
        }
    }
    headers
}

fn is_forwarded(name: &HeaderName) -> bool {
    FORWARDED_FROM_CORE.contains(name)
}

/// Adds the response headers for `metadata` to a response.
pub(crate) fn with_metadata(mut response: Response, metadata: MetadataMap) -> Response {
    if !metadata.is_empty() {
        // The map that has more headers is kept.
        let own = mem::replace(response.headers_mut(), response_headers(metadata));
        response.headers_mut().extend(own);
    }
    response
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;
    use crate::{
        routes::ROUTES,
        testing::{CoreStub, request_for, send},
    };

    #[test]
    fn headers_of_grpc_are_not_forwarded_and_those_of_the_response_stay() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("content-type", "application/grpc"),
            ("date", "Sun, 29 Nov 2026 00:00:00 GMT"),
            ("grpc-status", "0"),
            ("x-triptych-attempts", "near=ok"),
        ] {
            headers.append(name, value.parse().unwrap());
        }
        let response = with_metadata("{}".into_response(), MetadataMap::from_headers(headers));
        let mut sent: Vec<_> =
            response.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        sent.sort_unstable();
        assert_eq!(sent, [("content-type", "text/plain; charset=utf-8"), ("x-triptych-attempts", "near=ok")]);
    }

    #[tokio::test]
    async fn attempts_are_a_response_header_of_every_api_route() {
        for route in ROUTES.iter().filter(|route| route.path.starts_with("/v1/")) {
            let core = CoreStub::default();
            core.set_attempts("near=ok");
            let response = send(&core, request_for(route.method, route.path)).await;
            assert_eq!(response.status, 200, "{route:?}");
            assert_eq!(response.header("x-triptych-attempts"), Some("near=ok"), "{route:?}");
        }
    }
}
