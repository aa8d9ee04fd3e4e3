//! Idle connections of one upstream.
//!
//! A connection is bound to the runtime it was opened on, whose reactor wakes it. The gateway's connection threads have a
//! runtime each, so a call takes a connection of its own runtime only.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    runtime::{Handle, Id},
    time::{Instant, interval},
};
use tokio_util::task::AbortOnDropHandle;

use super::{body::Body, connection::Connection};

/// How often expired and closed connections are removed.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);
/// The most idle connections that are kept for one upstream. Others are closed after their call.
const MAX_CONNECTIONS: usize = 1024;
/// How long a connection must stay open before it is reused, as long as the upstream has not shown that it keeps
/// connections open. llama.cpp closes every connection right after a streamed response, although it announces
/// `Keep-Alive`: a request that is sent in that moment is lost.
pub(super) const PROBATION: Duration = Duration::from_millis(100);

/// The idle connections of one upstream.
pub(super) struct Pool {
    entries: Mutex<Vec<Entry>>,
    sweeper: OnceLock<AbortOnDropHandle<()>>,
    keeps_open: KeepsOpen,
}

impl Default for Pool {
    fn default() -> Self {
        // Streamed responses have chunks: see [`PROBATION`].
        let keeps_open = KeepsOpen { after_length: AtomicBool::new(true), after_chunks: AtomicBool::new(false) };
        Self { entries: Mutex::default(), sweeper: OnceLock::new(), keeps_open }
    }
}

/// Whether the upstream keeps connections open after a response, by the framing of its body.
struct KeepsOpen {
    /// After a body whose length the head announces.
    after_length: AtomicBool,
    /// After a chunked body.
    after_chunks: AtomicBool,
}

impl KeepsOpen {
    fn after(&self, chunked: bool) -> &AtomicBool {
        if chunked { &self.after_chunks } else { &self.after_length }
    }
}

struct Entry {
    pooled: Pooled,
    runtime: Id,
    /// When the connection may be reused: at once, or after its [`PROBATION`].
    usable_at: Instant,
    expires_at: Instant,
}

/// A connection in the pool.
pub(super) enum Pooled {
    /// A connection without a request.
    Idle(Connection),
    /// A connection whose last response lacks only the end of its body.
    Ending(Body),
}

impl Pooled {
    /// Returns whether the connection may still be reused.
    fn is_alive(&mut self) -> bool {
        match self {
            Self::Idle(connection) => connection.is_idle(),
            // If the end has not arrived by the next sweep, the connection is closed.
            Self::Ending(body) => body.has_ended(),
        }
    }

    /// Returns the connection if it can take a request now.
    fn into_reusable(self) -> Option<Connection> {
        let mut connection = match self {
            Self::Idle(connection) => connection,
            Self::Ending(mut body) => body.has_ended().then(|| body.into_idle())??,
        };
        connection.is_reusable().then_some(connection)
    }

    fn connection(&self) -> &Connection {
        match self {
            Self::Idle(connection) => connection,
            Self::Ending(body) => body.connection(),
        }
    }
}

impl Pool {
    /// Takes the most recently used connection of the current runtime that is still open.
    pub(super) fn take(&self) -> Option<Connection> {
        let runtime = Handle::current().id();
        let now = Instant::now();
        loop {
            let mut entries = self.lock();
            let index = entries.iter().rposition(|entry| entry.runtime == runtime && entry.usable_at <= now)?;
            let Entry { pooled, expires_at, .. } = entries.remove(index);
            drop(entries);
            if now < expires_at
                && let Some(connection) = pooled.into_reusable()
            {
                self.keeps_open.after(connection.last_was_chunked).store(true, Relaxed);
                return Some(connection);
            }
        }
    }

    /// Keeps a connection for the next call. Must be called on the runtime the connection was opened on.
    pub(super) fn put(self: &Arc<Self>, pooled: Pooled) {
        let connection = pooled.connection();
        let now = Instant::now();
        let expires_at = now + connection.idle_timeout;
        let keeps_open = self.keeps_open.after(connection.last_was_chunked).load(Relaxed);
        let usable_at = if keeps_open { now } else { now + PROBATION };
        let mut entries = self.lock();
        if entries.len() < MAX_CONNECTIONS {
            entries.push(Entry { pooled, runtime: Handle::current().id(), usable_at, expires_at });
        }
        drop(entries);
        self.sweeper.get_or_init(|| AbortOnDropHandle::new(tokio::spawn(sweep(Arc::downgrade(self)))));
    }

    /// Records that a connection broke when it was reused. From now on connections must stay open for [`PROBATION`] before
    /// they are reused, until one was reused after a response with the same framing.
    pub(super) fn report_broken_reuse(&self) {
        self.keeps_open.after_length.store(false, Relaxed);
        self.keeps_open.after_chunks.store(false, Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        // A panic under the lock leaves the list consistent.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes expired and closed connections at intervals, until the pool is dropped.
async fn sweep(pool: Weak<Pool>) {
    let mut tick = interval(SWEEP_INTERVAL);
    loop {
        tick.tick().await;
        let Some(pool) = pool.upgrade() else { return };
        let now = Instant::now();
        pool.lock().retain_mut(|entry| now < entry.expires_at && entry.pooled.is_alive());
    }
}
