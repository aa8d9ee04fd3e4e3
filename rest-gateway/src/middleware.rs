//! The middleware around every route and fallback: request id, tracing span, access log, metrics, CORS, and a response for handlers
//! that panic.

use std::{panic::AssertUnwindSafe, time::Instant};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use http::Method;
use tracing::{Instrument, field};

use crate::{
    access_log::AccessRecord,
    app::App,
    cors,
    error::GatewayError,
    headers::X_REQUEST_ID,
    ietf_rate_limits,
    observed_body::{self, log_panic},
    origin,
    request_id::RequestId,
    request_memory::RequestMemory,
    request_state::RequestState,
};

/// Runs the rest of a request's route, within all that the module lists.
pub(crate) async fn observe(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let start = Instant::now();
    let RequestId(id) = RequestId::from_headers(request.headers());
    let mut record = AccessRecord::new(&request, id.clone());
    let span = tracing::warn_span!(
        "request",
        request.id = id.to_str().unwrap_or_default(),
        method = %request.method(),
        path = record.route(),
        // Recorded by the core, which alone knows the names of API keys, if it runs in this process.
        caller = field::Empty
    );
    let is_head = request.method() == Method::HEAD;
    let in_flight = app.metrics.begin(record.route(), request.method(), &span);
    let body_memory = RequestMemory::new(&app.body_memory);
    request.extensions_mut().insert(RequestState {
        id: id.clone(),
        memory: body_memory.clone(),
        report: record.report().clone(),
    });
    let runtime = app.runtime();
    let (cors, allowed) = (runtime.cors.clone(), origin::check(&request, &runtime.settings));
    let has_ietf_rate_limits = runtime.settings.ietf_rate_limits;
    drop(runtime);
    // Boxed: the wrappers below would copy it several times.
    let handled = Box::pin(async {
        match allowed {
            Ok(()) => cors::run(cors.as_ref(), request, next).await,
            Err(error) => error.into_response(),
        }
    });
    let outcome = AssertUnwindSafe(handled).catch_unwind().instrument(span.clone()).await;
    // Until the response head, the body counts as being in memory. A stream that needs it for longer has a clone.
    drop(body_memory);
    let mut response = outcome.unwrap_or_else(|panic| {
        span.in_scope(|| log_panic(&*panic));
        GatewayError::internal().into_response()
    });
    response.headers_mut().insert(X_REQUEST_ID, id);
    record.report().add_default_headers(response.headers_mut());
    if has_ietf_rate_limits {
        ietf_rate_limits::add(response.headers_mut());
    }
    in_flight.finish(response.status(), start.elapsed());
    let status = response.status();
    if status.is_server_error() {
        span.in_scope(|| tracing::warn!(status = status.as_u16(), "request failed"));
    }
    if is_head {
        // The body of a response to HEAD is not read, so that its end is never observed.
        record.finish(status.as_u16());
    }
    observed_body::observe(response, span, record)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use crate::testing::{CoreStub, get, send};

    #[tokio::test]
    async fn valid_request_id_of_the_client_is_kept_and_reaches_the_core() {
        let core = CoreStub::default();
        let mut request = get("/v1/models");
        request.headers_mut().insert("x-request-id", "mine-1".parse().unwrap());
        let response = send(&core, request).await;
        assert_eq!(response.header("x-request-id"), Some("mine-1"));
        assert_eq!(core.metadata("x-request-id").as_deref(), Some("mine-1"));
    }

    #[tokio::test]
    async fn invalid_request_id_is_replaced() {
        for wrong in ["", "a b", "\u{e4}", &"x".repeat(129)] {
            let mut request = get("/v1/models");
            request.headers_mut().insert("x-request-id", http::HeaderValue::from_bytes(wrong.as_bytes()).unwrap());
            let core = CoreStub::default();
            let response = send(&core, request).await;
            let id = response.header("x-request-id").unwrap();
            assert!(id.len() == 36 && id.starts_with("req_"), "{id}");
            assert_eq!(core.metadata("x-request-id").as_deref(), Some(id));
        }
    }

    #[tokio::test]
    async fn error_responses_carry_a_request_id() {
        let core = CoreStub::default();
        for request in [get("/v1/none"), Request::post("/v1/models").body(axum::body::Body::empty()).unwrap()] {
            assert!(send(&core, request).await.header("x-request-id").unwrap().starts_with("req_"));
        }
    }

    #[tokio::test]
    async fn panicking_handler_returns_500_with_a_request_id() {
        let core = CoreStub::default();
        core.panic_on_every_call();
        let response = send(&core, get("/v1/models")).await;
        assert_eq!(response.error(), (500, None, "internal".to_owned()));
        assert!(response.header("x-request-id").unwrap().starts_with("req_"));
    }

    #[tokio::test]
    async fn client_that_leaves_before_the_response_head_is_counted() {
        let core = CoreStub::default();
        let router = crate::testing::router(&core, crate::Settings::default());
        let endless =
            axum::body::Body::from_stream(futures_util::stream::pending::<Result<bytes::Bytes, std::io::Error>>());
        let request = Request::post("/v1/videos/{id}/remix".replace("{id}", "video_1")).body(endless).unwrap();
        let call = tower::ServiceExt::oneshot(router, request);
        assert!(futures_util::FutureExt::now_or_never(call).is_none(), "the body has not arrived");
        let text = crate::metrics::prometheus().render();
        let expected = r#"triptych_rest_requests_total{route="/v1/videos/{id}/remix",method="POST",status="499"} 1"#;
        assert!(text.contains(expected), "{text}");
    }
}
