//! Response compression: a response is compressed only if its request was.
//!
//! Nearly every client offers gzip with every call, and the transport would compress every response. A client that compresses
//! its requests is assumed to want compression. Even then only single text responses are compressed: the small messages of a stream would
//! grow, and pictures and videos are compressed already.

use http::{HeaderName, Request};

const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// Returns whether the messages of a request are compressed.
pub(super) fn is_compressed<B>(request: &Request<B>) -> bool {
    request.headers().get(ENCODING).is_some_and(|encoding| encoding == "gzip")
}

/// Removes `grpc-accept-encoding` unless the response should be compressed.
pub(super) fn mirror_request_encoding<B>(mut request: Request<B>) -> Request<B> {
    if !(is_compressed(&request) && returns_text(request.uri().path())) {
        request.headers_mut().remove(ACCEPT_ENCODING);
    }
    request
}

/// Returns whether the method returns a single message of text.
fn returns_text(path: &str) -> bool {
    match path.strip_prefix("/triptych.v1.").and_then(|method| method.split_once('/')) {
        Some(("ChatService", method)) => method == "CreateChat",
        Some(("VideoService", method)) => !matches!(method, "WatchVideo" | "DownloadVideo"),
        Some(("ModelService", _)) => true,
        Some(_) | None => false,
    }
}
