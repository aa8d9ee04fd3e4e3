//! The extractor of query parameters.

use axum::extract::{FromRequestParts, Query};
use http::request::Parts;

use crate::error::GatewayError;

/// The decoded query parameters of a request, in their order.
#[derive(Debug)]
pub(crate) struct QueryParams(Vec<(String, String)>);

impl QueryParams {
    /// Returns the value of a parameter; of a repeated one, the last.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for QueryParams {
    type Rejection = GatewayError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, GatewayError> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(pairs)) => Ok(Self(pairs)),
            Err(_) => Err(GatewayError::invalid_request("query string: expected name=value pairs, percent-encoded")),
        }
    }
}
