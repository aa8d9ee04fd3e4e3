//! Threads that serve connections, each with a single-threaded runtime.
//!
//! A proxied call is short and waits for two sockets. On a multi-threaded runtime its tasks migrate between CPUs, which
//! costs about as much as the call itself; here a connection, its calls and their upstream connections stay on one
//! thread.

use std::{
    io,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use hyper_util::server::graceful::Watcher;
use tokio::{net::TcpStream, runtime, sync::mpsc};
use tokio_util::task::TaskTracker;

use super::connection::Connection;

/// Accepted connections that may wait for their thread.
const QUEUE_LENGTH: usize = 128;

/// Connections that share a thread before the next one is used. An idle thread is woken for each event, and connections
/// on one thread share the wake-ups. So few connections do not fill a CPU, because calls mostly wait for their upstreams.
const SHARED_CONNECTIONS: usize = 16;

/// The threads. After the pool is dropped, each thread ends when its connections have closed.
pub(super) struct ConnectionThreadPool(Vec<ConnectionThread>);

struct ConnectionThread {
    queue: mpsc::Sender<(std::net::TcpStream, Watcher)>,
    /// The number of its connections.
    load: Arc<AtomicUsize>,
}

impl ConnectionThreadPool {
    /// Starts `count` threads. `tracker` counts their connections; the threads end once it is closed and empty.
    pub(super) fn start(count: NonZeroUsize, tracker: &TaskTracker, connection: &Connection) -> io::Result<Self> {
        let start = |number| {
            let (queue, accepted) = mpsc::channel(QUEUE_LENGTH);
            let load = Arc::<AtomicUsize>::default();
            let worker = worker(accepted, load.clone(), tracker.clone(), connection.clone());
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            thread::Builder::new().name(format!("rest-{number}")).spawn(move || {
                runtime.block_on(worker);
                // Dropping the runtime would wait for blocking tasks whose results are no longer needed.
                runtime.shutdown_background();
            })?;
            Ok(ConnectionThread { queue, load })
        };
        (0..count.get()).map(start).collect::<io::Result<_>>().map(Self)
    }

    /// Hands a connection to the first thread with fewer than [`SHARED_CONNECTIONS`], or else to the least loaded one.
    /// Waits while the queue of that thread is full.
    pub(super) async fn dispatch(&self, stream: TcpStream, watcher: Watcher) -> io::Result<()> {
        let Some(thread) = choose(&self.0, |thread| thread.load.load(Ordering::Relaxed)) else { return Ok(()) };
        let stream = stream.into_std()?;
        thread.load.fetch_add(1, Ordering::Relaxed);
        // Cannot fail: the receiver lives until the sender is dropped.
        let _ = thread.queue.send((stream, watcher)).await;
        Ok(())
    }
}

fn choose<T>(threads: &[T], load: impl Fn(&T) -> usize) -> Option<&T> {
    // `min_by_key` returns the first of equal elements.
    threads.iter().min_by_key(|thread| (load(thread) + 1).max(SHARED_CONNECTIONS))
}

/// Serves the connections of one thread until the pool is dropped and the last connection has closed.
async fn worker(
    mut accepted: mpsc::Receiver<(std::net::TcpStream, Watcher)>,
    load: Arc<AtomicUsize>,
    tracker: TaskTracker,
    connection: Connection,
) {
    while let Some((stream, watcher)) = accepted.recv().await {
        let (connection, load) = (connection.clone(), load.clone());
        tracker.spawn(async move {
            match TcpStream::from_std(stream) {
                Ok(stream) => connection.serve(stream, watcher).await,
                Err(error) => tracing::warn!(%error, "cannot register a connection with its thread"),
            }
            load.fetch_sub(1, Ordering::Relaxed);
        });
    }
    tracker.wait().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_connections_share_a_thread_and_many_are_spread() {
        let mut loads = [0; 3];
        let mut place = |count| {
            for _ in 0..count {
                let indices = [0, 1, 2];
                let chosen = *choose(&indices, |&thread| loads[thread]).unwrap();
                loads[chosen] += 1;
            }
            loads
        };
        assert_eq!(place(SHARED_CONNECTIONS), [SHARED_CONNECTIONS, 0, 0]);
        assert_eq!(place(2 * SHARED_CONNECTIONS), [SHARED_CONNECTIONS; 3]);
        assert_eq!(place(6), [SHARED_CONNECTIONS + 2; 3]);
    }
}
