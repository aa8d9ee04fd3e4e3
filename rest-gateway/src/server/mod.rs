//! The HTTP server: HTTP/1.1 and HTTP/2 on one port, with limits, timeouts and graceful shutdown.

mod connection;
mod connection_threads;
mod shutdown;
mod socket;

use std::{future::Future, io, time::Duration};

use axum::Router;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::{
    net::TcpListener,
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::task::TaskTracker;

use self::{connection::Connection, connection_threads::ConnectionThreadPool, shutdown::Shutdown};
use crate::{
    metrics,
    settings::{ConnectionThreads, ServerSettings},
};

pub(crate) use self::shutdown::Draining;

/// Interval of histogram upkeep; without it the recorder keeps every sample until the next scrape.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);
/// Delay after a failed accept. The usual cause, too many open files, passes when connections close.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);

/// Serves `router` until `stop` resolves; then accepts no more connections, lets calls in flight finish within
/// [`ServerSettings::drain`], and closes the remaining connections. No task outlives the future, even if it is dropped.
///
/// # Errors
/// If the connection threads cannot be started. A failed accept is logged and retried.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    settings: ServerSettings,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let tracker = TaskTracker::new();
    let shutdown = Shutdown::default();
    let graceful = GracefulShutdown::new();
    let connection = Connection::new(router, &settings, tracker.clone(), shutdown.clone());
    let _abort_on_drop = shutdown.abort.clone().drop_guard();
    let threads = match settings.threads {
        ConnectionThreads::Shared => None,
        ConnectionThreads::PerThread(count) => Some(ConnectionThreadPool::start(count, &tracker, &connection)?),
    };
    let mut upkeep = interval(METRICS_UPKEEP);
    upkeep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            _ = upkeep.tick() => metrics::prometheus().run_upkeep(),
            accepted = listener.accept() => match accepted {
                Ok((stream, _peer)) => match &threads {
                    Some(threads) => threads.dispatch(stream, graceful.watcher()).await?,
                    None => drop(tracker.spawn(connection.clone().serve(stream, graceful.watcher()))),
                },
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(ACCEPT_RETRY_DELAY).await;
                }
            },
        }
    }
    drop(listener);
    drop(threads);
    shutdown.draining.0.cancel();
    tracker.close();
    if timeout(settings.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!(connections = tracker.len(), "closing connections that did not finish within the drain period");
    }
    shutdown.abort.cancel();
    tracker.wait().await;
    Ok(())
}

#[cfg(test)]
mod tests;
