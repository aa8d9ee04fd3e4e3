//! The accept loop of a server, and its shutdown.

use std::{
    future::Future,
    io::{self, ErrorKind},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Application, ConnectionThreads, Drain, Listener, ServerSettings,
    connection::{Connection, Shared},
    limits::Limits,
    load::ExpectedRequest,
};

/// Delay after a failed accept. The usual cause, too many open files, passes when connections close.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);
/// How long responses that end at the cut-off may take to be sent: a client that does not read could hold them forever.
const CUT_OFF_GRACE: Duration = Duration::from_secs(1);
/// How long connections are accepted after the shutdown began: the operating system has established some that were not accepted yet,
/// and the handshakes of others are about to complete. Closing the listener would reset them, possibly after their client has sent a
/// request.
const ACCEPT_REST: Duration = Duration::from_millis(50);
/// How long tasks may take to notice that they are aborted. A task that computes does not notice.
const ABORT_GRACE: Duration = Duration::from_secs(5);

/// Serves connections until `stop` resolves to the end of the drain. Then accepts only the connections whose handshake has begun,
/// and lets requests in flight continue until the end of the drain, when it closes the remaining connections. Returns within seconds
/// after that, even if clients stall. If the future is dropped, all connections are aborted, but not awaited.
///
/// A failed accept is logged and retried.
pub async fn serve<L, A>(
    mut listener: L,
    application: A,
    threads: &ConnectionThreads,
    settings: ServerSettings,
    drain: Drain,
    stop: impl Future<Output = Instant>,
) where
    L: Listener + 'static,
    A: Application + Unpin,
{
    let limits = Arc::new(Limits::new(&settings));
    let (tracker, abort) = (TaskTracker::new(), CancellationToken::new());
    let _abort_on_drop = abort.clone().drop_guard();
    let shared = Arc::new(Shared { application, settings, threads: threads.clone(), limits, tracker, drain, abort });
    let start = |(accepted, peer): (L::Accepted, Option<IpAddr>)| {
        // Without a permit, the connection is closed.
        if let Some(permit) = shared.limits.admit(peer) {
            let thread = threads.choose();
            let expected_request = ExpectedRequest::new(threads.load(thread));
            let connection = Connection { shared: Arc::clone(&shared), permit, peer, thread, expected_request };
            threads.spawn(thread, shared.tracker.track_future(connection.serve::<L>(accepted)));
        }
    };
    let mut stop = std::pin::pin!(stop);
    let drain_end = loop {
        tokio::select! {
            drain_end = &mut stop => break drain_end,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => start(accepted),
                Err(error) if concerns_one_connection(&error) => tracing::debug!(%error, "a connection failed before it was accepted"),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(ACCEPT_RETRY_DELAY).await;
                }
            },
        }
    };
    let Shared { tracker, drain, abort, .. } = &*shared;
    drain.announced.announce();
    drain.draining.cancel();
    listener.stop_establishing();
    let close_at = Instant::now() + ACCEPT_REST;
    while Instant::now() < close_at {
        match timeout_at(close_at, listener.accept()).await {
            Ok(Ok(accepted)) => start(accepted),
            Ok(Err(error)) if concerns_one_connection(&error) => {}
            Ok(Err(_)) | Err(_) => break,
        }
    }
    drop(listener);
    tracker.close();
    if timeout_at(drain_end, tracker.wait()).await.is_err() {
        tracing::warn!(tasks = tracker.len(), "ending requests that did not finish within the drain period");
        drain.cut_off.cancel();
        let _ = timeout(CUT_OFF_GRACE, tracker.wait()).await;
    }
    abort.cancel();
    if timeout(ABORT_GRACE, tracker.wait()).await.is_err() {
        tracing::error!(tasks = tracker.len(), "some connections did not end");
    }
}

/// Returns whether a failed accept concerns a connection that broke meanwhile, so that the next one needs no delay.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset)
}
