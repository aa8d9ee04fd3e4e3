//! One connection, from its first byte to its end: hyper speaks the protocol, this module applies limits, timeouts,
//! refusals and the drain.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    net::IpAddr,
    pin::pin,
    sync::Arc,
    task::Poll,
};

use http::{HeaderValue, Request, Response, Version, header};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Application, ConnectionThreads, Drain, Encrypted, Listener, OpenError, PeerAddress, ServerSettings,
    activity::{Activity, Expiry},
    cancellation_watcher::CancellationWatcher,
    limits::{ConnectionPermit, Limits},
    load::ExpectedRequest,
    request_body::{RequestBody, Unread, UnreadRest, discard},
    response_body::{InFlight, ResponseBody},
    socket::Socket,
    stream::StreamExecutor,
};

/// Interval and timeout of HTTP/2 keep-alive pings.
const KEEP_ALIVE: std::time::Duration = std::time::Duration::from_secs(20);
/// How long an idle connection stays open in a drain for requests on their way. On HTTP/2, hyper waits for the answer to a ping before
/// it closes such a connection, which a client that has stopped never sends.
const FINISH_IDLE: std::time::Duration = std::time::Duration::from_secs(1);
/// hyper's minimum for the read buffer of HTTP/1.
const MIN_HTTP1_BUFFER: usize = 8 << 10;

/// State shared by the connections of a server.
#[derive(Debug)]
pub(crate) struct Shared<A> {
    pub(crate) application: A,
    pub(crate) settings: ServerSettings,
    pub(crate) threads: ConnectionThreads,
    pub(crate) limits: Arc<Limits>,
    /// Counts the tasks of connections and streams.
    pub(crate) tracker: TaskTracker,
    pub(crate) drain: Drain,
    /// Closes all connections at once.
    pub(crate) abort: CancellationToken,
}

/// An accepted connection.
#[derive(Debug)]
pub(crate) struct Connection<A> {
    pub(crate) shared: Arc<Shared<A>>,
    pub(crate) permit: ConnectionPermit,
    pub(crate) peer: Option<IpAddr>,
    /// The index of the thread that serves it.
    pub(crate) thread: usize,
    /// Counts the connection as load of its thread until its first request.
    pub(crate) expected_request: ExpectedRequest,
}

