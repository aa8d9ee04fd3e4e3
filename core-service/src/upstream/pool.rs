//! Idle connections of one upstream.
//!
//! A connection is bound to the runtime it was opened on, whose reactor wakes it. The gateway's connection threads have a
//! runtime each, so a call takes a connection of its own runtime only.

use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
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
/// The most connections that are kept.
const MAX_CONNECTIONS: usize = 1024;

/// The idle connections of one upstream.
#[derive(Default)]
pub(super) struct Pool {
    entries: Mutex<Vec<Entry>>,
    sweeper: OnceLock<AbortOnDropHandle<()>>,
}

struct Entry {
    pooled: Pooled,
    runtime: Id,
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
    fn is_alive(&mut self) -> bool {
        match self {
            Self::Idle(connection) => connection.is_idle(),
            // An end that has not arrived by the first sweep is not waited for.
            Self::Ending(body) => body.has_ended(),
        }
    }

    fn into_reusable(self) -> Option<Connection> {
        let mut connection = match self {
            Self::Idle(connection) => connection,
            Self::Ending(mut body) => body.has_ended().then(|| body.into_idle())??,
        };
        connection.is_reusable().then_some(connection)
    }

    fn idle_timeout(&self) -> Duration {
        match self {
            Self::Idle(connection) => connection.idle_timeout,
            Self::Ending(body) => body.idle_timeout(),
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
            let index = entries.iter().rposition(|entry| entry.runtime == runtime)?;
            let Entry { pooled, expires_at, .. } = entries.remove(index);
            drop(entries);
            if now < expires_at
                && let Some(connection) = pooled.into_reusable()
            {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection for the next call. Must be called on the runtime the connection was opened on.
    pub(super) fn put(self: &Arc<Self>, pooled: Pooled) {
        let expires_at = Instant::now() + pooled.idle_timeout();
        let mut entries = self.lock();
        if entries.len() < MAX_CONNECTIONS {
            entries.push(Entry { pooled, runtime: Handle::current().id(), expires_at });
        }
        drop(entries);
        self.sweeper.get_or_init(|| AbortOnDropHandle::new(tokio::spawn(sweep(Arc::downgrade(self)))));
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        // A panic under the lock leaves the list consistent.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn sweep(pool: Weak<Pool>) {
    let mut tick = interval(SWEEP_INTERVAL);
    loop {
        tick.tick().await;
        let Some(pool) = pool.upgrade() else { return };
        let now = Instant::now();
        pool.lock().retain_mut(|entry| now < entry.expires_at && entry.pooled.is_alive());
    }
}
