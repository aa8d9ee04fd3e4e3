//! Stored media: `GET /media/{key}`, to which the links in responses lead, and `GET /media/inputs/{token}`, from which
//! providers fetch the inputs of a video.

use std::time::SystemTime;

use axum::{extract::State, response::Response};
use http::{HeaderMap, HeaderValue, Method, Uri};

use crate::{
    app::App,
    context::RequestContext,
    download::{self, FileOptions, FileSource},
    error::GatewayError,
    link_signer::{InvalidLink, LinkSigner},
    path::PathId,
};

/// The `Cache-Control` of unsigned links: a year, because the content of a media key never changes.
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// `GET /media/{key}`.
pub(crate) async fn get(
    State(app): State<App>,
    context: RequestContext,
    method: Method,
    headers: HeaderMap,
    uri: Uri,
    PathId(key): PathId,
) -> Result<Response, GatewayError> {
    let cache_control = match &app.runtime().settings.link_signer {
        None => IMMUTABLE,
        Some(signer) => verify(signer, &key, &uri)?,
    };
    let file_stem = key.split('.').next().filter(|stem| download::is_safe_file_stem(stem)).map(str::to_owned);
    let options = FileOptions { cache_control, file_stem };
    download::serve_file(&app, &context, &method, &headers, FileSource::Media(key), options).await
}

/// `GET /media/inputs/{token}`: an input of a video, for the provider that was given the link. The core verifies the token.
pub(crate) async fn get_input(
    State(app): State<App>,
    context: RequestContext,
    method: Method,
    headers: HeaderMap,
    PathId(token): PathId,
) -> Result<Response, GatewayError> {
    let options = FileOptions { cache_control: HeaderValue::from_static("private, no-store"), file_stem: None };
    download::serve_file(&app, &context, &method, &headers, FileSource::Link(token), options).await
}

/// Verifies a signed link and returns its `Cache-Control`: `private`, because a shared cache would serve the file after
/// the expiry time, and to clients without the link.
fn verify(signer: &LinkSigner, key: &str, uri: &Uri) -> Result<HeaderValue, GatewayError> {
    let remaining = signer.verify(key, uri.query().unwrap_or_default(), SystemTime::now()).map_err(refuse)?;
    HeaderValue::try_from(format!("private, max-age={}, immutable", remaining.as_secs()))
        .map_err(|_| GatewayError::internal())
}

fn refuse(invalid: InvalidLink) -> GatewayError {
    let message = format!("the link {}; use links unchanged and before they expire", invalid.description());
    match invalid {
        InvalidLink::Unsigned | InvalidLink::WrongSignature => GatewayError::link_not_signed(message),
        InvalidLink::Expired => GatewayError::link_expired(message),
    }
}

#[cfg(test)]
mod tests;
