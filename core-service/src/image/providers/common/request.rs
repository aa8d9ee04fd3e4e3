//! Sending requests to upstreams: headers and error responses.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tokio::time::Instant;

use crate::{
    context::RequestContext,
    error::ProviderError,
    upstream::{Upstream, UpstreamResponse},
};

pub(in crate::image::providers) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// How long the body of an error response may take; without it the status alone determines the error.
const ERROR_BODY_TIMEOUT: Duration = Duration::from_secs(2);

/// Maps an error response to a provider error.
pub(in crate::image::providers) type MapFailure = fn(StatusCode, &HeaderMap, &[u8]) -> ProviderError;

/// Returns the headers of an upstream request: content type, request id and W3C trace context.
pub(in crate::image::providers) fn headers(context: &RequestContext, content_type: HeaderValue) -> HeaderMap {
    let mut headers = context.trace_headers();
    headers.insert(header::CONTENT_TYPE, content_type);
    headers
}

/// Sends a POST request and returns the response once its headers have arrived.
///
/// # Errors
/// The transport error, or the result of `map_failure` for a response with an error status; redacted in both cases.
pub(in crate::image::providers) async fn post(
    upstream: &Upstream,
    path: &str,
    headers: HeaderMap,
    body: Bytes,
    until: Instant,
    map_failure: MapFailure,
) -> Result<UpstreamResponse, ProviderError> {
    let reply = upstream.send(Method::POST, path, headers, body, until).await?;
    if reply.status.is_success() {
        return Ok(reply);
    }
    let (status, headers) = (reply.status, reply.headers.clone());
    let until = until.min(Instant::now() + ERROR_BODY_TIMEOUT);
    let body = upstream.body(reply, until).await.unwrap_or_default();
    Err(upstream.redacted(map_failure(status, &headers, &body)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::TraceContext;

    #[test]
    fn request_id_and_trace_context_become_headers() {
        let trace = TraceContext { parent: Some("00-1-2-01".parse().unwrap()), state: None };
        let context = RequestContext { request_id: "req_1".to_owned(), trace, ..RequestContext::default() };
        let headers = headers(&context, JSON);
        assert_eq!(
            (headers.len(), &headers["x-request-id"], &headers["traceparent"]),
            (3, &HeaderValue::from_static("req_1"), &HeaderValue::from_static("00-1-2-01"))
        );
    }
}
