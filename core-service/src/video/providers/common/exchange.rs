//! One request to an upstream and its complete response. An error status is not an error here, because several vendors report the
//! state of a task with one: each provider interprets status and body itself.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use crate::{
    context::RequestContext,
    error::ProviderError,
    upstream::{QuotaMeaning, Upstream, context_headers, parse_error_response, until},
};

/// A request body and its content type.
#[derive(Debug)]
pub(in crate::video::providers) struct Content {
    pub(in crate::video::providers) content_type: HeaderValue,
    pub(in crate::video::providers) body: Bytes,
}

impl Content {
    /// Returns a JSON body.
    pub(in crate::video::providers) fn json(body: impl Into<Bytes>) -> Self {
        Self { content_type: HeaderValue::from_static("application/json"), body: body.into() }
    }
}

/// A complete response.
#[derive(Debug)]
pub(in crate::video::providers) struct Response {
    pub(in crate::video::providers) status: StatusCode,
    pub(in crate::video::providers) headers: HeaderMap,
    pub(in crate::video::providers) body: Bytes,
}

impl Response {
    /// Returns the failure that an error status and its body describe, for upstreams with errors in OpenAI's or a similar form. The
    /// code `insufficient_quota` means an account without money, rather than a rate limit.
    pub(in crate::video::providers) fn failure(&self) -> ProviderError {
        parse_error_response(self.status, &self.headers, &self.body, QuotaMeaning::EmptyAccount)
    }
}

/// Sends a request and reads the response to its end: the head within `timeouts.first_byte`, the whole body within
/// `timeouts.idle`, both before the deadline of the context. Sends the request id, idempotency key and trace context as
/// headers.
///
/// # Errors
/// Those of [`Upstream::send`] and [`Upstream::body`]; no status is an error.
pub(in crate::video::providers) async fn exchange(
    upstream: &Upstream,
    method: Method,
    path: &str,
    message: Option<Content>,
    context: &RequestContext,
) -> Result<Response, ProviderError> {
    exchange_with_headers(upstream, method, path, message, HeaderMap::new(), context).await
}

/// Sends a request like [`exchange`], with additional headers.
pub(in crate::video::providers) async fn exchange_with_headers(
    upstream: &Upstream,
    method: Method,
    path: &str,
    message: Option<Content>,
    additional: HeaderMap,
    context: &RequestContext,
) -> Result<Response, ProviderError> {
    let mut headers = context_headers(context);
    headers.extend(additional);
    let body = message.map_or_else(Bytes::new, |Content { content_type, body }| {
        headers.insert(header::CONTENT_TYPE, content_type);
        body
    });
    let head_deadline = until(upstream.timeouts.first_byte, context.deadline);
    let reply = upstream.send(method, path, headers, body, head_deadline).await?;
    let (status, headers) = (reply.status, reply.headers.clone());
    let body = upstream.body(reply, until(upstream.timeouts.idle, context.deadline)).await?;
    Ok(Response { status, headers, body })
}

/// Encodes an id of the upstream as one segment of a path.
pub(in crate::video::providers) fn path_segment(id: &str) -> String {
    let mut segment = String::with_capacity(id.len());
    for byte in id.bytes() {
        // As a whole id, `.` or `..` would be a relative segment: in ids of up to two bytes, dots are encoded.
        let is_plain =
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~') || byte == b'.' && id.len() > 2;
        if is_plain {
            segment.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(segment, "%{byte:02X}");
        }
    }
    segment
}

/// Encodes a name of the upstream that has several segments, separated by slashes.
pub(in crate::video::providers) fn path_segments(name: &str) -> String {
    let segments: Vec<_> = name.split('/').map(path_segment).collect();
    segments.join("/")
}

#[cfg(test)]
mod tests {
    use super::{path_segment, path_segments};

    #[test]
    fn slashes_separate_the_segments_of_a_name() {
        assert_eq!(path_segments("models/veo-3/operations/a b/.."), "models/veo-3/operations/a%20b/%2E%2E");
    }

    #[test]
    fn id_is_one_segment_whatever_it_contains() {
        for (id, segment) in [
            ("video_6a1f", "video_6a1f"),
            ("cgt-2026.1~x", "cgt-2026.1~x"),
            ("a/b?c#d%20", "a%2Fb%3Fc%23d%2520"),
            ("..", "%2E%2E"),
            ("ü", "%C3%BC"),
        ] {
            assert_eq!(path_segment(id), segment);
        }
    }
}
