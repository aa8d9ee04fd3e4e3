//! Connections: HTTP/1.1 and HTTP/2 on one port, bounded in time and size, and drained when the end is near.

mod socket;
mod threads;

use std::{
    future::Future,
    io,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body};
use http::Request;
use hyper::{body::Incoming, rt::Executor, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::{
        conn::auto,
        graceful::{GracefulShutdown, Watcher},
    },
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

use self::{socket::Socket, threads::Threads};
use crate::{meters, settings::Settings};

/// Without it the histograms would keep every single value until somebody asks for them.
const UPKEEP: Duration = Duration::from_secs(5);
/// A full table of open files heals by itself, though not at once.
const AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(50);
const PING: Duration = Duration::from_secs(20);

/// Serves until `stop` resolves, on [`Settings::threads`], then takes no more connections, lets calls in flight finish within
/// [`Settings::drain`], and cuts what is left. No task outlives it.
///
/// # Errors
/// Threads could not be started. A failed accept is tried again.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    settings: Settings,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let tracker = TaskTracker::new();
    let ends = Ends { draining: Draining::default(), cut: CancellationToken::new() };
    let executor = Tracked { tracker: tracker.clone(), cut: ends.cut.clone() };
    let graceful = GracefulShutdown::new();
    let doorway = Doorway { builder: builder(&settings, executor), router, settings };
    // Nothing that is served outlives this future, even where it is dropped.
    let _cut = ends.cut.clone().drop_guard();
    let threads = match NonZeroUsize::new(doorway.settings.threads) {
        Some(count) => Some(Threads::start(count, &tracker, &doorway, &ends)?),
        None => None,
    };
    let mut upkeep = interval(UPKEEP);
    upkeep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            _ = upkeep.tick() => meters::prometheus().run_upkeep(),
            accepted = listener.accept() => match accepted {
                Ok((stream, _peer)) => match &threads {
                    Some(threads) => threads.hand_over(stream, graceful.watcher()).await?,
                    None => drop(tracker.spawn(doorway.clone().converse(stream, graceful.watcher(), ends.clone()))),
                },
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(AFTER_FAILED_ACCEPT).await;
                }
            },
        }
    }
    drop(listener);
    drop(threads);
    ends.draining.0.cancel();
    tracker.close();
    if timeout(doorway.settings.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!(connections = tracker.len(), "cutting connections that did not finish in time");
    }
    ends.cut.cancel();
    tracker.wait().await;
    Ok(())
}

/// Tells streams without an end of their own, through the request's extensions, that the server is going down.
#[derive(Debug, Clone, Default)]
pub struct Draining(pub CancellationToken);

#[derive(Clone)]
struct Ends {
    draining: Draining,
    cut: CancellationToken,
}

#[derive(Clone)]
struct Doorway {
    builder: auto::Builder<Tracked>,
    router: Router,
    settings: Settings,
}

impl Doorway {
    async fn converse(self, stream: TcpStream, watcher: Watcher, ends: Ends) {
        // An event written is an event sent.
        let _ = stream.set_nodelay(true);
        let spoke = Arc::new(AtomicBool::new(false));
        let service = service_fn({
            let spoke = Arc::clone(&spoke);
            move |request: Request<Incoming>| {
                spoke.store(true, Ordering::Relaxed);
                let mut request = request.map(Body::new);
                request.extensions_mut().insert(ends.draining.clone());
                self.router.clone().oneshot(request)
            }
        });
        let connection = self.builder.serve_connection(TokioIo::new(Socket(stream)), service).into_owned();
        let connection = watcher.watch(connection);
        tokio::pin!(connection);
        let first = sleep(self.settings.header_timeout);
        tokio::pin!(first);
        loop {
            tokio::select! {
                biased;
                ended = &mut connection => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a connection ended badly");
                    }
                    return;
                }
                () = ends.cut.cancelled() => return,
                // hyper's own timeout begins when it knows the protocol, which a silent client never tells.
                () = &mut first, if !first.is_elapsed() => {
                    if !spoke.load(Ordering::Relaxed) {
                        return;
                    }
                }
            }
        }
    }
}

