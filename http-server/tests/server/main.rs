//! The server over real sockets. The clock is paused, so that timeouts pass as soon as nothing else can happen.

#![expect(clippy::unwrap_used, reason = "a failure fails the test")]

mod http2;
mod recorded;

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use http_server::{Application, ConnectionThreads, Drain, Refusal, RequestBody, ServerSettings, ThreadCount, serve};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, oneshot},
    task::JoinHandle,
    time::Instant,
};

/// Longer than the buffers of a socket.
const LARGE: usize = 32 << 20;

/// A body that looks like a response of hyper's own.
const FORGED: &str = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";

/// Answers by the path: `/` and unknown paths without reading the body, `/echo` with the body, `/stuck` never, `/wait` after
/// a notification, `/endless` with a body that always has another chunk, `/panic` with a body that panics, `/trailers` with
/// 1 KiB and trailers.
#[derive(Clone, Default)]
struct TestApplication {
    entered: Arc<Notify>,
    proceed: Arc<Notify>,
}

enum TestBody {
    Text(Option<Bytes>),
    /// Not ready at first, so that the head is sent alone.
    AfterHead {
        is_head_sent: bool,
        text: Option<Bytes>,
    },
    Endless,
    Panics,
    WithTrailers {
        is_data_sent: bool,
    },
}

impl Body for TestBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(match &mut *self {
            Self::AfterHead { is_head_sent: is_head_sent @ false, .. } => {
                *is_head_sent = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Self::Text(text) | Self::AfterHead { text, .. } => text.take().map(|text| Ok(Frame::data(text))),
            Self::Endless => Some(Ok(Frame::data(Bytes::from_static(&[0; 16 << 10])))),
            Self::Panics => panic!("scripted"),
            Self::WithTrailers { is_data_sent: is_data_sent @ false } => {
                *is_data_sent = true;
                Some(Ok(Frame::data(Bytes::from_static(&[0; 1024]))))
            }
            Self::WithTrailers { .. } => Some(Ok(Frame::trailers(HeaderMap::new()))),
        })
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Text(None) | Self::AfterHead { text: None, .. })
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(text) | Self::AfterHead { text, .. } => {
                SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64))
            }
            Self::Endless | Self::Panics | Self::WithTrailers { .. } => SizeHint::default(),
        }
    }
}

fn text(status: u16, text: impl Into<Bytes>) -> Response<TestBody> {
    let mut response = Response::new(TestBody::Text(Some(text.into())));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

impl Application for TestApplication {
    type Body = TestBody;

    fn handle(&self, request: Request<RequestBody>) -> impl Future<Output = Response<TestBody>> + Send + use<> {
        let Self { entered, proceed } = self.clone();
        async move {
            let path = request.uri().path().to_owned();
            match path.as_str() {
                "/" => text(200, "ok"),
                "/echo" => match request.into_body().collect().await {
                    Ok(body) => text(200, body.to_bytes()),
                    Err(_) => text(400, "broken"),
                },
                "/stuck" => std::future::pending().await,
                "/wait" => {
                    entered.notify_one();
                    proceed.notified().await;
                    text(200, "done")
                }
                "/endless" => Response::new(TestBody::Endless),
                "/large" => text(200, vec![b'x'; LARGE]),
                "/forged" => Response::new(TestBody::AfterHead { is_head_sent: false, text: Some(FORGED.into()) }),
                "/trailers" => Response::new(TestBody::WithTrailers { is_data_sent: false }),
                "/panic" => Response::new(TestBody::Panics),
                _ => text(404, "not found"),
            }
        }
    }

    fn refuse(&self, refusal: Refusal, _: &Request<RequestBody>) -> Response<TestBody> {
        text(429, format!("{refusal:?}"))
    }

    fn refuse_head(&self, status: StatusCode) -> Response<Bytes> {
        Response::builder().status(status).header("x-request-id", "req_1").body(format!("own {status}").into()).unwrap()
    }
}

struct TestServer {
    address: SocketAddr,
    application: TestApplication,
    stop: oneshot::Sender<Duration>,
    task: JoinHandle<()>,
}

async fn start(settings: ServerSettings) -> TestServer {
    start_on(ThreadCount::Shared, settings).await
}

async fn start_on(threads: ThreadCount, settings: ServerSettings) -> TestServer {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let threads = ConnectionThreads::start(threads).unwrap();
    let application = TestApplication::default();
    let served = application.clone();
    let task = tokio::spawn(async move {
        let stop = async { Instant::now() + stopped.await.unwrap_or_default() };
        serve(listener, served, &threads, settings, Drain::default(), stop).await;
    });
    TestServer { address, application, stop, task }
}

fn head(method: &str, path: &str, headers: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nhost: a\r\n{headers}\r\n")
}

impl TestServer {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends bytes and returns all that the server sends until it closes the connection.
    async fn exchange(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes.as_ref()).await.unwrap();
        read_to_end(stream).await
    }
}

