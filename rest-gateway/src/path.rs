//! The variable segment of a path.

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;

use crate::error::GatewayError;

/// A percent-decoded path variable, with any characters. A request whose variable is not UTF-8 is answered 404.
#[derive(Debug, Clone)]
pub(crate) struct PathId(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = GatewayError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, GatewayError> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(id)) => Ok(Self(id)),
            Err(_) => Err(GatewayError::not_found(parts.uri.path())),
        }
    }
}