impl<A: Application + Unpin> Connection<A> {
    /// Serves HTTP/1.1 or HTTP/2, whichever the client speaks, until the connection closes.
    pub(crate) async fn serve<L: Listener>(self, accepted: L::Accepted) {
        // Before the handshake, which is part of the time for the first request head.
        let activity = Arc::new(Activity::new());
        let Some(io) = self.open::<L>(accepted).await else { return };
        let is_encrypted = L::is_encrypted(&io);
        let shared = Arc::clone(&self.shared);
        // A refused connection is served a refusal as the response to its first request, and closes.
        let refused = self.permit.refusal.is_some();
        let socket = Socket::new(io, shared.application.clone(), Arc::clone(&activity));
        // Child tokens, whose locks are not shared with the other connections.
        let (abort, draining) = (shared.abort.child_token(), shared.drain.draining.child_token());
        let mut abort_watcher = CancellationWatcher::new(abort.clone());
        let mut drain_watcher = CancellationWatcher::new(draining);
        let builder = self.builder(&abort);
        let service = service_fn({
            let (activity, load) = (Arc::clone(&activity), shared.threads.load(self.thread));
            move |mut request: Request<Incoming>| {
                self.expected_request.end();
                let http2 = request.version() == Version::HTTP_2;
                let load = (!http2).then(|| load.enter());
                let permit = self.shared.limits.begin();
                let refusal = self.permit.refusal.or(permit.is_none().then_some(crate::Refusal::Requests));
                let in_flight = InFlight::new(Arc::clone(&activity), http2, permit, load);
                let peer = self.peer.map_or(PeerAddress::UnixSocket, PeerAddress::Ip);
                request.extensions_mut().insert(peer);
                if is_encrypted {
                    request.extensions_mut().insert(Encrypted);
                }
                let (request, unread) = RequestBody::new(request);
                let handled = match refusal {
                    None => Ok(self.shared.application.handle(request)),
                    Some(refusal) => Err(self.shared.application.refuse(refusal, &request)),
                };
                let (tracker, announced) = (self.shared.tracker.clone(), self.shared.drain.announced.clone());
                async move {
                    let mut response = match handled {
                        Ok(handling) => handling.await,
                        Err(refused) => refused,
                    };
                    if let Some(unread) = unread {
                        finish_request_body(&unread, &mut response, &in_flight, &tracker);
                    }
                    if !http2 && announced.is_announced() {
                        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                    }
                    Ok::<_, Infallible>(response.map(|body| ResponseBody::new(body, in_flight)))
                }
            }
        });
        let mut connection = pin!(builder.serve_connection(TokioIo::new(socket.clone()), service).into_owned());
        let settings = &shared.settings;
        let mut lifetime = Lifetime::new(settings, refused);
        let mut timer = pin!(sleep_until(lifetime.start + settings.header_timeout));
        poll_fn(|cx| {
            loop {
                let ended = connection.as_mut().poll(cx);
                let sent = socket.poll_send(cx);
                if let Poll::Ready(ended) = ended {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "connection failed");
                    }
                    return Poll::Ready(());
                }
                if let Poll::Ready(Err(error)) = sent {
                    tracing::debug!(%error, "connection failed");
                    return Poll::Ready(());
                }
                if abort_watcher.poll_cancelled(cx).is_ready() {
                    return Poll::Ready(());
                }
                let is_draining = drain_watcher.poll_cancelled(cx).is_ready();
                if lifetime.is_open() && (is_draining || refused && activity.had_request()) {
                    lifetime.finish(refused.then_some(settings.header_timeout));
                    lifetime.needs_shutdown = true;
                }
                // hyper would close an HTTP/1 connection without a request in flight at once, although the next one may be on its way.
                // In a drain, the response to that one closes the connection.
                if lifetime.needs_shutdown && (activity.is_http2() || refused && activity.had_request()) {
                    lifetime.needs_shutdown = false;
                    connection.as_mut().graceful_shutdown();
                    continue;
                }
                let Some((at, expiry)) = lifetime.expiry(&activity, settings) else { return Poll::Pending };
                // A later deadline is set when the timer fires, which saves most of the resets.
                if at < timer.deadline() || timer.is_elapsed() {
                    timer.as_mut().reset(at);
                }
                if timer.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                if Instant::now() < at {
                    continue;
                }
                match expiry {
                    Expiry::Close => return Poll::Ready(()),
                    Expiry::Finish => {
                        // An idle connection may have requests on their way, and unsent bytes.
                        lifetime.finish(Some(settings.max_connection_age_grace.max(settings.header_timeout)));
                        connection.as_mut().graceful_shutdown();
                    }
                }
            }
        })
        .await;
    }

    /// Opens the connection. `None` if its TLS handshake fails, takes longer than the header timeout, or is overtaken by a
    /// shutdown.
    async fn open<L: Listener>(&self, accepted: L::Accepted) -> Option<L::Io> {
        let Shared { settings, limits, drain, abort, .. } = &*self.shared;
        let opened = tokio::select! {
            // A connection without TLS is opened by the first poll.
            biased;
            opened = L::open(accepted) => opened,
            () = sleep(settings.header_timeout) => {
                limits.metrics().handshake_failed("timeout");
                tracing::debug!("a TLS handshake took longer than the header timeout");
                return None;
            }
            // In a drain, a handshake may take as long as an idle connection stays open.
            () = async { drain.draining.cancelled().await; sleep(FINISH_IDLE).await } => return None,
            () = abort.cancelled() => return None,
        };
        match opened {
            Ok(io) => Some(io),
            Err(OpenError::Register(error)) => {
                tracing::warn!(%error, "cannot open an accepted connection");
                None
            }
            Err(OpenError::Handshake(error)) => {
                limits.metrics().handshake_failed("failed");
                tracing::debug!(%error, "a TLS handshake failed");
                None
            }
        }
    }

    /// Returns hyper's settings for the connection. `abort` ends its HTTP/2 streams.
    fn builder(&self, abort: &CancellationToken) -> auto::Builder<StreamExecutor> {
        let Shared { settings, threads, tracker, .. } = &*self.shared;
        let mut builder = auto::Builder::new(StreamExecutor {
            threads: threads.clone(),
            thread: self.thread,
            tracker: tracker.clone(),
            abort: abort.clone(),
            write_timeout: settings.write_timeout,
        });
        builder
            .http1()
            .timer(TokioTimer::new())
            // `Activity` times heads, and the idle time between requests separately.
            .header_read_timeout(None)
            .max_buf_size(settings.head_limit_bytes.max(MIN_HTTP1_BUFFER));
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .max_concurrent_streams(settings.max_streams)
            // How many bytes of a request body, and of all of them, may arrive before the application reads them.
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(4 << 20)
            .max_header_list_size(u32::try_from(settings.head_limit_bytes).unwrap_or(u32::MAX));
        builder
    }
}

