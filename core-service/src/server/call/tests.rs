use std::{convert::Infallible, time::Duration};

use futures_util::StreamExt as _;
use http_body_util::{BodyExt as _, StreamBody};
use tonic_types::StatusExt as _;
use tower::ServiceExt as _;

use super::*;
use crate::keys::Caller;

fn request(headers: &[(&'static str, &str)]) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    for &(name, value) in headers {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    request
}

async fn answer<F, R>(ends: &Ends, request: Request<Body>, handler: F) -> Response<Body>
where
    F: Fn(Request<Body>) -> R + Send,
    R: Future<Output = Response<Body>> + Send + 'static,
{
    let inner = tower::service_fn(move |request| {
        let answered = handler(request);
        async { Ok::<_, Infallible>(answered.await) }
    });
    CallLayer::new(ends.clone(), Keys::default()).layer(inner).oneshot(request).await.unwrap()
}

/// A body of one frame, then whatever comes.
fn streaming(rest: impl Future<Output = Frame<Bytes>> + Send + 'static) -> Response<Body> {
    let first = Frame::data(Bytes::from_static(b"first"));
    let frames = futures_util::stream::iter([first]).chain(futures_util::stream::once(rest));
    Response::new(Body::new(StreamBody::new(frames.map(Ok::<_, Status>))))
}

fn status(headers: &HeaderMap) -> (Code, Option<String>) {
    let status = Status::from_header_map(headers).unwrap();
    (status.code(), status.get_details_error_info().map(|info| info.reason))
}

async fn last(response: Response<Body>) -> (Code, Option<String>) {
    let mut body = response.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "first");
    let trailers = body.frame().await.unwrap().unwrap().into_trailers().unwrap();
    assert!(body.frame().await.is_none());
    status(&trailers)
}

#[tokio::test]
async fn a_strangers_message_is_not_read_and_a_callers_comes_with_the_name() {
    let key = crate::config::Key {
        name: "one".to_owned(),
        secret: Some("0123456789abcdef".into()),
        ..crate::config::Key::default()
    };
    let keys = Keys::new(&[key]).unwrap();
    let ask = async |path: &'static str, authorization: &str| {
        let seen = std::sync::Arc::new(std::sync::Mutex::new(None));
        let noted = seen.clone();
        let inner = tower::service_fn(move |request: Request<Body>| {
            let name = request.extensions().get::<Caller>().and_then(Caller::name).map(str::to_owned);
            *noted.lock().unwrap() = Some(name);
            async { Ok::<_, Infallible>(Response::new(Body::empty())) }
        });
        let mut request = request(&[("authorization", authorization)]);
        *request.uri_mut() = path.parse().unwrap();
        let answer = CallLayer::new(Ends::default(), keys.clone()).layer(inner).oneshot(request).await.unwrap();
        assert!(answer.headers().contains_key(REQUEST_ID));
        let seen = seen.lock().unwrap().take();
        (seen, Status::from_header_map(answer.headers()).map(|status| status.code()))
    };
    let (chat, media) = ("/triptych.v1.ChatService/CreateChat", "/triptych.v1.MediaService/ReadMedia");
    assert_eq!(ask(chat, "Bearer wrong").await, (None, Some(Code::Unauthenticated)));
    assert_eq!(ask(chat, "Bearer 0123456789abcdef").await, (Some(Some("one".to_owned())), None));
    for open in [media, "/grpc.health.v1.Health/Check", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"] {
        assert_eq!(ask(open, "Bearer wrong").await, (Some(None), None), "{open}");
    }
}

#[tokio::test]
async fn a_sane_request_id_reaches_the_handler_and_comes_back() {
    let echo = async |id: &'static str| {
        let handler = |request: Request<Body>| {
            let seen = request.headers()[REQUEST_ID].clone();
            std::future::ready(Response::builder().header("seen", seen).body(Body::empty()).unwrap())
        };
        let headers = answer(&Ends::default(), request(&[(REQUEST_ID, id)]), handler).await.headers().clone();
        assert_eq!(headers["seen"], headers[REQUEST_ID]);
        headers[REQUEST_ID].to_str().unwrap().to_owned()
    };
    assert_eq!(echo("mine-42").await, "mine-42");
    for insane in ["", "with space", "x".repeat(129).leak()] {
        assert!(echo(insane).await.starts_with("req_"), "{insane}");
    }
}

#[tokio::test]
async fn a_panic_in_a_handler_is_internal_and_keeps_its_request_id() {
    let handler = |_| async { panic!("a secret of the handler") };
    let response = answer(&Ends::default(), request(&[(REQUEST_ID, "mine")]), handler).await;
    assert_eq!(response.headers()[REQUEST_ID], "mine");
    assert_eq!(status(response.headers()), (Code::Internal, Some("INTERNAL".to_owned())));
    let told = Status::from_header_map(response.headers()).unwrap();
    assert!(!told.message().contains("secret"), "{told}");
}

#[tokio::test]
async fn a_panic_within_a_stream_ends_it_as_internal() {
    let handler = |_| std::future::ready(streaming(async { panic!("in the midst") }));
    let response = answer(&Ends::default(), request(&[]), handler).await;
    assert_eq!(last(response).await, (Code::Internal, Some("INTERNAL".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_outlives_its_deadline_is_told_so_with_a_reason() {
    let begun = tokio::time::Instant::now();
    let handler = |_| std::future::pending();
    let response = answer(&Ends::default(), request(&[("grpc-timeout", "250m")]), handler).await;
    assert_eq!(status(response.headers()), (Code::DeadlineExceeded, Some("UPSTREAM_TIMEOUT".to_owned())));
    assert!((250..=252).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_answer_within_the_deadline_is_not_disturbed_by_it() {
    let handler = |_| async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        Response::new(Body::empty())
    };
    let response = answer(&Ends::default(), request(&[("grpc-timeout", "250m")]), handler).await;
    assert!(!response.headers().contains_key("grpc-status"));
}

fn shutting_down() -> (Code, Option<String>) {
    (Code::Unavailable, Some("SHUTTING_DOWN".to_owned()))
}

#[tokio::test]
async fn what_outlives_the_drain_ends_with_shutting_down() {
    let ends = Ends::default();
    let response = answer(&ends, request(&[]), |_| std::future::ready(streaming(std::future::pending()))).await;
    ends.draining.cancel();
    ends.cut.cancel();
    assert_eq!(last(response).await, shutting_down());
    let response = answer(&ends, request(&[]), |_| std::future::pending()).await;
    assert_eq!(status(response.headers()), shutting_down());
}

#[tokio::test]
async fn whoever_only_watches_does_not_hold_up_the_drain() {
    let ends = Ends::default();
    let mut request = request(&[]);
    *request.uri_mut() = WATCHING.parse().unwrap();
    let response = answer(&ends, request, |_| std::future::ready(streaming(std::future::pending()))).await;
    ends.draining.cancel();
    assert_eq!(last(response).await, shutting_down());
}
