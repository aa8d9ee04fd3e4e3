//! Messages between nodes about the jobs that they have changed.

use std::{collections::BTreeMap, mem, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, timeout_at};

use super::poll::PollSchedule;
use crate::{
    database::{Listener, Notifications},
    video::{
        job::JobId,
        store::{Change, StoreError, sql::SqlStore},
    },
};

/// How long changes are collected before they are sent together.
const COLLECT: Duration = Duration::from_millis(50);

/// The delay of the next attempt after a message could not be sent, or the server not be reached.
const RETRY: Duration = Duration::from_secs(1);

/// How many jobs one message has. A job takes at most 66 bytes of the 8,000 that a message can have.
const JOBS_PER_MESSAGE: usize = 100;

/// With more changed jobs than this, other nodes are asked to poll instead.
const MAX_JOBS: usize = 1000;

/// A message to the other nodes. A node that cannot read it, because a later version has sent it, polls.
#[derive(Debug, Serialize, Deserialize)]
struct Message {
    /// The node that sent it, by a number that is new in each process.
    sender: String,
    /// The changed jobs with their revisions; `None` if any job may have changed.
    jobs: Option<BTreeMap<String, u64>>,
}

impl Message {
    fn encode(&self) -> String {
        // Text and numbers: the conversion cannot fail.
        serde_json::json!(self).to_string()
    }
}

/// The changes that were not sent yet.
#[derive(Debug, Default)]
pub(super) struct Unsent {
    jobs: BTreeMap<String, u64>,
    /// Whether jobs that are not in `jobs` may have changed.
    others: bool,
}

impl Unsent {
    /// Adds a change; `None` stands for changes that were missed.
    pub(super) fn add(&mut self, change: Option<&Change>) {
        match change {
            Some(Change { job, .. }) if self.jobs.len() < MAX_JOBS => {
                self.jobs.insert(job.id.to_string(), job.revision);
            }
            Some(_) | None => self.others = true,
        }
    }

    fn is_empty(&self) -> bool {
        self.jobs.is_empty() && !self.others
    }

    /// Removes all changes, and returns them as messages.
    pub(super) fn take(&mut self, sender: &str) -> Vec<String> {
        let Self { jobs, others } = mem::take(self);
        let encode = |jobs| Message { sender: sender.to_owned(), jobs }.encode();
        if others {
            return vec![encode(None)];
        }
        let jobs: Vec<_> = jobs.into_iter().collect();
        jobs.chunks(JOBS_PER_MESSAGE).map(|jobs| encode(Some(jobs.iter().cloned().collect()))).collect()
    }
}

impl SqlStore {
    /// Sends the changes of this process to the other nodes.
    pub(super) async fn send_changes(&self, notifications: &Notifications, sender: &str) {
        let mut changes = self.feed.subscribe();
        let mut unsent = Unsent::default();
        loop {
            // After a failed message, the next attempt does not wait for another change.
            if unsent.is_empty() {
                unsent.add(changes.next().await.as_ref());
            }
            let end = Instant::now() + COLLECT;
            while let Ok(change) = timeout_at(end, changes.next()).await {
                unsent.add(change.as_ref());
            }
            for message in unsent.take(sender) {
                if let Err(error) = notifications.send(&message).await {
                    tracing::debug!("changes of jobs cannot be sent to other nodes: {error}");
                    unsent.others = true;
                    sleep(RETRY).await;
                    break;
                }
            }
        }
    }

    /// Publishes the changes that other nodes send.
    pub(super) async fn receive_changes(&self, notifications: &Notifications, own: &str, schedule: &PollSchedule) {
        loop {
            match notifications.listen().await {
                Ok(listener) => {
                    // It comes back if messages arrive, which they do not behind some poolers.
                    let probe = Message { sender: own.to_owned(), jobs: Some(BTreeMap::new()) };
                    if let Err(error) = notifications.send(&probe.encode()).await {
                        tracing::debug!("changes of jobs cannot be sent to other nodes: {error}");
                    }
                    let error = self.receive(listener, own, schedule).await;
                    schedule.set_receives_messages(false);
                    tracing::warn!("changes of jobs at other nodes are polled: the listener has failed: {error}");
                }
                Err(error) => tracing::debug!("the changes of other nodes cannot be listened to: {error}"),
            }
            sleep(RETRY).await;
        }
    }

    /// Receives messages until the listener fails. Returns its error.
    async fn receive(&self, mut listener: Listener, own: &str, schedule: &PollSchedule) -> sqlx::Error {
        loop {
            match listener.next().await {
                Ok(Some(text)) => match serde_json::from_str(&text) {
                    Ok(Message { sender, .. }) if sender == own => schedule.set_receives_messages(true),
                    Ok(Message { jobs: Some(jobs), .. }) => {
                        if let Err(error) = self.publish_later_revisions(jobs).await {
                            tracing::debug!("the changes of other nodes cannot be read: {error}");
                            schedule.request();
                        }
                    }
                    Ok(Message { jobs: None, .. }) | Err(_) => schedule.request(),
                },
                Ok(None) => schedule.request(),
                Err(error) => return error,
            }
        }
    }

    /// Publishes the jobs whose subscribers do not know this revision yet.
    async fn publish_later_revisions(&self, jobs: BTreeMap<String, u64>) -> Result<(), StoreError> {
        let is_later = |(id, revision): &(String, u64)| {
            let known = JobId::parse(id).and_then(|id| self.feed.known_revision(&id));
            known.is_some_and(|known| known < *revision)
        };
        let changed: Vec<_> = jobs.into_iter().filter(is_later).map(|(id, _)| id).collect();
        self.publish_jobs(&changed).await
    }
}
