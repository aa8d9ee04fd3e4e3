//! A core that answers from a script, and a client without sockets.

mod script;

use axum::{Router, body::Body};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use tower::ServiceExt;

pub(crate) use script::{Script, clip, finished, underway};

use crate::{Settings, router};

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// `status param code` of an error, asserting that its body has all four members.
    pub(crate) fn error(&self) -> (u16, Option<String>, String) {
        let body = self.json();
        let error = body["error"].as_object().unwrap_or_else(|| panic!("no error: {body}"));
        let members: Vec<_> = error.keys().map(String::as_str).collect();
        assert_eq!(members, ["message", "type", "param", "code"]);
        assert_eq!(self.header("content-type"), Some("application/json"));
        (self.status.as_u16(), error["param"].as_str().map(str::to_owned), error["code"].as_str().unwrap().to_owned())
    }
}

/// Sends a request to a gateway over this script.
pub(crate) async fn send(script: &Script, request: Request<Body>) -> Answer {
    send_to(router(script.core(), Settings::default()), request).await
}

pub(crate) async fn send_to(router: Router, request: Request<Body>) -> Answer {
    let (parts, body) = router.oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    assert!(parts.headers.contains_key("x-request-id"), "every answer has an id");
    Answer { status: parts.status, headers: parts.headers, body }
}

pub(crate) fn get(path: &str) -> Request<Body> {
    Request::get(path).header("host", "gateway.test").body(Body::empty()).unwrap()
}

pub(crate) fn post(path: &str, json: &serde_json::Value) -> Request<Body> {
    raw(path, "application/json", json.to_string())
}

pub(crate) fn raw(path: &str, kind: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(path).header("host", "gateway.test").header("content-type", kind).body(body.into()).unwrap()
}

/// Each part is a name, the name of a file where it is one, and the value.
pub(crate) fn multipart(path: &str, parts: &[(&str, Option<&str>, &str)]) -> Request<Body> {
    let part = |(name, file, value): &(&str, Option<&str>, &str)| {
        let file = file.map(|file| format!("; filename=\"{file}\"\r\nContent-Type: application/octet-stream"));
        let file = file.unwrap_or_default();
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{value}\r\n")
    };
    let parts: Vec<_> = parts.iter().map(part).collect();
    raw(path, "multipart/form-data; boundary=b", parts.concat() + "--b--\r\n")
}
