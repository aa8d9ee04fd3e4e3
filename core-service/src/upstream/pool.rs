//! Connections of one upstream that wait for their next call.
//!
//! A connection is woken by the runtime it was opened on. There is more than one where connections of callers have
//! threads of their own, and a call is served best by a connection of its own thread.

use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    time::Duration,
};

use tokio::{
    runtime::{Handle, Id},
    time::{Instant, interval},
};
use tokio_util::task::AbortOnDropHandle;

use super::exchange::{Body, Connection};

/// How often those that are too old, or closed by the other side, are put away.
const SWEEP: Duration = Duration::from_secs(5);
/// Most that are kept.
const MOST: usize = 1024;

#[derive(Default)]
pub(super) struct Pool {
    idle: Mutex<Vec<Idle>>,
    sweeper: OnceLock<AbortOnDropHandle<()>>,
}

struct Idle {
    kept: Kept,
    runtime: Id,
    until: Instant,
}

/// What can be kept.
pub(super) enum Kept {
    /// A connection without a call.
    Idle(Connection),
    /// One whose last answer lacks only its end.
    Ending(Body),
}

impl Kept {
    fn stands(&mut self) -> bool {
        match self {
            Self::Idle(connection) => connection.is_idle(),
            // Whose end does not come soon is not worth waiting for.
            Self::Ending(body) => body.has_ended(),
        }
    }

    fn into_idle(self) -> Option<Connection> {
        let mut connection = match self {
            Self::Idle(connection) => connection,
            Self::Ending(mut body) => body.has_ended().then(|| body.into_idle())??,
        };
        connection.is_idle_now().then_some(connection)
    }

    fn patience(&self) -> Duration {
        match self {
            Self::Idle(connection) => connection.patience,
            Self::Ending(body) => body.patience(),
        }
    }
}

impl Pool {
    /// The connection of this runtime that was put away last and still stands.
    pub(super) fn take(&self) -> Option<Connection> {
        let here = Handle::current().id();
        let now = Instant::now();
        loop {
            let mut idle = self.lock();
            let place = idle.iter().rposition(|idle| idle.runtime == here)?;
            let Idle { kept, until, .. } = idle.remove(place);
            drop(idle);
            if now < until
                && let Some(connection) = kept.into_idle()
            {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection for the next call. Belongs on the runtime it was opened on.
    pub(super) fn put(self: &Arc<Self>, kept: Kept) {
        let until = Instant::now() + kept.patience();
        let mut idle = self.lock();
        if idle.len() < MOST {
            idle.push(Idle { kept, runtime: Handle::current().id(), until });
        }
        drop(idle);
        self.sweeper.get_or_init(|| AbortOnDropHandle::new(tokio::spawn(sweep(Arc::downgrade(self)))));
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Idle>> {
        // Nothing in here leaves it half done when it panics.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn sweep(pool: Weak<Pool>) {
    let mut tick = interval(SWEEP);
    loop {
        tick.tick().await;
        let Some(pool) = pool.upgrade() else { return };
        let now = Instant::now();
        pool.lock().retain_mut(|idle| now < idle.until && idle.kept.stands());
    }
}
