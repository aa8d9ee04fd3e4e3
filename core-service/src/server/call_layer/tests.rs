//! The middleware around handlers that return, stream, wait or panic.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::HeaderMap;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tonic::Code;
use tonic_types::StatusExt as _;
use tower::ServiceExt as _;

use super::*;
use crate::{context::REQUEST_ID, keys::Caller};

fn request(headers: &[(&'static str, &str)]) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    for &(name, value) in headers {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    request
}

async fn call<F, R>(shutdown: &Drain, request: Request<Body>, handler: F) -> Response<Body>
where
    F: Fn(Request<Body>) -> R + Send,
    R: Future<Output = Response<Body>> + Send + 'static,
{
    let inner = tower::service_fn(move |request| {
        let response = handler(request);
        async { Ok::<_, Infallible>(response.await) }
    });
    CallLayer::new(shutdown.clone(), Keys::default()).layer(inner).oneshot(request).await.unwrap()
}

/// Returns a response of one frame followed by `rest`.
fn streaming(rest: impl Future<Output = Frame<Bytes>> + Send + 'static) -> Response<Body> {
    let first = Frame::data(Bytes::from_static(b"first"));
    let frames = futures_util::stream::iter([first]).chain(futures_util::stream::once(rest));
    Response::new(Body::new(StreamBody::new(frames.map(Ok::<_, Status>))))
}

fn status(headers: &HeaderMap) -> (Code, Option<String>) {
    let status = Status::from_header_map(headers).unwrap();
    (status.code(), status.get_details_error_info().map(|info| info.reason))
}

/// Reads a [`streaming`] response to its end and returns the status in the trailers.
async fn final_status(response: Response<Body>) -> (Code, Option<String>) {
    let mut body = response.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "first");
    let trailers = body.frame().await.unwrap().unwrap().into_trailers().unwrap();
    assert!(body.frame().await.is_none());
    status(&trailers)
}

#[tokio::test]
async fn unauthenticated_requests_do_not_reach_the_handler_and_others_carry_their_caller() {
    let key = crate::config::Key {
        name: "one".to_owned(),
        secret: Some("0123456789abcdef".into()),
        ..crate::config::Key::default()
    };
    let keys = Keys::new(&[key], &[]).unwrap();
    let call = async |path: &'static str, authorization: &str| {
        let received = std::sync::Arc::new(std::sync::Mutex::new(None));
        let caller = received.clone();
        let inner = tower::service_fn(move |request: Request<Body>| {
            let name = request.extensions().get::<Caller>().and_then(Caller::name).map(str::to_owned);
            *caller.lock().unwrap() = Some(name);
            async { Ok::<_, Infallible>(Response::new(Body::empty())) }
        });
        let mut request = request(&[("authorization", authorization)]);
        *request.uri_mut() = path.parse().unwrap();
        let response = CallLayer::new(Drain::default(), keys.clone()).layer(inner).oneshot(request).await.unwrap();
        assert!(response.headers().contains_key(REQUEST_ID));
        let received = received.lock().unwrap().take();
        (received, Status::from_header_map(response.headers()).map(|status| status.code()))
    };
    let (chat, media) = ("/triptych.v1.ChatService/CreateChat", "/triptych.v1.MediaService/ReadMedia");
    assert_eq!(call(chat, "Bearer wrong").await, (None, Some(Code::Unauthenticated)));
    assert_eq!(call(chat, "Bearer 0123456789abcdef").await, (Some(Some("one".to_owned())), None));
    for open in [media, "/grpc.health.v1.Health/Check", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"] {
        assert_eq!(call(open, "Bearer wrong").await, (Some(None), None), "{open}");
    }
}

#[tokio::test]
async fn a_valid_request_id_reaches_the_handler_and_the_response() {
    let echo = async |id: &'static str| {
        let handler = |request: Request<Body>| {
            let received = request.headers()[REQUEST_ID].clone();
            std::future::ready(Response::builder().header("received", received).body(Body::empty()).unwrap())
        };
        let headers = call(&Drain::default(), request(&[(REQUEST_ID, id)]), handler).await.headers().clone();
        assert_eq!(headers["received"], headers[REQUEST_ID]);
        headers[REQUEST_ID].to_str().unwrap().to_owned()
    };
    assert_eq!(echo("mine-42").await, "mine-42");
    for invalid in ["", "with space", "x".repeat(129).leak()] {
        assert!(echo(invalid).await.starts_with("req_"), "{invalid}");
    }
}

#[tokio::test]
async fn a_panic_in_a_handler_returns_internal_with_the_request_id() {
    let handler = |_| async { panic!("a secret of the handler") };
    let response = call(&Drain::default(), request(&[(REQUEST_ID, "mine")]), handler).await;
    assert_eq!(response.headers()[REQUEST_ID], "mine");
    assert_eq!(status(response.headers()), (Code::Internal, Some("INTERNAL".to_owned())));
    let status = Status::from_header_map(response.headers()).unwrap();
    assert_eq!(status.message(), "Internal server error (request id mine)");
}

#[tokio::test]
async fn a_panic_in_a_stream_ends_it_with_internal() {
    let handler = |_| std::future::ready(streaming(async { panic!("after the first frame") }));
    let response = call(&Drain::default(), request(&[]), handler).await;
    assert_eq!(final_status(response).await, (Code::Internal, Some("INTERNAL".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn a_call_past_its_deadline_returns_deadline_exceeded_with_a_reason() {
    let start = tokio::time::Instant::now();
    let handler = |_| std::future::pending();
    let response = call(&Drain::default(), request(&[("grpc-timeout", "250m")]), handler).await;
    assert_eq!(status(response.headers()), (Code::DeadlineExceeded, Some("UPSTREAM_TIMEOUT".to_owned())));
    assert!((250..=252).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_response_within_the_deadline_is_unchanged() {
    let handler = |_| async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        Response::new(Body::empty())
    };
    let response = call(&Drain::default(), request(&[("grpc-timeout", "250m")]), handler).await;
    assert!(!response.headers().contains_key("grpc-status"));
}

fn shutting_down() -> (Code, Option<String>) {
    (Code::Unavailable, Some("SHUTTING_DOWN".to_owned()))
}

#[tokio::test]
async fn calls_past_the_cut_off_end_with_shutting_down() {
    let shutdown = Drain::default();
    let handler = |_| std::future::ready(streaming(std::future::pending()));
    let response = call(&shutdown, request(&[]), handler).await;
    shutdown.draining.cancel();
    shutdown.cut_off.cancel();
    assert_eq!(final_status(response).await, shutting_down());
    let response = call(&shutdown, request(&[]), |_| std::future::pending()).await;
    assert_eq!(status(response.headers()), shutting_down());
}

#[tokio::test]
async fn watch_streams_end_when_the_drain_starts() {
    let shutdown = Drain::default();
    let mut request = request(&[]);
    *request.uri_mut() = OBSERVERS[0].parse().unwrap();
    let handler = |_| std::future::ready(streaming(std::future::pending()));
    let response = call(&shutdown, request, handler).await;
    shutdown.draining.cancel();
    assert_eq!(final_status(response).await, shutting_down());
}
