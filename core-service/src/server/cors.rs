//! CORS for gRPC-Web, with origins that can change while the server runs.

use std::task::{Context, Poll};

use futures_util::future::Either;
use http::{HeaderValue, Request, Response, request::Parts};
use tower::{Layer, Service};
use tower_http::cors::{AllowHeaders, AllowOrigin, Any, Cors, CorsLayer};

use crate::live::Live;

/// Lets pages from the configured origins call the server; `*` allows all origins.
///
/// Without origins it adds nothing to responses, so browsers block calls from other origins.
#[derive(Debug, Clone)]
pub(super) struct LiveCorsLayer {
    origins: Live<Vec<String>>,
}

impl LiveCorsLayer {
    pub(super) fn new(origins: Live<Vec<String>>) -> Self {
        Self { origins }
    }
}

impl<S> Layer<S> for LiveCorsLayer {
    type Service = LiveCors<S>;

    fn layer(&self, inner: S) -> LiveCors<S> {
        let origins = self.origins.clone();
        let is_allowed = move |origin: &HeaderValue, _: &Parts| {
            origins.load().iter().any(|allowed| allowed == "*" || allowed.as_bytes() == origin.as_bytes())
        };
        let cors = CorsLayer::new()
            .allow_origin(AllowOrigin::predicate(is_allowed))
            .allow_methods(Any)
            // Not `Any`: the wildcard does not cover `authorization` (Fetch standard, "CORS non-wildcard request-header name").
            .allow_headers(AllowHeaders::mirror_request())
            // A call that fails at once has its status, message and details in headers.
            .expose_headers(Any);
        LiveCors { cors: cors.layer(inner), origins: self.origins.clone() }
    }
}

/// The CORS middleware around one service.
#[derive(Debug, Clone)]
pub(super) struct LiveCors<S> {
    cors: Cors<S>,
    origins: Live<Vec<String>>,
}

impl<S, B, R> Service<Request<B>> for LiveCors<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Default,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Either<S::Future, <Cors<S> as Service<Request<B>>>::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Service::<Request<B>>::poll_ready(&mut self.cors, context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if self.origins.load().is_empty() {
            Either::Left(self.cors.get_mut().call(request))
        } else {
            Either::Right(self.cors.call(request))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::{HeaderMap, header};
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn changed_origins_apply_to_the_next_request() {
        let origins = Live::<Vec<String>>::default();
        let inner = tower::service_fn(async |_: Request<String>| Ok::<_, Infallible>(Response::new(String::new())));
        let service = LiveCorsLayer::new(origins.clone()).layer(inner);
        let headers = async |origin: &str| {
            let request = Request::builder().header(header::ORIGIN, origin).body(String::new()).unwrap();
            service.clone().oneshot(request).await.unwrap().headers().clone()
        };
        let allowed = |headers: &HeaderMap| headers.get(header::ACCESS_CONTROL_ALLOW_ORIGIN).cloned();
        assert!(headers("https://a.test").await.is_empty());
        origins.store(vec!["https://a.test".to_owned()]);
        assert_eq!(allowed(&headers("https://a.test").await).unwrap(), "https://a.test");
        assert_eq!(allowed(&headers("https://b.test").await), None);
        origins.store(vec!["*".to_owned()]);
        assert_eq!(allowed(&headers("https://b.test").await).unwrap(), "https://b.test");
    }
}
