//! Cross-origin requests: which browser origins may call the API, and what their scripts may read.

use axum::{extract::Request, middleware::Next, response::Response};
use http::{HeaderName, HeaderValue, header};
use tower::{Layer, ServiceExt};
use tower_http::cors::{AllowHeaders, AllowOrigin, Any, CorsLayer};

use crate::{
    headers::{
        FORWARDED_FROM_CORE, OPENAI_POLL_AFTER_MS, RETRY_AFTER_MS, X_ACCEL_BUFFERING, X_REQUEST_ID, X_SHOULD_RETRY,
    },
    ietf_rate_limits,
};

/// The gateway's own response headers that scripts may read only if CORS exposes them. Those of the core are in `FORWARDED_FROM_CORE`.
const EXPOSED: [HeaderName; 15] = [
    X_REQUEST_ID,
    header::RETRY_AFTER,
    RETRY_AFTER_MS,
    X_SHOULD_RETRY,
    OPENAI_POLL_AFTER_MS,
    header::ACCEPT_RANGES,
    header::CONTENT_RANGE,
    header::CONTENT_DISPOSITION,
    header::ETAG,
    header::ALLOW,
    header::WWW_AUTHENTICATE,
    header::X_CONTENT_TYPE_OPTIONS,
    X_ACCEL_BUFFERING,
    ietf_rate_limits::POLICY,
    ietf_rate_limits::STATE,
];

/// Returns the middleware for these origins, `None` if no origin is allowed. Origins that are no header value are
/// skipped.
pub(crate) fn layer(allowed_origins: &[String]) -> Option<CorsLayer> {
    let origins = match allowed_origins {
        [] => return None,
        origins if origins.iter().any(|origin| origin == "*") => AllowOrigin::from(Any),
        origins => AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok())),
    };
    // Mirrored, because the wildcard does not cover `authorization`.
    let headers = AllowHeaders::mirror_request();
    let exposed: Vec<_> = EXPOSED.into_iter().chain(FORWARDED_FROM_CORE.clone()).collect();
    Some(CorsLayer::new().allow_origin(origins).allow_methods(Any).allow_headers(headers).expose_headers(exposed))
}

/// Runs the rest of the request's route behind `layer`.
pub(crate) async fn run(layer: Option<&CorsLayer>, request: Request, next: Next) -> Response {
    match layer {
        None => next.run(request).await,
        Some(layer) => match layer.layer(next).oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        },
    }
}
