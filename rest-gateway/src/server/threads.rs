//! Threads that serve connections, each with a runtime of its own.
//!
//! A call of a proxy is short and waits for two sockets. On one runtime with several threads its wake-ups wander from
//! core to core, which costs about as much as the call itself; here a connection, its calls and their upstream
//! connections stay on one thread from beginning to end.

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

use super::{Doorway, Ends};

/// Accepted connections that may wait for a thread to look at them.
const WAITING: usize = 128;

/// Connections that share one thread before another one is used. A thread that has little to do sleeps and is woken for
/// each event; several connections share its wakings. What these can ask for is far from filling a core: the calls of a
/// proxy wait for their upstreams.
const FEW: usize = 16;

/// Dropping it lets each thread end when the connections it has have ended.
pub(super) struct Threads(Vec<Thread>);

struct Thread {
    connections: mpsc::Sender<(std::net::TcpStream, Watcher)>,
    /// How many connections it has.
    load: Arc<AtomicUsize>,
}

impl Threads {
    /// Starts them. `tracker` counts their connections; once it is closed and empty they end.
    pub(super) fn start(
        count: NonZeroUsize,
        tracker: &TaskTracker,
        doorway: &Doorway,
        ends: &Ends,
    ) -> io::Result<Self> {
        let start = |number| {
            let (connections, waiting) = mpsc::channel(WAITING);
            let load = Arc::<AtomicUsize>::default();
            let work = take(waiting, load.clone(), tracker.clone(), doorway.clone(), ends.clone());
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            thread::Builder::new().name(format!("rest-{number}")).spawn(move || {
                runtime.block_on(work);
                // Dropping it would wait for blocking work that nobody waits for any more.
                runtime.shutdown_background();
            })?;
            Ok(Thread { connections, load })
        };
        (0..count.get()).map(start).collect::<io::Result<_>>().map(Self)
    }

    /// Hands a connection to the first thread that has only a [`FEW`], and where there is none to the one that has the
    /// fewest.
    pub(super) async fn hand_over(&self, stream: TcpStream, watcher: Watcher) -> io::Result<()> {
        let Some(thread) = choose(&self.0, |thread| thread.load.load(Ordering::Relaxed)) else { return Ok(()) };
        let stream = stream.into_std()?;
        thread.load.fetch_add(1, Ordering::Relaxed);
        // A thread ends only after this, and then with the whole server.
        let _ = thread.connections.send((stream, watcher)).await;
        Ok(())
    }
}

fn choose<T>(threads: &[T], load: impl Fn(&T) -> usize) -> Option<&T> {
    // The first of those that are equal.
    threads.iter().min_by_key(|thread| (load(thread) + 1).max(FEW))
}

async fn take(
    mut waiting: mpsc::Receiver<(std::net::TcpStream, Watcher)>,
    load: Arc<AtomicUsize>,
    tracker: TaskTracker,
    doorway: Doorway,
    ends: Ends,
) {
    while let Some((stream, watcher)) = waiting.recv().await {
        let (doorway, ends, load) = (doorway.clone(), ends.clone(), load.clone());
        tracker.spawn(async move {
            match TcpStream::from_std(stream) {
                Ok(stream) => doorway.converse(stream, watcher, ends).await,
                Err(error) => tracing::warn!(%error, "a connection could not be taken up"),
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
    fn a_few_connections_share_a_thread_and_many_are_spread() {
        let mut loads = [0; 3];
        let mut place = |count| {
            for _ in 0..count {
                let indices = [0, 1, 2];
                let chosen = *choose(&indices, |&thread| loads[thread]).unwrap();
                loads[chosen] += 1;
            }
            loads
        };
        assert_eq!(place(FEW), [FEW, 0, 0]);
        assert_eq!(place(2 * FEW), [FEW; 3]);
        assert_eq!(place(6), [FEW + 2; 3]);
    }
}
