//! The extractor of the JSON bodies of webhook requests, whose members are all optional; so is the body.

use axum::extract::{FromRequest, Request};
use http::header;
use http_body::Body as _;
use serde_json::{Map, Value};

use crate::{
    app::App,
    authentication,
    error::GatewayError,
    json::{self, JsonBody},
};

/// The members of a body; none for an empty one. A null member counts as absent.
#[derive(Debug, Default)]
pub(crate) struct Members(Map<String, Value>);

impl Members {
    /// Returns a member that is a text.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, GatewayError> {
        self.member(name, "a string", |value| value.as_str().map(str::to_owned))
    }

    /// Returns a member that is true or false.
    pub(super) fn boolean(&self, name: &str) -> Result<Option<bool>, GatewayError> {
        self.member(name, "true or false", Value::as_bool)
    }

    /// Returns a member that is an integer.
    pub(super) fn integer(&self, name: &str) -> Result<Option<i64>, GatewayError> {
        self.member(name, "an integer", Value::as_i64)
    }

    /// Returns a member that is a list of texts; empty if it is absent.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<String>, GatewayError> {
        let texts = |value: &Value| {
            value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        };
        Ok(self.member(name, "a list of strings", texts)?.unwrap_or_default())
    }

    fn member<T>(
        &self,
        name: &str,
        expected: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>, GatewayError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                let error = || GatewayError::invalid(name, format!("{name}: expected {expected}"));
                read(value).map(Some).ok_or_else(error)
            }
        }
    }
}

impl FromRequest<App> for Members {
    type Rejection = GatewayError;

    async fn from_request(request: Request, app: &App) -> Result<Self, GatewayError> {
        let (parts, body) = request.into_parts();
        if body.is_end_stream() || parts.headers.get(header::CONTENT_LENGTH).is_some_and(|length| length == "0") {
            authentication::check(&parts, app).await?;
            return Ok(Self::default());
        }
        let body = JsonBody::read(&parts, body, app).await?;
        match serde_json::from_slice(body.as_bytes()) {
            Ok(members) => Ok(Self(members)),
            Err(error) if error.is_data() => Err(GatewayError::invalid_json("the body must be a JSON object")),
            Err(error) => Err(json::syntax_error(&error)),
        }
    }
}