async fn read_to_end(mut stream: impl AsyncRead + Unpin) -> String {
    let mut received = String::new();
    let _ = stream.read_to_string(&mut received).await;
    received
}

/// Reads one response with a `content-length`.
async fn read_response(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> String {
    let mut received = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&received);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if body.len() >= length.parse().unwrap() {
                return text.into_owned();
            }
        }
        assert!(stream.read_buf(&mut received).await.unwrap() > 0, "closed after {received:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn later_half_head_is_closed_after_the_header_timeout_and_not_the_idle_timeout() {
    let server = start(ServerSettings::default()).await;
    let mut stream = server.connect().await;
    stream.write_all(head("GET", "/echo", "").as_bytes()).await.unwrap();
    read_response(&mut stream).await;
    let start = Instant::now();
    stream.write_all(b"GET /echo HT").await.unwrap();
    assert_eq!(read_to_end(stream).await, "");
    assert_eq!(start.elapsed().as_secs(), ServerSettings::default().header_timeout.as_secs());
}

#[tokio::test(start_paused = true)]
async fn silent_connection_is_closed_after_the_header_timeout() {
    let server = start(ServerSettings::default()).await;
    // The last one could begin either protocol.
    for half in ["", "GET / HTTP/1.1\r\nhost:", "PRI * HT"] {
        let start = Instant::now();
        assert_eq!(server.exchange(half).await, "", "{half:?}");
        assert_eq!(start.elapsed().as_secs(), 10, "{half:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn idle_connection_of_either_protocol_is_closed_after_the_idle_timeout() {
    let server = start(ServerSettings { idle_timeout: Duration::from_secs(15), ..ServerSettings::default() }).await;
    let mut stream = server.connect().await;
    stream.write_all(head("GET", "/echo", "").as_bytes()).await.unwrap();
    read_response(&mut stream).await;
    let start = Instant::now();
    assert_eq!(read_to_end(stream).await, "");
    assert_eq!(start.elapsed().as_secs(), 15);

    let mut stream = server.connect().await;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut received = Vec::new();
    stream.read_to_end(&mut received).await.unwrap();
    let goaway = received.windows(4).any(|frame| frame == [8, 7, 0, 0]);
    assert!(goaway, "GOAWAY with a length of 8: {received:?}");
}

#[tokio::test(start_paused = true)]
async fn client_that_does_not_read_is_disconnected_after_the_write_timeout() {
    let server = start(ServerSettings::default()).await;
    let mut stream = server.connect().await;
    stream.write_all(head("GET", "/endless", "").as_bytes()).await.unwrap();
    stream.readable().await.unwrap();
    let start = Instant::now();
    // Time passes once the socket buffers are full.
    tokio::time::sleep(2 * ServerSettings::default().write_timeout).await;
    let mut discarded = Vec::new();
    assert!(stream.read_to_end(&mut discarded).await.is_err() || discarded.len() < 64 << 20, "the response is endless");
    assert!(start.elapsed() < 3 * ServerSettings::default().write_timeout);
}

#[tokio::test(start_paused = true)]
async fn unread_body_is_discarded_and_the_connection_serves_the_next_request() {
    let server = start(ServerSettings::default()).await;
    for path in ["/none", "/"] {
        let mut stream = server.connect().await;
        let (length, body) = (3 << 20, vec![b'x'; 3 << 20]);
        stream.write_all(head("POST", path, &format!("content-length: {length}\r\n")).as_bytes()).await.unwrap();
        let response = read_response(&mut stream).await;
        assert!(!response.contains("connection: close"), "{response}");
        stream.write_all(&body).await.unwrap();
        // Longer than the header timeout: the rest of the body is no head.
        tokio::time::sleep(Duration::from_secs(30)).await;
        stream.write_all(head("POST", "/echo", "content-length: 2\r\n").as_bytes()).await.unwrap();
        stream.write_all(b"hi").await.unwrap();
        assert!(read_response(&mut stream).await.ends_with("hi"));
    }
}

#[tokio::test(start_paused = true)]
async fn connection_serves_the_next_request_after_a_chunked_body() {
    let server = start(ServerSettings::default()).await;
    let mut stream = server.connect().await;
    for _ in 0..2 {
        let sent = head("POST", "/echo", "transfer-encoding: chunked\r\n") + "2\r\nhi\r\n0\r\n\r\n";
        stream.write_all(sent.as_bytes()).await.unwrap();
        let response = read_response(&mut stream).await;
        assert!(response.ends_with("hi") && !response.contains("connection: close"), "{response}");
    }
}

#[tokio::test(start_paused = true)]
async fn slow_reader_receives_a_response_that_takes_longer_than_the_idle_timeout() {
    let settings = ServerSettings { max_connection_age: Some(Duration::from_secs(30)), ..ServerSettings::default() };
    for settings in [ServerSettings::default(), settings] {
        let server = start(settings).await;
        let mut stream = server.connect().await;
        stream.write_all(head("GET", "/large", "connection: close\r\n").as_bytes()).await.unwrap();
        let (mut received, mut buffer) = (0, vec![0; 256 << 10]);
        loop {
            // 256 KiB a second: two minutes in all.
            tokio::time::sleep(Duration::from_secs(1)).await;
            match stream.read(&mut buffer).await.unwrap() {
                0 => break,
                read => received += read,
            }
        }
        assert!(received > LARGE, "{received}");
    }
}

#[tokio::test(start_paused = true)]
async fn body_that_looks_like_a_response_of_the_http_library_is_sent_unchanged() {
    let server = start(ServerSettings::default()).await;
    let mut stream = server.connect().await;
    for _ in 0..2 {
        stream.write_all(head("GET", "/forged", "").as_bytes()).await.unwrap();
        assert!(read_response(&mut stream).await.ends_with(FORGED));
    }
}

#[tokio::test(start_paused = true)]
async fn response_to_a_body_that_is_too_long_to_discard_arrives_and_announces_the_close() {
    let server = start(ServerSettings::default()).await;
    let mut stream = server.connect().await;
    let declared = format!("content-length: {}\r\n", 1_u64 << 40);
    stream.write_all(head("POST", "/none", &declared).as_bytes()).await.unwrap();
    // The client sends on until it has read the response.
    stream.write_all(&vec![b'x'; 4 << 20]).await.unwrap();
    let response = read_to_end(stream).await;
    assert!(response.starts_with("HTTP/1.1 404") && response.contains("connection: close"), "{response}");
}

#[tokio::test(start_paused = true)]
async fn client_that_expects_100_continue_is_not_asked_for_a_body_that_is_not_read() {
    let server = start(ServerSettings::default()).await;
    let response = server.exchange(head("POST", "/none", "content-length: 9\r\nexpect: 100-continue\r\n")).await;
    assert!(response.starts_with("HTTP/1.1 404") && response.contains("connection: close"), "{response}");
}

#[tokio::test(start_paused = true)]
async fn invalid_head_is_answered_with_the_body_of_the_application() {
    // hyper limits paths to 65,534 bytes.
    let server = start(ServerSettings { head_limit_bytes: 96 << 10, ..ServerSettings::default() }).await;
    let long = "x".repeat(70 << 10);
    for (sent, status) in [
        ("GET / HTTP/1.1\r\nno colon\r\n\r\n".to_owned(), "400 Bad Request"),
        (head("GET", &format!("/{long}"), ""), "414 URI Too Long"),
        (head("GET", "/", &format!("a: {long}\r\nb: {long}\r\n")), "431 Request Header Fields Too Large"),
    ] {
        let response = server.exchange(sent + &"x".repeat(1 << 20)).await;
        let expected = [&format!("HTTP/1.1 {status}\r\n"), "x-request-id: req_1", "connection: close"];
        assert!(expected.iter().all(|part| response.contains(*part)), "{response}");
        assert!(response.ends_with(&format!("\r\n\r\nown {status}")), "{response}");
    }
}

#[tokio::test(start_paused = true)]
async fn limits_are_answered_with_the_refusal_that_names_them() {
    let settings = ServerSettings { max_connections: 1, ..ServerSettings::default() };
    let server = start(settings).await;
    let held = server.connect().await;
    held.writable().await.unwrap();
    let response = server.exchange(head("GET", "/", "")).await;
    assert!(response.starts_with("HTTP/1.1 429") && response.contains("\r\n\r\nConnections"), "{response}");

    let server = start(ServerSettings { max_connections_per_peer: 1, ..ServerSettings::default() }).await;
    let held = server.connect().await;
    held.writable().await.unwrap();
    let response = server.exchange(head("GET", "/", "")).await;
    assert!(response.contains("\r\n\r\nConnectionsOfPeer"), "{response}");

    let server = start(ServerSettings { max_requests: 1, ..ServerSettings::default() }).await;
    let mut held = server.connect().await;
    held.write_all(head("GET", "/wait", "").as_bytes()).await.unwrap();
    server.application.entered.notified().await;
    let response = server.exchange(head("GET", "/", "connection: close\r\n")).await;
    assert!(response.contains("\r\n\r\nRequests"), "{response}");
    server.application.proceed.notify_one();
    assert!(read_response(&mut held).await.ends_with("done"));
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn panic_of_a_response_body_closes_its_connection_and_leaks_no_permit() {
    for threads in [ThreadCount::Shared, ThreadCount::Fixed(const { std::num::NonZeroUsize::new(2).unwrap() })] {
        let server = start_on(threads, ServerSettings { max_requests: 1, ..ServerSettings::default() }).await;
        for _ in 0..3 {
            server.exchange(head("GET", "/panic", "")).await;
        }
        let response = server.exchange(head("GET", "/", "connection: close\r\n")).await;
        assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    }
}

#[tokio::test(start_paused = true)]
async fn drain_ends_on_time_with_peers_that_hold_everything() {
    let server = start(ServerSettings::default()).await;
    let (mut silent, mut half, mut stuck, mut unread) =
        (server.connect().await, server.connect().await, server.connect().await, server.connect().await);
    half.write_all(b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nx").await.unwrap();
    stuck.write_all(head("GET", "/stuck", "").as_bytes()).await.unwrap();
    unread.write_all(head("GET", "/endless", "").as_bytes()).await.unwrap();
    unread.readable().await.unwrap();
    let mut waiting = server.connect().await;
    waiting.write_all(head("GET", "/wait", "").as_bytes()).await.unwrap();
    server.application.entered.notified().await;
    let start = Instant::now();
    server.stop.send(Duration::from_secs(20)).unwrap();
    server.application.proceed.notify_one();
    assert!(read_to_end(waiting).await.ends_with("done"), "a request in flight finishes");
    server.task.await.unwrap();
    assert!((20..=22).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    for stream in [&mut silent, &mut half, &mut stuck] {
        assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn connection_of_the_maximum_age_finishes_its_request_and_takes_no_other() {
    let age = Duration::from_mins(1);
    let server = start(ServerSettings { max_connection_age: Some(age), ..ServerSettings::default() }).await;
    let mut stream = server.connect().await;
    stream.write_all(head("GET", "/wait", "").as_bytes()).await.unwrap();
    server.application.entered.notified().await;
    tokio::time::sleep(age * 2).await;
    server.application.proceed.notify_one();
    let response = read_to_end(stream).await;
    assert!(response.ends_with("done"), "{response}");
}

#[tokio::test(start_paused = true)]
async fn client_that_closes_its_sending_half_counts_as_disconnected() {
    let server = start(ServerSettings::default()).await;
    let mut stream = server.connect().await;
    stream.write_all(head("GET", "/wait", "").as_bytes()).await.unwrap();
    server.application.entered.notified().await;
    stream.shutdown().await.unwrap();
    assert_eq!(read_to_end(stream).await, "");
    // The request has been dropped: another one waits for the notification.
    let mut other = server.connect().await;
    other.write_all(head("GET", "/wait", "").as_bytes()).await.unwrap();
    server.application.entered.notified().await;
    server.application.proceed.notify_one();
    assert!(read_response(&mut other).await.ends_with("done"));
}

#[cfg(unix)]
#[tokio::test(start_paused = true)]
async fn unix_socket_is_served_like_tcp() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let threads = ConnectionThreads::start(ThreadCount::Shared).unwrap();
    let (application, settings) = (TestApplication::default(), ServerSettings::default());
    let serving = serve(listener, application, &threads, settings, Drain::default(), std::future::pending());
    let calling = async {
        let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
        stream.write_all(head("GET", "/", "connection: close\r\n").as_bytes()).await.unwrap();
        read_to_end(stream).await
    };
    tokio::select! {
        () = serving => panic!("stopped"),
        response = calling => assert!(response.starts_with("HTTP/1.1 200"), "{response}"),
    }
}