fn builder(settings: &Settings, executor: Tracked) -> auto::Builder<Tracked> {
    let mut builder = auto::Builder::new(executor);
    builder
        .http1()
        .timer(TokioTimer::new())
        // Runs between requests as well, so this is how long a connection may be idle.
        .header_read_timeout(settings.idle_timeout)
        .max_buf_size(settings.head_limit_bytes.max(8 << 10));
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING)
        .max_concurrent_streams(1024)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .max_header_list_size(u32::try_from(settings.head_limit_bytes).unwrap_or(u32::MAX));
    builder
}

/// Keeps the tasks that HTTP/2 needs under the same roof as the connections.
#[derive(Debug, Clone)]
struct Tracked {
    tracker: TaskTracker,
    cut: CancellationToken,
}

impl<F> Executor<F> for Tracked
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        let cut = self.cut.clone();
        self.tracker.spawn(async move { cut.run_until_cancelled_owned(future).await.map(drop) });
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        sync::oneshot,
        task::JoinHandle,
    };

    use super::*;
    use crate::{router, testing::Script};

    struct Running {
        address: SocketAddr,
        stop: oneshot::Sender<()>,
        server: JoinHandle<io::Result<()>>,
    }

    async fn start(extend: impl FnOnce(Router) -> Router, settings: Settings) -> Running {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let router = extend(router(Script::default().core(), settings.clone()));
        let server = tokio::spawn(serve(listener, router, settings, async move { stopped.await.unwrap() }));
        Running { address, stop, server }
    }

    fn quick() -> Settings {
        let short = Duration::from_millis(100);
        Settings { header_timeout: short, body_timeout: short, drain: short, ..Settings::default() }
    }

    async fn exchange(address: SocketAddr, sent: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn it_answers_and_stops_when_asked() {
        let running = start(|router| router, Settings::default()).await;
        let text = exchange(running.address, "GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("{\"status\":\"ok\"}"), "{text}");
        running.stop.send(()).unwrap();
        running.server.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn http_2_without_tls_is_spoken_on_the_same_port() {
        let running = start(|router| router, Settings::default()).await;
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        // The preface, and a SETTINGS frame without settings.
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        assert_eq!((head[3], &head[5..]), (0x04, &[0; 4][..]), "SETTINGS on stream 0");
    }

    #[tokio::test]
    async fn a_head_that_does_not_come_ends_the_connection_whatever_was_sent() {
        let running = start(|router| router, quick()).await;
        // The last one could be the beginning of either protocol.
        for half in ["", "GET /healthz HTTP/1.1\r\nhost:", "PRI * HT"] {
            assert_eq!(exchange(running.address, half).await, "", "{half:?}");
        }
    }

    #[tokio::test]
    async fn a_body_that_stops_is_answered_408_in_our_shape() {
        let echo = async |json: crate::json::JsonBody| json.as_bytes().clone();
        let app = crate::app::App::new(Script::default().core(), quick());
        let route = Router::new().route("/echo", axum::routing::post(echo)).with_state(app);
        let running = start(|router| router.merge(route), quick()).await;
        let half = "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n{";
        let text = exchange(running.address, half).await;
        assert!(text.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{text}");
        assert!(text.ends_with(r#""type":"invalid_request_error","param":null,"code":"request_timeout"}}"#), "{text}");
    }

    #[tokio::test]
    async fn a_call_in_flight_finishes_while_draining_and_one_that_does_not_is_cut() {
        let gate = Arc::new(tokio::sync::Barrier::new(2));
        let (entered, slow) = (Arc::clone(&gate), Router::new());
        let slow = slow.route(
            "/slow",
            axum::routing::get(async move || {
                entered.wait().await;
                entered.wait().await;
                "done"
            }),
        );
        let stuck = Router::new().route("/stuck", axum::routing::get(std::future::pending::<()>));
        let running = start(|router| router.merge(slow).merge(stuck), quick()).await;
        let get = |path| format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
        let (slow, stuck) = (get("/slow"), get("/stuck"));
        let calls = async { tokio::join!(exchange(running.address, &slow), exchange(running.address, &stuck)) };
        let orders = async {
            gate.wait().await;
            running.stop.send(()).unwrap();
            gate.wait().await;
        };
        let ((slow, stuck), ()) = tokio::join!(calls, orders);
        assert!(slow.ends_with("done"), "{slow}");
        assert_eq!(stuck, "");
        running.server.await.unwrap().unwrap();
    }
}
