//! The pages for browsers: static files of `pages/`, compiled in, whose scripts use the public API like any other client.
//!
//! Without `rest.pages` their paths are answered 404, as if they did not exist. The files require no API key; the API that
//! their scripts call does.

mod embedded;
mod negotiation;

use axum::{
    Router,
    extract::{Path, Request, State},
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use headers::{ETag, HeaderMapExt, IfNoneMatch};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use self::embedded::File;
use crate::{app::App, error::GatewayError, headers::X_CONTENT_TYPE_OPTIONS, path::UnfoldedUri};

/// The pages: the path of each, and its file.
const PAGES: [(&str, &str); 5] = [
    ("/", "index.html"),
    ("/playground", "playground.html"),
    ("/jobs", "jobs.html"),
    ("/usage", "usage.html"),
    ("/docs", "docs.html"),
];

/// The route of the assets. The first variable is the digest of all files.
const ASSETS: &str = "/assets/{digest}/{*name}";

/// Forbids everything that the pages do not need, above all scripts and styles from elsewhere or within the HTML.
const CONTENT_SECURITY_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data: blob:; \
     media-src 'self' blob:; font-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
);

/// The headers of all files, in addition to those that depend on the file and the request.
const SECURITY_HEADERS: [(HeaderName, HeaderValue); 5] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ),
];

/// A page is revalidated with every use, since it names the current assets.
const REVALIDATED: HeaderValue = HeaderValue::from_static("no-cache");
/// The URL of an asset changes with its content.
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// Returns the paths of all routes, as the metrics name them.
pub(crate) fn paths() -> impl Iterator<Item = &'static str> {
    PAGES.iter().map(|(path, _)| *path).chain([ASSETS])
}

/// Builds the routes. They are not part of the API and not in its OpenAPI document.
pub(crate) fn routes() -> Router<App> {
    let pages = PAGES.iter().fold(Router::new(), |router, &(path, file)| {
        router.route(path, get(async move |State(app): State<App>, request: Request| page(&app, &request, file)))
    });
    pages.route(ASSETS, get(asset))
}

/// `GET` of a page: HTML, unless the client does not accept it. Programs that accept JSON only get the error of an unknown path.
fn page(app: &App, request: &Request, file: &str) -> Response {
    let path = request.uri().path();
    let file = embedded::find(file).filter(|_| app.runtime().settings.pages);
    let Some(file) = file.filter(|_| negotiation::accepts_html(request.headers())) else {
        return GatewayError::not_found(path).into_response();
    };
    if let Some(location) = request.extensions().get().and_then(|unfolded| without_trailing_slash(unfolded, path)) {
        return (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, location)]).into_response();
    }
    let mut response = respond(request.headers(), file, REVALIDATED);
    response.headers_mut().append(header::VARY, HeaderValue::from_static("accept"));
    response
}

/// `GET` of an asset. Those of other versions do not exist: a page never combines files of two versions.
async fn asset(State(app): State<App>, Path((digest, name)): Path<(String, String)>, request: Request) -> Response {
    let is_current = app.runtime().settings.pages && digest == embedded::DIGEST;
    match embedded::find(&name).filter(|file| is_current && !file.is_page()) {
        Some(file) => respond(request.headers(), file, IMMUTABLE),
        None => GatewayError::not_found(request.uri().path()).into_response(),
    }
}

/// Returns the redirect for a page whose URL ends with a slash, from which its relative URLs would not resolve. The redirect is
/// relative, because a proxy may have removed a prefix of the path.
fn without_trailing_slash(UnfoldedUri(uri): &UnfoldedUri, path: &str) -> Option<HeaderValue> {
    let name = path.strip_prefix('/').filter(|name| !name.is_empty())?;
    let unfolded = uri.path();
    let slashes = unfolded.len() - unfolded.trim_end_matches('/').len();
    (slashes > 0).then(|| HeaderValue::try_from("../".repeat(slashes) + name).ok())?
}

/// Responds with a file, or with 304 if the client has it. A client that takes no gzip gets it uncompressed.
fn respond(request: &HeaderMap, file: &'static File, cache_control: HeaderValue) -> Response {
    let is_gzip = negotiation::accepts_gzip(request);
    // Weak: one tag for both encodings.
    let etag = format!("W/\"{}\"", embedded::DIGEST);
    let is_known = match (etag.parse::<ETag>(), request.typed_get::<IfNoneMatch>()) {
        (Ok(etag), Some(known)) => !known.precondition_passes(&etag),
        (Ok(_) | Err(_), _) => false,
    };
    let (status, body) = match (is_known, is_gzip) {
        (true, _) => (StatusCode::NOT_MODIFIED, Bytes::new()),
        (false, true) => (StatusCode::OK, Bytes::from_static(file.gzip)),
        (false, false) => match file.decompress() {
            Ok(bytes) => (StatusCode::OK, bytes.into()),
            Err(_) => return GatewayError::internal().into_response(),
        },
    };
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.extend(SECURITY_HEADERS);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.media_type));
    headers.insert(header::CACHE_CONTROL, cache_control);
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Ok(etag) = HeaderValue::try_from(etag) {
        headers.insert(header::ETAG, etag);
    }
    if is_gzip && !is_known {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

#[cfg(test)]
mod tests;
