//! gRPC-Web: the same services for browsers, which have neither HTTP/2 frames nor trailers to themselves.

use http::HeaderValue;
use tower_http::cors::{AllowHeaders, AllowOrigin, Any, CorsLayer};

/// Lets pages from these origins call; `*` stands for all. `None` where nobody is named: then nothing is added to
/// answers, and browsers keep pages from elsewhere away by themselves.
pub(super) fn cors(origins: &[String]) -> Option<CorsLayer> {
    let allow = match origins {
        [] => return None,
        origins if origins.iter().any(|origin| origin == "*") => AllowOrigin::from(Any),
        origins => AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok())),
    };
    // Named one by one: what stands for all leaves out `authorization`.
    let asked = AllowHeaders::mirror_request();
    // Status, message and details of a call that failed at once are headers.
    Some(CorsLayer::new().allow_origin(allow).allow_methods(Any).allow_headers(asked).expose_headers(Any))
}
