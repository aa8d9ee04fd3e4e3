//! The door every request comes through: it gets its id, its span, its meters, and an answer even when a handler
//! panics.

use std::{panic::AssertUnwindSafe, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use http::{HeaderName, HeaderValue};
use tracing::{Instrument, field};

use crate::{
    app::App,
    error::{GatewayError, millis},
};

/// Names a request in headers, logs and calls to the core.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The id of a request: the caller's where it is 1 to 128 visible ASCII characters, else a new one.
#[derive(Debug, Clone)]
pub struct RequestId(pub HeaderValue);

impl RequestId {
    fn of(request: &Request) -> Self {
        let given = request.headers().get(HEADER);
        let sane = given.filter(|id| (1..=128).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic));
        Self(sane.cloned().unwrap_or_else(new))
    }
}

fn new() -> HeaderValue {
    let mut text = *b"req_00000000000000000000000000000000";
    uuid::Uuid::new_v4().simple().encode_lower(&mut text[4..]);
    HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("req_"))
}

/// Wraps every route and every fallback.
pub(crate) async fn door(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let start = Instant::now();
    let id = RequestId::of(&request);
    let path = request.extensions().get::<MatchedPath>().cloned();
    let route = path.as_ref().map_or("other", MatchedPath::as_str);
    let span = tracing::info_span!(
        "request",
        request.id = id.0.to_str().unwrap_or_default(),
        method = %request.method(),
        path = route,
        // Known to the core alone, which names it where it runs in this process.
        caller = field::Empty,
        status = field::Empty,
        ms = field::Empty
    );
    let meters = app.meters.begin(route, request.method());
    request.extensions_mut().insert(id.clone());
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind().instrument(span.clone()).await;
    let mut response = answer.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        span.in_scope(|| tracing::error!(panic = text.unwrap_or("no text"), "a handler panicked"));
        GatewayError::internal().into_response()
    });
    response.headers_mut().insert(HEADER, id.0);
    meters.end(response.status(), start.elapsed());
    span.record("status", response.status().as_u16());
    span.record("ms", millis(start.elapsed()));
    span.in_scope(|| match response.status() {
        status if status.is_server_error() => tracing::warn!("failed"),
        status if status.is_client_error() => tracing::info!("refused"),
        _ => tracing::debug!("answered"),
    });
    response
}

#[cfg(test)]
mod tests {
    use http::Request;

    use crate::testing::{Script, get, send};

    #[tokio::test]
    async fn a_sane_id_of_the_callers_is_kept_and_reaches_the_core() {
        let script = Script::default();
        let mut request = get("/v1/models");
        request.headers_mut().insert("x-request-id", "mine-1".parse().unwrap());
        let answer = send(&script, request).await;
        assert_eq!(answer.header("x-request-id"), Some("mine-1"));
        assert_eq!(script.metadata("x-request-id").as_deref(), Some("mine-1"));
    }

    #[tokio::test]
    async fn any_other_request_gets_a_new_id() {
        for wrong in ["", "a b", "\u{e4}", &"x".repeat(129)] {
            let mut request = get("/v1/models");
            request.headers_mut().insert("x-request-id", http::HeaderValue::from_bytes(wrong.as_bytes()).unwrap());
            let script = Script::default();
            let answer = send(&script, request).await;
            let id = answer.header("x-request-id").unwrap();
            assert!(id.len() == 36 && id.starts_with("req_"), "{id}");
            assert_eq!(script.metadata("x-request-id").as_deref(), Some(id));
        }
    }

    #[tokio::test]
    async fn failures_have_an_id_too() {
        let script = Script::default();
        for request in [get("/v1/none"), Request::post("/v1/models").body(axum::body::Body::empty()).unwrap()] {
            assert!(send(&script, request).await.header("x-request-id").unwrap().starts_with("req_"));
        }
    }

    #[tokio::test]
    async fn a_panic_in_a_handler_is_one_500_with_an_id() {
        let script = Script::default();
        script.panics();
        let answer = send(&script, get("/v1/models")).await;
        assert_eq!(answer.error(), (500, None, "internal".to_owned()));
        assert!(answer.header("x-request-id").unwrap().starts_with("req_"));
    }
}
