//! The extractor of small JSON bodies, whose members are all optional; so is the body.

use axum::extract::{FromRequest, Request};
use http::header;
use http_body::Body as _;
use serde_json::{Map, Value};

use crate::{
    app::App,
    authentication,
    error::GatewayError,
    json::{self, JsonBody, as_integer},
};

/// The members of a body; none for an empty one. A null member counts as absent.
#[derive(Debug, Default)]
pub(crate) struct Members {
    members: Map<String, Value>,
    /// The path of an object within the body, with a dot at its end: `limits.`.
    path: String,
}

impl Members {
    /// Returns a member that is a text.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, GatewayError> {
        self.member(name, "a string", |value| value.as_str().map(str::to_owned))
    }

    /// Returns a member that is true or false.
    pub(crate) fn boolean(&self, name: &str) -> Result<Option<bool>, GatewayError> {
        self.member(name, "true or false", Value::as_bool)
    }

    /// Returns a member that is an integer, `3` or `3.0`.
    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, GatewayError> {
        self.member(name, "an integer", as_integer)
    }

    /// Returns a member that is a list of texts; empty if it is absent.
    pub(crate) fn texts(&self, name: &str) -> Result<Vec<String>, GatewayError> {
        let texts = |value: &Value| {
            value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        };
        Ok(self.member(name, "a list of strings", texts)?.unwrap_or_default())
    }

    /// Returns a member that is an unsigned integer of 32 bits.
    pub(crate) fn unsigned(&self, name: &str) -> Result<Option<u32>, GatewayError> {
        let unsigned = |value: &Value| as_integer(value).and_then(|number| u32::try_from(number).ok());
        self.member(name, "an integer, 0 to 4294967295", unsigned)
    }

    /// Returns the members of a member that is an object.
    pub(crate) fn object(&self, name: &str) -> Result<Option<Self>, GatewayError> {
        let path = format!("{}{name}.", self.path);
        let object = |value: &Value| Some(Self { members: value.as_object()?.clone(), path: path.clone() });
        self.member(name, "an object", object)
    }

    /// Checks that there are no other members than these, so that a misspelled one is not ignored.
    pub(crate) fn require_known(&self, known: &[&str]) -> Result<(), GatewayError> {
        match self.members.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => {
                let path = format!("{}{name}", self.path);
                let message = format!("{path}: unknown member; expected {}", known.join(", "));
                Err(GatewayError::invalid(&path, message))
            }
        }
    }

    /// Returns whether a member is present, also with the value null.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// Returns a member that `read` accepts. `expected` completes the message "expected ...".
    pub(crate) fn member<T>(
        &self,
        name: &str,
        expected: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>, GatewayError> {
        match self.members.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                let path = format!("{}{name}", self.path);
                let error = || GatewayError::invalid(&path, format!("{path}: expected {expected}"));
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
            Ok(members) => Ok(Self { members, path: String::new() }),
            Err(error) if error.is_data() => Err(GatewayError::invalid_json("the body must be a JSON object")),
            Err(error) => Err(json::syntax_error(&error)),
        }
    }
}
