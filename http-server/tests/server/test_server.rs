//! A server whose application answers by the path, and helpers to speak HTTP/1.1 to it.

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
use http_server::{
    Announcement, Application, BoundListener, ConnectionThreads, Drain, Encrypted, ListenAddress, Listener, Refusal,
    RequestBody, ServerSettings, ThreadCount, Tls, serve,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, oneshot},
    task::JoinHandle,
    time::Instant,
};

/// The length of the response to `/large` in bytes, more than the buffers of a socket.
pub(super) const LARGE: usize = 32 << 20;

/// A body that looks like a response of hyper's own.
pub(super) const FORGED: &str = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";

/// Responds by the path:
///
/// - `/` and unknown paths: without reading the request body
/// - `/echo`: with the request body
/// - `/stuck`: never
/// - `/wait`: notifies `entered`, then waits for `proceed`
/// - `/large`: with [`LARGE`] bytes
/// - `/endless`: with a body that always has another chunk
/// - `/forged`: with [`FORGED`], in a write of its own
/// - `/trailers`: with 1 KiB and trailers
/// - `/panic`: with a body that panics
/// - `/encrypted`: whether the connection uses TLS
#[derive(Clone, Default)]
pub(super) struct TestApplication {
    pub(super) entered: Arc<Notify>,
    pub(super) proceed: Arc<Notify>,
}

pub(super) enum TestBody {
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
                "/encrypted" => text(200, request.extensions().get::<Encrypted>().is_some().to_string()),
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

/// A running server. It drains when a grace period is sent to `stop`, and `task` ends with the drain.
pub(super) struct TestServer {
    pub(super) address: SocketAddr,
    pub(super) application: TestApplication,
    pub(super) stop: oneshot::Sender<Duration>,
    pub(super) announced: Announcement,
    pub(super) task: JoinHandle<()>,
}

/// Starts a server on a free port, without threads of its own.
pub(super) async fn start(settings: ServerSettings) -> TestServer {
    start_on(ThreadCount::Shared, settings).await
}

/// Starts a server on a free port, with these threads.
pub(super) async fn start_on(threads: ThreadCount, settings: ServerSettings) -> TestServer {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    serve_on(listener, address, threads, settings)
}

/// Starts a server with TLS on a free port, without threads of its own.
pub(super) async fn start_with_tls(tls: Tls, settings: ServerSettings) -> TestServer {
    let address = ListenAddress::Tcp(([127, 0, 0, 1], 0).into());
    let listener = BoundListener::bind(&address, Some(tls)).await.unwrap();
    let address = listener.address().unwrap().tcp().unwrap();
    serve_on(listener, address, ThreadCount::Shared, settings)
}

fn serve_on(
    listener: impl Listener + 'static,
    address: SocketAddr,
    threads: ThreadCount,
    settings: ServerSettings,
) -> TestServer {
    let (stop, stopped) = oneshot::channel();
    let threads = ConnectionThreads::start(threads).unwrap();
    let application = TestApplication::default();
    let served = application.clone();
    let drain = Drain::default();
    let announced = drain.announced.clone();
    let task = tokio::spawn(async move {
        let stop = async { Instant::now() + stopped.await.unwrap_or_default() };
        serve(listener, served, &threads, settings, drain, stop).await;
    });
    TestServer { address, application, stop, announced, task }
}

/// Returns the head of an HTTP/1.1 request. Each of `headers` ends with CRLF.
pub(super) fn head(method: &str, path: &str, headers: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nhost: a\r\n{headers}\r\n")
}

impl TestServer {
    pub(super) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends bytes and returns all that the server sends until it closes the connection.
    pub(super) async fn exchange(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes.as_ref()).await.unwrap();
        read_to_end(stream).await
    }
}

/// Returns what the server sends until it closes the connection.
pub(super) async fn read_to_end(mut stream: impl AsyncRead + Unpin) -> String {
    let mut received = String::new();
    let _ = stream.read_to_string(&mut received).await;
    received
}

/// Reads one response with a `content-length`.
pub(super) async fn read_response(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> String {
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
