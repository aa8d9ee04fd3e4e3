//! JSON request bodies: read, and checked as UTF-8 text of bounded depth before any handler parses them.

mod integer;
mod scan;

use axum::{
    body::Body,
    extract::{FromRequest, Request},
};
use bytes::Bytes;
use http::{header, request::Parts};

pub(crate) use self::integer::{as_integer, exact_integer};
use crate::{app::App, authentication, body, error::GatewayError, offload};

/// Content types accepted as JSON, besides those ending in `+json`. Clients often send a wrong one: none at all,
/// `text/plain`, or the default of `curl -d`, which is the last of the list.
const ACCEPTED: [&str; 5] = ["", "application/json", "text/json", "text/plain", "application/x-www-form-urlencoded"];

/// A body that [`scan`] has checked: UTF-8, nested to a bounded depth, without lone surrogates. Its syntax is checked by
/// the code that parses it.
#[derive(Debug, Clone)]
pub(crate) struct JsonBody(Bytes);

impl JsonBody {
    /// Reads and checks a body.
    pub(crate) async fn read(parts: &Parts, body: Body, app: &App) -> Result<Self, GatewayError> {
        let headers = &parts.headers;
        let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let content_type = content_type.split(';').next().unwrap_or_default().trim();
        if !is_accepted(content_type) {
            return Err(GatewayError::unsupported_media_type(format!(
                "header Content-Type \"{content_type}\": expected application/json"
            )));
        }
        authentication::check(parts, app).await?;
        let bytes = body::read(headers, body, app.body_limits(&parts.extensions)).await?;
        offload::run(bytes.len(), move || Self::check(bytes)).await?
    }

    /// Checks a body, without its byte order mark.
    pub(crate) fn check(mut bytes: Bytes) -> Result<Self, GatewayError> {
        if bytes.starts_with(b"\xEF\xBB\xBF") {
            let _byte_order_mark = bytes.split_to(3);
        }
        scan::check(&bytes)?;
        Ok(Self(bytes))
    }

    /// Returns the JSON text.
    pub(crate) fn as_bytes(&self) -> &Bytes {
        &self.0
    }
}

impl FromRequest<App> for JsonBody {
    type Rejection = GatewayError;

    async fn from_request(request: Request, app: &App) -> Result<Self, GatewayError> {
        let (parts, body) = request.into_parts();
        Self::read(&parts, body, app).await
    }
}

fn is_accepted(content_type: &str) -> bool {
    let suffix = content_type.len().checked_sub("+json".len()).and_then(|start| content_type.get(start..));
    ACCEPTED.iter().any(|accepted| accepted.eq_ignore_ascii_case(content_type))
        || suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case("+json"))
}

/// Converts a syntax error, whose message names line and column.
pub(crate) fn syntax_error(error: &serde_json::Error) -> GatewayError {
    GatewayError::invalid_json(format!("the body is not valid JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &'static [u8]) -> Result<JsonBody, GatewayError> {
        JsonBody::check(Bytes::from_static(text))
    }

    #[test]
    fn byte_order_mark_is_removed() {
        assert_eq!(check(b"\xEF\xBB\xBF{}").unwrap().as_bytes(), "{}");
    }

    #[test]
    fn invalid_utf_8_is_refused_with_its_position() {
        let error = check(b"{\"messages\":[\"\xFF\"]}").unwrap_err();
        assert_eq!((error.status().as_u16(), error.message()), (400, "the body is not UTF-8 at byte 14"));
    }
}
