//! One connection, from its first byte to its end.

use std::{
    future::Future,
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
    server::{conn::auto, graceful::Watcher},
};
use tokio::{net::TcpStream, time::sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

use super::{shutdown::Shutdown, socket::Socket};
use crate::settings::ServerSettings;

/// Interval and timeout of HTTP/2 keep-alive pings.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// hyper's minimum for the read buffer of HTTP/1.
const MIN_HTTP1_BUFFER: usize = 8 << 10;

/// Everything that serving a connection takes. Cloned for each one.
#[derive(Clone)]
pub(super) struct Connection {
    builder: auto::Builder<TrackedExecutor>,
    router: Router,
    header_timeout: Duration,
    shutdown: Shutdown,
}

impl Connection {
    /// Creates the template of all connections. `tracker` counts the tasks that HTTP/2 spawns.
    pub(super) fn new(router: Router, settings: &ServerSettings, tracker: TaskTracker, shutdown: Shutdown) -> Self {
        let executor = TrackedExecutor { tracker, abort: shutdown.abort.clone() };
        let builder = http_builder(settings, executor);
        Self { builder, router, header_timeout: settings.header_timeout, shutdown }
    }

    /// Serves HTTP/1.1 or HTTP/2, whichever the client speaks, until the connection closes. `watcher` starts the graceful
    /// shutdown of the connection.
    pub(super) async fn serve(self, stream: TcpStream, watcher: Watcher) {
        // Each event is to be sent at once.
        let _ = stream.set_nodelay(true);
        let Self { builder, router, header_timeout, shutdown: Shutdown { draining, abort } } = self;
        let has_request = Arc::new(AtomicBool::new(false));
        let service = service_fn({
            let has_request = Arc::clone(&has_request);
            move |request: Request<Incoming>| {
                has_request.store(true, Ordering::Relaxed);
                let mut request = request.map(Body::new);
                request.extensions_mut().insert(draining.clone());
                router.clone().oneshot(request)
            }
        });
        let connection = builder.serve_connection(TokioIo::new(Socket(stream)), service).into_owned();
        let connection = watcher.watch(connection);
        tokio::pin!(connection);
        let first_header = sleep(header_timeout);
        tokio::pin!(first_header);
        loop {
            tokio::select! {
                biased;
                ended = &mut connection => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "connection failed");
                    }
                    return;
                }
                () = abort.cancelled() => return,
                // hyper's own timeout starts once it has detected the protocol, which a silent client prevents.
                () = &mut first_header, if !first_header.is_elapsed() => {
                    if !has_request.load(Ordering::Relaxed) {
                        return;
                    }
                }
            }
        }
    }
}

fn http_builder(settings: &ServerSettings, executor: TrackedExecutor) -> auto::Builder<TrackedExecutor> {
    let mut builder = auto::Builder::new(executor);
    builder
        .http1()
        .timer(TokioTimer::new())
        // hyper also applies it between requests, so that it is the idle timeout.
        .header_read_timeout(settings.idle_timeout)
        .max_buf_size(settings.head_limit_bytes.max(MIN_HTTP1_BUFFER));
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .max_concurrent_streams(1024)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .max_header_list_size(u32::try_from(settings.head_limit_bytes).unwrap_or(u32::MAX));
    builder
}

/// Spawns the tasks of HTTP/2 so that shutdown waits for them, and aborts them.
#[derive(Debug, Clone)]
struct TrackedExecutor {
    tracker: TaskTracker,
    abort: CancellationToken,
}

impl<F> Executor<F> for TrackedExecutor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        let abort = self.abort.clone();
        self.tracker.spawn(async move { abort.run_until_cancelled_owned(future).await.map(drop) });
    }
}
