//! The API as the application of the crate `http-server`, which calls it for every request, also for those that it
//! refuses.

use std::{convert::Infallible, future::Future};

use axum::{
    Router,
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode};
use http_server::{Application, Refusal, RequestBody};
use tower::Service;

use crate::{error::GatewayError, headers::X_REQUEST_ID, path, request_id::RequestId};

/// A [router](crate::routes::router_for_folded_paths), with the error responses to requests that the server refuses
/// before they reach it. Doubled and trailing slashes of paths are removed here, because the router matches paths
/// exactly.
#[derive(Debug, Clone)]
pub(crate) struct RestApplication {
    router: Router,
}

impl RestApplication {
    pub(crate) fn new(router: Router) -> Self {
        Self { router }
    }
}

impl Application for RestApplication {
    type Body = Body;

    fn handle(&self, request: Request<RequestBody>) -> impl Future<Output = Response> + Send + use<> {
        let request = path::fold_slashes(request.map(Body::new));
        let mut router = self.router.clone();
        async move { router.call(request).await.unwrap_or_else(|never: Infallible| match never {}) }
    }

    fn refuse(&self, refusal: Refusal, request: &Request<RequestBody>) -> Response {
        let message = match refusal {
            Refusal::Connections => "the server has reached its limit of connections (rest.max_connections)",
            Refusal::ConnectionsOfPeer => {
                "your address has reached its limit of connections (rest.max_connections_per_peer)"
            }
            Refusal::Requests => "the server has reached its limit of requests in flight (rest.max_requests)",
        };
        tracing::debug!(?refusal, "request refused");
        with_id(GatewayError::overloaded(message), RequestId::from_headers(request.headers()).0)
    }

    fn refuse_head(&self, status: StatusCode) -> http::Response<Bytes> {
        let error = match status {
            StatusCode::URI_TOO_LONG => GatewayError::head_too_large(status, "the path of the request is too long"),
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
                GatewayError::head_too_large(status, "the head of the request is too long (rest.head_limit_bytes)")
            }
            _ => GatewayError::invalid_request("the head of the request is not valid HTTP"),
        };
        let body = error.to_json();
        with_id(error, RequestId::random().0).map(|_| body.into())
    }
}

/// Returns the response for an error, with a request id, which no middleware adds here.
fn with_id(error: GatewayError, id: HeaderValue) -> Response {
    let mut response = error.into_response();
    response.headers_mut().insert(X_REQUEST_ID, id);
    response
}

#[cfg(test)]
mod tests;
