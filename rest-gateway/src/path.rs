//! The variable part of an address.

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;

use crate::{app::App, error::GatewayError};

/// One decoded path variable: an id or a name, whatever characters it holds. What does not decode names nothing.
#[derive(Debug, Clone)]
pub(crate) struct Id(pub(crate) String);

impl FromRequestParts<App> for Id {
    type Rejection = GatewayError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, GatewayError> {
        match Path::<String>::from_request_parts(parts, app).await {
            Ok(Path(id)) => Ok(Self(id)),
            Err(_) => Err(GatewayError::not_found(parts.uri.path())),
        }
    }
}
