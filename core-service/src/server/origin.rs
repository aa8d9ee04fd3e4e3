//! Calls of web pages: pages of other origins are refused, whatever content type they send. CORS alone does not stop them: browsers
//! send requests with a content type such as `text/plain` without asking the server first.

use std::{
    future::{Ready, ready},
    task::{Context, Poll},
};

use futures_util::future::Either;
use http::{Method, Request, Response, StatusCode, header, uri::Authority};
use http_server::foreign_origin;
use tonic::{Status, body::Body};
use tower::{Layer, Service};

use crate::{error::Error, live::Live};

/// Refuses calls of web pages whose origin is neither allowed nor the server's own, with PERMISSION_DENIED and HTTP status 403.
#[derive(Debug, Clone)]
pub(super) struct OriginLayer {
    /// The origins of `grpc.cors_allow_origins`; `*` allows all.
    allowed: Live<Vec<String>>,
}

impl OriginLayer {
    pub(super) fn new(allowed: Live<Vec<String>>) -> Self {
        Self { allowed }
    }
}

impl<S> Layer<S> for OriginLayer {
    type Service = CheckOrigin<S>;

    fn layer(&self, inner: S) -> CheckOrigin<S> {
        CheckOrigin { inner, allowed: self.allowed.clone() }
    }
}

/// The service of [`OriginLayer`].
#[derive(Debug, Clone)]
pub(super) struct CheckOrigin<S> {
    inner: S,
    allowed: Live<Vec<String>>,
}

impl<S, B> Service<Request<B>> for CheckOrigin<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response<Body>, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let headers = request.headers();
        let host = || headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let own = || request.uri().authority().map(Authority::as_str).or_else(host).unwrap_or_default().to_owned();
        // Preflights, by which browsers find out whether a request is allowed, are answered by the CORS layer.
        if *request.method() == Method::OPTIONS {
            return Either::Left(self.inner.call(request));
        }
        match foreign_origin(headers, &self.allowed.load(), own) {
            None => Either::Left(self.inner.call(request)),
            Some(origin) => {
                let message = format!(
                    "pages of {origin} may not send this request; the setting `grpc.cors_allow_origins` lists those that may"
                );
                let mut refused = Status::from(Error::PermissionDenied(message)).into_http();
                *refused.status_mut() = StatusCode::FORBIDDEN;
                Either::Right(ready(Ok(refused)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use tonic::Code;
    use tower::{ServiceExt as _, service_fn};

    use super::*;

    async fn call(headers: &[(&str, &str)], allowed: &str) -> Response<Body> {
        let layer = OriginLayer::new(Live::new(vec![allowed.to_owned()]));
        let inner = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Body::empty())));
        let mut request = Request::post("/triptych.v1.VideoService/CreateVideo").header("host", "core.test:50051");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        layer.layer(inner).oneshot(request.body(()).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn call_of_a_foreign_page_is_refused_whatever_its_content_type() {
        for content_type in ["text/plain", "application/grpc", "application/grpc-web+proto"] {
            for foreign in [("origin", "https://evil.test"), ("origin", "null"), ("sec-fetch-site", "cross-site")] {
                let response = call(&[("content-type", content_type), foreign], "https://a.test").await;
                let status = Status::from_header_map(response.headers()).unwrap();
                assert_eq!((response.status().as_u16(), status.code()), (403, Code::PermissionDenied), "{foreign:?}");
                assert!(status.message().contains("grpc.cors_allow_origins"), "{status}");
            }
        }
    }

    #[tokio::test]
    async fn listed_and_own_origins_and_clients_without_origin_are_served() {
        for (headers, allowed) in [
            (&[][..], ""),
            (&[("origin", "http://core.test:50051")], ""),
            (&[("origin", "https://a.test")], "https://a.test"),
            (&[("origin", "https://a.test")], "*"),
        ] {
            assert!(call(headers, allowed).await.status().is_success(), "{headers:?}");
        }
    }
}
