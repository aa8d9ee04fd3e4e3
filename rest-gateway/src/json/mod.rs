//! JSON bodies, with our own error shape: whatever is wrong with one is a 400 that says where.

mod scan;

use axum::{
    body::Body,
    extract::{FromRequest, Request},
};
use bytes::Bytes;
use http::{HeaderMap, header};
use serde::Deserialize;

use crate::{app::App, body, error::GatewayError, offload};

/// The content types taken for JSON, besides those that end in `+json`. The last is what curl says of any `-d`.
const TAKEN: [&str; 5] = ["", "application/json", "text/json", "text/plain", "application/x-www-form-urlencoded"];

/// A body that is JSON: UTF-8, at most `scan::DEPTH` levels deep everywhere, without broken escapes, not yet
/// parsed into anything.
#[derive(Debug, Clone)]
pub struct JsonBody(Bytes);

impl JsonBody {
    /// Reads a body and checks it. Clients lie about its type in good faith: see [`TAKEN`].
    pub(crate) async fn read(headers: &HeaderMap, body: Body, app: &App) -> Result<Self, GatewayError> {
        let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if !TAKEN.contains(&kind.as_str()) && !kind.ends_with("+json") {
            return Err(GatewayError::unsupported_media_type("the Content-Type must be application/json"));
        }
        let bytes = body::read(headers, body, &app.settings).await?;
        offload::run(bytes.len(), move || Self::check(bytes)).await?
    }

    /// Takes these bytes as a body.
    pub fn check(mut bytes: Bytes) -> Result<Self, GatewayError> {
        if bytes.starts_with(b"\xEF\xBB\xBF") {
            let _mark = bytes.split_to(3);
        }
        std::str::from_utf8(&bytes).map_err(|error| {
            GatewayError::invalid_json(format!("the body is not UTF-8 at byte {}", error.valid_up_to()))
        })?;
        scan::check(&bytes)?;
        Ok(Self(bytes))
    }

    /// The JSON text.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// Parses the body. An error names the line and column of broken JSON, or the path of a member of a wrong type.
    pub fn parse<'a, T: Deserialize<'a>>(&'a self) -> Result<T, GatewayError> {
        serde_json::from_slice(&self.0).map_err(|error| self.explain::<T>(&error))
    }

    /// Only failures pay for tracking the path: the body is parsed once more, and watched.
    fn explain<'a, T: Deserialize<'a>>(&'a self, error: &serde_json::Error) -> GatewayError {
        if !error.is_data() {
            return broken(error);
        }
        let mut again = serde_json::Deserializer::from_slice(&self.0);
        match serde_path_to_error::deserialize::<_, T>(&mut again) {
            Err(found) if found.path().iter().next().is_some() => {
                GatewayError::invalid(found.path().to_string(), plain(found.inner()))
            }
            Err(_) | Ok(_) => GatewayError::invalid_json(plain(error)),
        }
    }
}

impl FromRequest<App> for JsonBody {
    type Rejection = GatewayError;

    async fn from_request(request: Request, app: &App) -> Result<Self, GatewayError> {
        let (parts, body) = request.into_parts();
        Self::read(&parts.headers, body, app).await
    }
}

/// Broken JSON.
pub(crate) fn broken(error: &serde_json::Error) -> GatewayError {
    GatewayError::invalid_json(format!("the body is not valid JSON: {error}"))
}

/// serde_json's sentence without the place, which `param` tells better.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.find(" at line ").map_or(text.as_str(), |at| &text[..at]).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Wanted {
        #[expect(dead_code, reason = "only its type matters")]
        messages: Vec<Message>,
    }

    #[derive(Debug, Deserialize)]
    struct Message {
        #[expect(dead_code, reason = "only its type matters")]
        role: String,
    }

    fn parse(text: &'static [u8]) -> Result<Wanted, GatewayError> {
        JsonBody::check(Bytes::from_static(text))?.parse()
    }

    #[test]
    fn a_wrong_type_is_named_by_its_path() {
        let error = parse(br#"{"messages":[{"role":"user"},{"role":7}]}"#).unwrap_err();
        assert_eq!(error.param(), Some("messages[1].role"));
        assert_eq!(error.message(), "invalid type: integer `7`, expected a string");
    }

    #[test]
    fn broken_json_is_told_with_line_and_column() {
        let error = parse(b"{\"messages\":\n [}").unwrap_err();
        assert_eq!((error.status().as_u16(), error.code(), error.param()), (400, "invalid_json", None));
        assert!(error.message().ends_with("at line 2 column 3"), "{error}");
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_json() {
        assert!(parse(b"\xEF\xBB\xBF{\"messages\":[]}").is_ok());
    }

    #[test]
    fn what_is_not_utf_8_is_refused() {
        let error = parse(b"{\"messages\":[\"\xFF\"]}").unwrap_err();
        assert_eq!((error.status().as_u16(), error.message()), (400, "the body is not UTF-8 at byte 14"));
    }

    #[test]
    fn an_empty_body_is_broken_json() {
        assert_eq!(parse(b"").unwrap_err().code(), "invalid_json");
    }
}
