//! Test support of this crate: a stub of the core, and a client that sends requests to the router without sockets.

mod core_stub;

use axum::{Router, body::Body};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use http_server::MemoryBudget;
use tower::ServiceExt;

pub(crate) use self::core_stub::{CLIP_URL, CoreStub, clip, succeeded, video_in_state};
use crate::{Gateway, RuntimeSettings, Settings, app::App, metrics::RequestMetrics};

/// A response, read to its end.
#[derive(Debug)]
pub(crate) struct TestResponse {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl TestResponse {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Asserts that the response is an error with all four members, and returns its status, `param` and `code`.
    pub(crate) fn error(&self) -> (u16, Option<String>, String) {
        let body = self.json();
        let error = body["error"].as_object().unwrap_or_else(|| panic!("not an error: {body}"));
        let members: Vec<_> = error.keys().map(String::as_str).collect();
        assert_eq!(members, ["message", "type", "param", "code"]);
        assert_eq!(self.header("content-type"), Some("application/json"));
        (self.status.as_u16(), error["param"].as_str().map(str::to_owned), error["code"].as_str().unwrap().to_owned())
    }
}

/// Returns the state of handlers in front of `core`, with this limit of the length of a body.
pub(crate) fn app(core: &CoreStub, body_limit_bytes: usize) -> App {
    let runtime = RuntimeSettings { body_limit_bytes, ..RuntimeSettings::default() };
    App::new(core.services(), runtime, RequestMetrics::new(std::iter::empty()), MemoryBudget::new(1 << 20))
}

/// Returns the router of a gateway in front of `core`.
pub(crate) fn router(core: &CoreStub, settings: Settings) -> Router {
    Gateway::new(core.services(), settings).router()
}

/// Sends a request to a gateway in front of `core`.
pub(crate) async fn send(core: &CoreStub, request: Request<Body>) -> TestResponse {
    send_to(router(core, Settings::default()), request).await
}

pub(crate) async fn send_to(router: Router, request: Request<Body>) -> TestResponse {
    let (parts, body) = router.oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    assert!(parts.headers.contains_key("x-request-id"), "every response has a request id");
    TestResponse { status: parts.status, headers: parts.headers, body }
}

pub(crate) fn get(path: &str) -> Request<Body> {
    Request::get(path).header("host", "gateway.test").body(Body::empty()).unwrap()
}

pub(crate) fn post(path: &str, json: &serde_json::Value) -> Request<Body> {
    raw(path, "application/json", json.to_string())
}

pub(crate) fn raw(path: &str, content_type: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(path).header("host", "gateway.test").header("content-type", content_type).body(body.into()).unwrap()
}

/// Returns a valid request for a route, with the ids of the stub in the place of path variables.
pub(crate) fn request_for(method: &str, path: &str) -> Request<Body> {
    let id = match path.trim_start_matches("/v1/").split('/').next() {
        Some("responses") => "resp_1",
        Some("webhook_endpoints") => "whe_1",
        _ => "video_1",
    };
    let path =
        path.replace("{id}", id).replace("{*id}", "org/m").replace("{key}", "clip.mp4").replace("{name}", "alice");
    let path = path.replace("{delivery_id}", "whd_1").replace("{token}", "token.mp4");
    let body = r#"{"model":"m","prompt":"p","team":"t","image":"YQ==","messages":[{"role":"user","content":"hello"}]}"#;
    let request = Request::builder().method(method).uri(path.replace("{engine}", "m"));
    request.header("host", "gateway.test").header("content-type", "application/json").body(Body::from(body)).unwrap()
}

/// Returns a multipart request. Each field is its name, its file name if it is a file, and its value.
pub(crate) fn multipart(path: &str, fields: &[(&str, Option<&str>, &str)]) -> Request<Body> {
    let field = |(name, file, value): &(&str, Option<&str>, &str)| {
        let file = file.map(|file| format!("; filename=\"{file}\"\r\nContent-Type: application/octet-stream"));
        let file = file.unwrap_or_default();
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{value}\r\n")
    };
    let fields: Vec<_> = fields.iter().map(field).collect();
    raw(path, "multipart/form-data; boundary=b", fields.concat() + "--b--\r\n")
}
