//! Whether an answer is compressed: as the request was.
//!
//! Nearly every client offers gzip with every call, asked or not, and the transport would take each of them at its word.
//! A caller that compresses its own requests means it. Even then only whole answers of text are: the pieces of a stream
//! would grow, and pictures and clips are compressed already.

use http::{HeaderName, Request};

const GIVEN: HeaderName = HeaderName::from_static("grpc-encoding");
const ACCEPTED: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// Leaves the offer to take a compressed answer with those requests alone that shall have one.
pub(super) fn mirrored<B>(mut request: Request<B>) -> Request<B> {
    let compressed = request.headers().get(GIVEN).is_some_and(|given| given == "gzip");
    if !(compressed && is_text(request.uri().path())) {
        request.headers_mut().remove(ACCEPTED);
    }
    request
}

/// The calls that are answered with one message of text.
fn is_text(path: &str) -> bool {
    match path.strip_prefix("/triptych.v1.").and_then(|call| call.split_once('/')) {
        Some(("ChatService", method)) => method == "CreateChat",
        Some(("VideoService", method)) => !matches!(method, "WatchVideo" | "DownloadVideo"),
        Some(("ModelService", _)) => true,
        Some(_) | None => false,
    }
}
