//! The clock of the database's server, followed by a clock of this process. Leases are compared between nodes, whose own clocks differ.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    task::JoinHandle,
    time::{MissedTickBehavior, interval, timeout},
};

use crate::database::driver::DbPool;

/// The interval between two comparisons of the clocks.
const INTERVAL: Duration = Duration::from_secs(10);

/// A comparison that took longer is not used: its error is up to half of its duration.
const MAX_ROUND_TRIP: Duration = Duration::from_secs(2);

/// The time of the server, as this process knows it. Never goes backwards.
#[derive(Debug)]
pub(crate) struct DatabaseClock {
    state: Arc<State>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct State {
    start: Instant,
    /// The time of the server at `start`, in milliseconds since 1970.
    origin: AtomicI64,
    /// The latest time that was returned.
    latest: AtomicI64,
}

impl State {
    fn elapsed(&self, at: Instant) -> i64 {
        i64::try_from(at.saturating_duration_since(self.start).as_millis()).unwrap_or(i64::MAX)
    }

    /// Reads the time of the server, assuming that it was read halfway between the query and its result.
    async fn compare(&self, pool: &DbPool) -> Result<(), sqlx::Error> {
        let query = "SELECT CAST(floor(extract(epoch FROM clock_timestamp()) * 1000) AS BIGINT)";
        let mut connection = pool.acquire().await?;
        let sent = Instant::now();
        let server: i64 = sqlx::query_scalar(query).fetch_one(&mut *connection).await?;
        let round_trip = sent.elapsed();
        if round_trip <= MAX_ROUND_TRIP {
            self.origin.store(server - self.elapsed(sent + round_trip / 2), Ordering::Relaxed);
        }
        Ok(())
    }
}

impl DatabaseClock {
    /// Reads the time of the server, and follows it until the clock is dropped.
    pub(in crate::database) async fn start(pool: DbPool) -> Result<Self, sqlx::Error> {
        let state = State { start: Instant::now(), origin: AtomicI64::new(i64::MIN), latest: AtomicI64::new(0) };
        let state = Arc::new(state);
        for _ in 0..3 {
            state.compare(&pool).await?;
            if state.origin.load(Ordering::Relaxed) != i64::MIN {
                let task = tokio::spawn(follow(Arc::clone(&state), pool));
                return Ok(Self { state, task });
            }
        }
        Err(sqlx::Error::Protocol(format!("the database server takes longer than {MAX_ROUND_TRIP:?} to answer")))
    }

    /// Returns the time of the server, in milliseconds since 1970.
    pub(crate) fn now_millis(&self) -> i64 {
        let now = self.state.origin.load(Ordering::Relaxed).saturating_add(self.state.elapsed(Instant::now()));
        self.state.latest.fetch_max(now, Ordering::Relaxed).max(now)
    }

    /// Stops following the server.
    pub(in crate::database) fn stop(&self) {
        self.task.abort();
    }
}

impl Drop for DatabaseClock {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn follow(state: Arc<State>, pool: DbPool) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        // After a failed comparison, the time goes on from the last one.
        if let Ok(Err(error)) = timeout(INTERVAL, state.compare(&pool)).await {
            tracing::debug!("the time of the database server cannot be read: {error}");
        }
    }
}
