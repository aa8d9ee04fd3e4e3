//! `GET /openapi.json`: the API as an OpenAPI 3.1 document.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};

/// The document.
const DOCUMENT: &str = include_str!("../../openapi.json");

pub(crate) async fn get() -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], DOCUMENT).into_response()
}

#[cfg(test)]
mod tests;
