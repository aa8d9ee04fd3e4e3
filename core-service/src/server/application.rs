//! The gRPC services as the application of an HTTP server.

use std::{convert::Infallible, future::Future};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_server::{Application, MemoryBudget, Refusal, RequestBody};
use tokio::time::Duration;
use tonic::{Status, body::Body};
use tower::Service;

use super::{message_memory::MessageMemory, request_body::LimitedBody};
use crate::error::Error;

/// The services with all their layers, and the responses to requests that do not reach them.
#[derive(Debug, Clone)]
pub(super) struct GrpcApplication<S> {
    service: S,
    body_timeout: Duration,
    body_memory: MemoryBudget,
}

impl<S> GrpcApplication<S> {
    pub(super) fn new(service: S, body_timeout: Duration, body_memory: MemoryBudget) -> Self {
        Self { service, body_timeout, body_memory }
    }
}

impl<S, F> Application for GrpcApplication<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future = F>
        + Clone
        + Send
        + Sync
        + 'static,
    F: Future<Output = Result<Response<Body>, Infallible>> + Send + 'static,
{
    type Body = Body;

    fn handle(&self, request: Request<RequestBody>) -> impl Future<Output = Response<Body>> + Send + use<S, F> {
        // Clients of reflection keep their request streams of small messages open.
        let is_limited = !request.uri().path().starts_with("/grpc.reflection.");
        // Reserved until the response begins.
        let memory = is_limited.then(|| MessageMemory::new(&self.body_memory));
        let request = request.map(|body| match &memory {
            Some(memory) => Body::new(LimitedBody::new(body, self.body_timeout, memory.clone())),
            None => Body::new(body),
        });
        let mut service = self.service.clone();
        async move {
            let response = service.call(request).await.unwrap_or_else(|never| match never {});
            drop(memory);
            response
        }
    }

    fn refuse(&self, refusal: Refusal, _request: &Request<RequestBody>) -> Response<Body> {
        let limit = match refusal {
            Refusal::Connections => "the server has reached its limit of connections (grpc.max_connections)",
            Refusal::ConnectionsOfPeer => {
                "your address has reached its limit of connections (grpc.max_connections_per_peer)"
            }
            Refusal::Requests => "the server has reached its limit of calls in flight (grpc.max_requests)",
        };
        tracing::debug!(?refusal, "call refused");
        Status::from(Error::LimitReached(limit)).into_http()
    }

    fn refuse_head(&self, status: StatusCode) -> Response<Bytes> {
        let mut response = Response::new(Bytes::from_static(b"The head of the request is not valid, or too long.\n"));
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        response
    }
}
