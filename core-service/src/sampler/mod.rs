//! Metrics that are read from the database at intervals: jobs, media files, webhooks, money.

mod jobs;

use std::time::Duration;

use metrics::gauge;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use self::jobs::JobTracker;
use crate::{database::Database, metrics::float, video::time::Clock};

/// The interval between two reads.
const INTERVAL: Duration = Duration::from_secs(5);
/// The interval between two counts of all media files, which read a whole index.
const MEDIA_INTERVAL: Duration = Duration::from_mins(1);

/// Starts to read the metrics until the guard is dropped.
pub(crate) fn start(database: Database, clock: Clock, tasks: &TaskTracker) -> DropGuard {
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tasks.spawn(async move { stopped.run_until_cancelled(run(&database, &clock)).await });
    stop.drop_guard()
}

async fn run(database: &Database, clock: &Clock) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut jobs = None;
    let mut media_due = Instant::now();
    loop {
        ticks.tick().await;
        let mut failed = sample_jobs(database, clock, &mut jobs).await.err();
        failed = failed.or(sample_webhooks(database).await.err());
        failed = failed.or(sample_ledger(database).await.err());
        if media_due <= Instant::now() {
            media_due = Instant::now() + MEDIA_INTERVAL;
            failed = failed.or(sample_media(database).await.err());
        }
        // The health of the database is reported elsewhere.
        if let Some(error) = failed {
            tracing::debug!(%error, "metrics cannot be read from the database");
        }
    }
}

async fn sample_jobs(database: &Database, clock: &Clock, tracker: &mut Option<JobTracker>) -> Result<(), sqlx::Error> {
    let tracker = match tracker {
        Some(tracker) => tracker,
        None => tracker.insert(JobTracker::load(database).await?),
    };
    tracker.follow(database).await?;
    tracker.set_gauges(clock.now().0);
    Ok(())
}

async fn sample_webhooks(database: &Database) -> Result<(), sqlx::Error> {
    let query = "SELECT COUNT(*) FROM webhook_deliveries WHERE state = 'pending'";
    let pending: i64 = sqlx::query_scalar(query).fetch_one(database.readers()).await?;
    gauge!("triptych_webhook_pending").set(float(pending));
    Ok(())
}

async fn sample_ledger(database: &Database) -> Result<(), sqlx::Error> {
    // Both tables have a row or two for each key.
    let query = "SELECT CAST(COALESCE((SELECT SUM(amount) FROM ledger_reserved WHERE subject LIKE 'key:%'), 0) AS BIGINT), \
                 CAST(COALESCE((SELECT SUM(amount) FROM ledger_spent WHERE subject LIKE 'key:%' AND period = 'total'), 0) AS BIGINT)";
    let (reserved, spent): (i64, i64) = sqlx::query_as(query).fetch_one(database.readers()).await?;
    gauge!("triptych_ledger_reserved_usd").set(usd(reserved));
    gauge!("triptych_ledger_spent_usd").set(usd(spent));
    Ok(())
}

/// Returns millionths of a dollar as dollars.
fn usd(micros: i64) -> f64 {
    float(micros) / 1e6
}

async fn sample_media(database: &Database) -> Result<(), sqlx::Error> {
    let query = "SELECT COUNT(*), CAST(COALESCE(SUM(size_bytes), 0) AS BIGINT) FROM media WHERE state = 'ready'";
    let (files, bytes): (i64, i64) = sqlx::query_as(query).fetch_one(database.readers()).await?;
    gauge!("triptych_media_files").set(float(files));
    gauge!("triptych_media_bytes").set(float(bytes));
    Ok(())
}
