//! Threads that serve connections, each with a single-threaded runtime.
//!
//! A proxied call is short and waits for two sockets. On a multi-threaded runtime its tasks migrate between CPUs, which
//! costs about as much as the call itself; here a connection, its requests and their upstream connections stay on one
//! thread. Only streams of an HTTP/2 connection on a busy thread move to another one.

use std::{
    future::Future,
    io,
    num::NonZeroUsize,
    sync::Arc,
    thread::{self, available_parallelism},
};

use tokio::runtime::{self, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::load::{self, Load};

/// The number of connection threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThreadCount {
    /// On the Tokio runtime of the caller, without threads of their own.
    Shared,
    /// On one thread for each CPU available to the process.
    PerCpu,
    /// On this many threads.
    Fixed(NonZeroUsize),
}

/// The threads that serve the connections of one or several servers. Clones share the threads, which end after the last
/// clone is dropped.
#[derive(Debug, Clone)]
pub struct ConnectionThreads(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    threads: Vec<Thread>,
    /// Ends the threads when it is dropped.
    _stop: DropGuard,
}

#[derive(Debug)]
struct Thread {
    runtime: Handle,
    load: Load,
}

impl ConnectionThreads {
    /// Starts the threads. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// If the operating system refuses a thread.
    pub fn start(count: ThreadCount) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let count = match count {
            ThreadCount::Shared => None,
            ThreadCount::PerCpu => Some(available_parallelism().unwrap_or(NonZeroUsize::MIN)),
            ThreadCount::Fixed(count) => Some(count),
        };
        let threads = match count {
            None => vec![Thread { runtime: Handle::current(), load: Load::default() }],
            Some(count) => (0..count.get()).map(|number| start(number, stop.clone())).collect::<io::Result<_>>()?,
        };
        Ok(Self(Arc::new(Pool { threads, _stop: stop.drop_guard() })))
    }

    /// Chooses the thread for a new connection.
    pub(crate) fn choose(&self) -> usize {
        load::choose(self.loads())
    }

    /// Chooses the thread for a stream of an HTTP/2 connection on the thread `local`.
    pub(crate) fn choose_for_stream(&self, local: usize) -> usize {
        load::choose_for_stream(local, self.loads())
    }

    /// Returns the load of a thread.
    pub(crate) fn load(&self, thread: usize) -> Load {
        self.0.threads.get(thread).map(|thread| thread.load.clone()).unwrap_or_default()
    }

    /// Runs a task on a thread.
    pub(crate) fn spawn(&self, thread: usize, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(thread) = self.0.threads.get(thread) {
            thread.runtime.spawn(task);
        }
    }

    fn loads(&self) -> impl Iterator<Item = usize> + Clone {
        self.0.threads.iter().map(|thread| thread.load.get())
    }
}

/// Starts a thread, which runs its runtime until `stop` is cancelled.
fn start(number: usize, stop: CancellationToken) -> io::Result<Thread> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    thread::Builder::new().name(format!("connections-{number}")).spawn(move || {
        runtime.block_on(stop.cancelled());
        // Dropping the runtime would wait for blocking tasks whose results are no longer needed.
        runtime.shutdown_background();
    })?;
    Ok(Thread { runtime: handle, load: Load::default() })
}
