//! Publishes the changes that other nodes have committed to the subscribers of this process.
//!
//! Only jobs with subscribers are read: first the revisions of all of them, then the jobs that have changed. NOTIFY of PostgreSQL is not
//! used: it takes a lock of the whole server at each commit, and needs a connection that poolers in transaction mode do not offer.

use std::{sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use super::{SqlStore, claims::id_list, row};
use crate::video::{
    job::JobId,
    store::{Change, ChangeKind, StoreError},
};

/// Selects the jobs of a list of ids.
const SELECT: &str =
    concat!("SELECT ", row::columns!(), " FROM video_jobs WHERE id IN (SELECT value FROM json_each($1))");

/// The interval between two reads. Half of it is the median delay of a change.
const INTERVAL: Duration = Duration::from_millis(500);

/// How many revisions, and how many whole jobs, one statement reads.
const REVISIONS_PER_READ: usize = 1000;
const JOBS_PER_READ: usize = 100;

impl SqlStore {
    /// Starts to publish the changes of other nodes, until the guard is dropped.
    pub(crate) fn follow_other_nodes(&self, tasks: &TaskTracker) -> DropGuard {
        let stop = CancellationToken::new();
        let (stopped, store) = (stop.clone(), self.clone());
        tasks.spawn(async move { stopped.run_until_cancelled(store.follow()).await });
        stop.drop_guard()
    }

    async fn follow(&self) {
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // For debugging only: subscribers also re-read their job at intervals, and return a persistent error to their clients.
            if let Err(error) = self.publish_changes_of_other_nodes().await {
                tracing::debug!("the changes of other nodes cannot be read: {error}");
            }
        }
    }

    /// Publishes the jobs with subscribers that have a later revision than the subscribers know.
    pub(in crate::video) async fn publish_changes_of_other_nodes(&self) -> Result<(), StoreError> {
        let mut subscribed = self.feed.subscribed();
        let ids: Vec<String> = subscribed.keys().map(ToString::to_string).collect();
        let mut changed = Vec::new();
        for ids in ids.chunks(REVISIONS_PER_READ) {
            let query =
                sqlx::query_as("SELECT id, revision FROM video_jobs WHERE id IN (SELECT value FROM json_each($1))");
            let revisions: Vec<(String, i64)> = query.bind(id_list(ids)).fetch_all(self.database.readers()).await?;
            changed.extend(revisions.into_iter().filter_map(|(id, revision)| {
                let known = subscribed.remove(&JobId::parse(&id)?)?;
                (row::integer(known) < revision).then_some(id)
            }));
        }
        for ids in changed.chunks(JOBS_PER_READ) {
            let query = sqlx::query(SELECT);
            for row in query.bind(id_list(ids)).fetch_all(self.database.readers()).await? {
                // A row that cannot be read is reported to the subscriber that reads it.
                if let Ok(job) = row::job(&row) {
                    self.feed.publish_to_subscribers(Change { job: Arc::new(job), kind: ChangeKind::Observed });
                }
            }
        }
        Ok(())
    }
}