/// Discards the rest of a request body that the application has not read, or announces that the connection closes.
fn finish_request_body<B>(unread: &Unread, response: &mut Response<B>, in_flight: &InFlight, tracker: &TaskTracker) {
    let mut close = || {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        in_flight.request_linger();
    };
    match unread.take() {
        None => {}
        Some(UnreadRest::Unsent) => close(),
        Some(UnreadRest::Short(rest)) => drop(tracker.spawn(discard(rest, in_flight.discarding()))),
        Some(UnreadRest::Long(rest)) => {
            close();
            drop(tracker.spawn(discard(rest, in_flight.discarding())));
        }
    }
}

/// How long a connection takes requests, and how long it stays open after that.
struct Lifetime {
    start: Instant,
    /// When the connection is too old to take further requests; `None` without a limit, and once it takes none.
    max_age: Option<Instant>,
    /// Since when the connection takes no further requests.
    finishing_since: Option<Instant>,
    /// When the connection closes, even if requests are in flight.
    close_at: Option<Instant>,
    /// Whether the graceful shutdown of hyper's connection, after which it takes no further requests, is still to be called.
    needs_shutdown: bool,
}

impl Lifetime {
    fn new(settings: &ServerSettings, refused: bool) -> Self {
        let start = Instant::now();
        // Connections that were opened together are not to be closed together.
        let max_age = settings.max_connection_age.map(|age| start + age.mul_f64(0.9 + 0.2 * fastrand::f64()));
        // A refused connection exists for its refusal only.
        let close_at = refused.then(|| start + settings.header_timeout);
        Self { start, max_age, finishing_since: None, close_at, needs_shutdown: false }
    }

    /// Returns whether the connection takes further requests.
    fn is_open(&self) -> bool {
        self.finishing_since.is_none()
    }

    /// Records that the connection takes no further requests. `None`: the requests in flight may continue without a
    /// limit, as in a drain, which the server ends.
    fn finish(&mut self, close_after: Option<std::time::Duration>) {
        let now = Instant::now();
        self.finishing_since = Some(now);
        self.max_age = None;
        self.close_at = close_after.map(|after| now + after);
    }

    /// Returns the next deadline, of the lifetime or of the activity.
    fn expiry(&self, activity: &Activity, settings: &ServerSettings) -> Option<(Instant, Expiry)> {
        let activity_is_unused = activity.is_unused();
        // Once the connection takes no further requests, it is idle for `FINISH_IDLE` rather than for the idle timeout.
        let activity = activity.expiry(settings).map(|(at, expiry)| match (expiry, self.finishing_since) {
            (Expiry::Finish, Some(finishing_since)) => {
                let idle_since = at.checked_sub(settings.idle_timeout).unwrap_or(finishing_since);
                (idle_since.max(finishing_since) + FINISH_IDLE, Expiry::Close)
            }
            _ => (at, expiry),
        });
        let age = self.max_age.map(|at| (at, Expiry::Finish));
        let close = self.close_at.map(|at| (at, Expiry::Close));
        let unused =
            self.finishing_since.filter(|_| activity_is_unused).map(|since| (since + FINISH_IDLE, Expiry::Close));
        activity.into_iter().chain(age).chain(close).chain(unused).min_by_key(|&(at, _)| at)
    }
}
