//! Reads the revisions of the jobs with subscribers, and publishes the jobs that have changed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use crate::video::{
    job::JobId,
    store::{
        Change, ChangeKind, StoreError,
        sql::{SqlStore, claims::id_list, row},
    },
};

/// Selects the jobs of a list of ids.
const SELECT: &str =
    concat!("SELECT ", row::columns!(), " FROM video_jobs WHERE id IN (SELECT value FROM json_each($1))");

/// The interval between two reads without messages. Half of it is the median delay of a change.
const INTERVAL: Duration = Duration::from_millis(500);

/// The interval while messages are received: the longest delay of a change whose message was lost.
const INTERVAL_WITH_MESSAGES: Duration = Duration::from_secs(2);

/// The shortest time between two reads, however many are requested.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

/// How many revisions, and how many whole jobs, one statement reads.
const REVISIONS_PER_READ: usize = 1000;
const JOBS_PER_READ: usize = 100;

/// When the next poll is due.
#[derive(Debug, Default)]
pub(super) struct PollSchedule {
    receives_messages: AtomicBool,
    requested: Notify,
}

impl PollSchedule {
    /// Requests a poll at once.
    pub(super) fn request(&self) {
        self.requested.notify_one();
    }

    /// Sets whether messages are received now. A change requests a poll, which reads what had no message.
    pub(super) fn set_receives_messages(&self, receives: bool) {
        if self.receives_messages.swap(receives, Ordering::Relaxed) != receives {
            self.request();
        }
    }

    /// Waits for a request that was not waited for yet.
    pub(super) async fn requested(&self) {
        self.requested.notified().await;
    }

    async fn wait(&self) {
        sleep(MIN_INTERVAL).await;
        let messages = self.receives_messages.load(Ordering::Relaxed);
        let interval = if messages { INTERVAL_WITH_MESSAGES } else { INTERVAL };
        // Elapsed: the poll is due.
        let _ = timeout(interval.saturating_sub(MIN_INTERVAL), self.requested()).await;
    }
}

impl SqlStore {
    /// Publishes the changes of other nodes again and again.
    pub(super) async fn poll(&self, schedule: &PollSchedule) {
        loop {
            // For debugging only: subscribers also re-read their job at intervals, and return a persistent error to their clients.
            if let Err(error) = self.publish_changes_of_other_nodes().await {
                tracing::debug!("the changes of other nodes cannot be read: {error}");
            }
            schedule.wait().await;
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
        self.publish_jobs(&changed).await
    }

    /// Reads jobs, and publishes them to their subscribers.
    pub(super) async fn publish_jobs(&self, ids: &[String]) -> Result<(), StoreError> {
        for ids in ids.chunks(JOBS_PER_READ) {
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
