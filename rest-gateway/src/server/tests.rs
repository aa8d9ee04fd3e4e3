//! Tests of the API behind the HTTP server, over TCP: both protocols, timeouts and the drain.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http_server::{ConnectionThreads, Drain, ServerSettings, ThreadCount};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
    time::Instant,
};

use super::*;
use crate::{
    Settings,
    testing::{CoreStub, router},
};

/// The timeouts that a test waits for.
const SHORT: Duration = Duration::from_millis(100);

struct TestServer {
    address: SocketAddr,
    /// Begins the drain.
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// Starts a server for the routes that `extend` returns. It gives up a body and a drain after [`SHORT`].
async fn start(extend: impl FnOnce(Router) -> Router, server: ServerSettings) -> TestServer {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let runtime = crate::RuntimeSettings { body_timeout: SHORT, ..Settings::default().runtime };
    let settings = Settings { server, drain: SHORT, runtime, ..Settings::default() };
    let router = extend(router(&CoreStub::default(), settings.clone()));
    let drain = Drain::default();
    let application = RestApplication::new(router);
    let threads = ConnectionThreads::start(ThreadCount::Shared).unwrap();
    let task = tokio::spawn(async move {
        // Begins the drain, and returns when it is given up.
        let stop = async { stopped.await.map(|()| Instant::now() + SHORT).unwrap() };
        http_server::serve(listener, application, &threads, settings.server, drain, stop).await;
    });
    TestServer { address, stop, task }
}

fn short_timeouts() -> ServerSettings {
    ServerSettings { header_timeout: SHORT, ..ServerSettings::default() }
}

/// Sends a text, and returns all that the server sends until it closes the connection.
async fn exchange(address: SocketAddr, sent: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(sent.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn server_responds_and_stops() {
    let server = start(|router| router, ServerSettings::default()).await;
    let text = exchange(server.address, "GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("{\"status\":\"ok\"}"), "{text}");
    server.stop.send(()).unwrap();
    server.task.await.unwrap();
}

#[tokio::test]
async fn http_2_without_tls_is_served_on_the_same_port() {
    let server = start(|router| router, ServerSettings::default()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    // The connection preface, and an empty SETTINGS frame.
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!((head[3], &head[5..]), (0x04, &[0; 4][..]), "SETTINGS on stream 0");
}

#[tokio::test]
async fn connection_without_a_request_head_is_closed_after_the_header_timeout() {
    let server = start(|router| router, short_timeouts()).await;
    // The last one could begin either protocol.
    for half in ["", "GET /healthz HTTP/1.1\r\nhost:", "PRI * HT"] {
        assert_eq!(exchange(server.address, half).await, "", "{half:?}");
    }
}

#[tokio::test]
async fn stalled_body_returns_408_with_an_error_body() {
    let server = start(|router| router, short_timeouts()).await;
    let half = "POST /v1/images/generations HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n{";
    let text = exchange(server.address, half).await;
    assert!(text.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{text}");
    assert!(text.ends_with(r#""type":"invalid_request_error","param":null,"code":"request_timeout"}}"#), "{text}");
}

#[tokio::test]
async fn call_in_flight_finishes_while_draining_and_a_stuck_one_is_aborted() {
    // The first wait shows that the request has reached its handler, the second one that the drain has been requested.
    let barrier = Arc::new(tokio::sync::Barrier::new(2));
    let (entered, slow) = (Arc::clone(&barrier), Router::new());
    let slow = slow.route(
        "/slow",
        axum::routing::get(async move || {
            entered.wait().await;
            entered.wait().await;
            "done"
        }),
    );
    let stuck = Router::new().route("/stuck", axum::routing::get(std::future::pending::<()>));
    let server = start(|router| router.merge(slow).merge(stuck), short_timeouts()).await;
    let get = |path| format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
    let (slow, stuck) = (get("/slow"), get("/stuck"));
    let calls = async { tokio::join!(exchange(server.address, &slow), exchange(server.address, &stuck)) };
    let stop = async {
        barrier.wait().await;
        server.stop.send(()).unwrap();
        barrier.wait().await;
    };
    let ((slow, stuck), ()) = tokio::join!(calls, stop);
    assert!(slow.ends_with("done"), "{slow}");
    assert_eq!(stuck, "");
    server.task.await.unwrap();
}
