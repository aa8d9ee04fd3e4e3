//! Committed changes of jobs, as a store publishes them to subscribers in this process.
//!
//! The store itself publishes after each commit, so no writer can forget to. A store that several nodes share also publishes the changes
//! of other nodes, to the subscribers of one job only and some time later (`sql/other_nodes.rs`).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{broadcast, watch},
    time::Instant,
};

use crate::video::job::{Job, JobId};

/// How many changes a slow subscriber may be behind before it misses some.
const CAPACITY: usize = 1024;

/// A committed change of a job.
#[derive(Debug, Clone)]
pub struct Change {
    /// The job after the change.
    pub job: Arc<Job>,
    /// The kind of change.
    pub kind: ChangeKind,
}

/// The kinds of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// The job was created.
    Created,
    /// The holder of the lease committed a new state.
    Committed,
    /// Something other than the holder of the lease changed the job: mostly a caller who cancelled or deleted it. Later commits of a step in progress are refused.
    Amended,
    /// Another node changed the job, as a read of the database has shown. Published only to the subscribers of the job.
    Observed,
}

/// The publisher of one store. Clones share the subscribers.
#[derive(Debug, Clone)]
pub(super) struct ChangeFeed {
    all: broadcast::Sender<Change>,
    // A std mutex: never held across an await.
    by_job: Arc<Mutex<HashMap<JobId, Topic>>>,
}

/// The subscribers of one job.
#[derive(Debug)]
struct Topic {
    newest: watch::Sender<Option<Change>>,
    /// When a subscriber last began to read the job again, or when the first one subscribed.
    read_at: Instant,
}

impl Topic {
    /// The newest revision that was published, 0 if none was.
    fn revision(&self) -> u64 {
        self.newest.borrow().as_ref().map_or(0, |change| change.job.revision)
    }
}

impl Default for ChangeFeed {
    fn default() -> Self {
        Self { all: broadcast::Sender::new(CAPACITY), by_job: Arc::default() }
    }
}

impl ChangeFeed {
    /// Publishes a committed change. Concurrent commits may publish out of order: a subscription to
    /// one job ignores older revisions, a subscription to all jobs does not.
    pub(super) fn publish(&self, job: &Job, kind: ChangeKind) {
        let change = Change { job: Arc::new(job.clone()), kind };
        self.publish_to_subscribers(change.clone());
        // Fails only without subscribers.
        let _ = self.all.send(change);
    }

    /// Publishes a change to the subscribers of its job alone. An older revision than the newest is ignored.
    pub(super) fn publish_to_subscribers(&self, change: Change) {
        let by_job = self.by_job();
        let Some(topic) = by_job.get(&change.job.id) else { return };
        topic.newest.send_if_modified(|newest| {
            let newer = newest.as_ref().is_none_or(|newest| newest.job.revision < change.job.revision);
            if newer {
                *newest = Some(change);
            }
            newer
        });
    }

    /// Subscribes to the changes of all jobs.
    pub(super) fn subscribe(&self) -> Changes {
        Changes(self.all.subscribe())
    }

    /// Subscribes to the changes of one job.
    pub(super) fn subscribe_to(&self, id: &JobId) -> JobChanges {
        let mut by_job = self.by_job();
        let topic = by_job.entry(id.clone()).or_insert_with(|| {
            let (newest, _) = watch::channel(None);
            Topic { newest, read_at: Instant::now() }
        });
        JobChanges { id: id.clone(), receiver: topic.newest.subscribe(), feed: self.clone() }
    }

    /// Returns the jobs with subscribers of their own, each with the newest revision that was published to them; 0 if none was.
    pub(super) fn subscribed(&self) -> HashMap<JobId, u64> {
        self.by_job().iter().map(|(id, topic)| (id.clone(), topic.revision())).collect()
    }

    /// Returns the newest revision that was published to the subscribers of a job, 0 if none was; `None` without subscribers.
    pub(super) fn known_revision(&self, id: &JobId) -> Option<u64> {
        self.by_job().get(id).map(Topic::revision)
    }

    fn by_job(&self) -> MutexGuard<'_, HashMap<JobId, Topic>> {
        self.by_job.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of jobs with a subscriber of their own.
    #[cfg(test)]
    pub(super) fn subscribed_jobs(&self) -> usize {
        self.by_job().len()
    }
}

/// A subscription to the changes of all jobs.
#[derive(Debug)]
pub struct Changes(broadcast::Receiver<Change>);

impl Changes {
    /// Waits for the next change. `None`: some changes were missed, and the subscriber must read the store. Cancel safe.
    pub async fn next(&mut self) -> Option<Change> {
        match self.0.recv().await {
            Ok(change) => Some(change),
            Err(broadcast::error::RecvError::Lagged(_)) => None,
            // The store is gone: nothing will change.
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// A subscription to the changes of one job. Changes in quick succession are merged into the newest.
#[derive(Debug)]
pub struct JobChanges {
    id: JobId,
    receiver: watch::Receiver<Option<Change>>,
    feed: ChangeFeed,
}

impl JobChanges {
    /// Waits for a change that was published after the subscription began and that `next` has not returned yet. Cancel safe.
    pub async fn next(&mut self) -> Change {
        loop {
            if self.receiver.changed().await.is_err() {
                // The sender lives as long as there are subscribers.
                std::future::pending::<()>().await;
            }
            if let Some(change) = self.receiver.borrow_and_update().clone() {
                return change;
            }
        }
    }

    /// Returns the newest published change, even if it was published before the subscription began; `next` may return it again.
    pub fn newest(&self) -> Option<Change> {
        self.receiver.borrow().clone()
    }

    /// Claims the next read of the job from the store: returns `true` to the subscriber that has to read it now. Of all subscribers of a job, one does
    /// so per interval.
    pub fn is_reader(&self, interval: Duration) -> bool {
        let mut by_job = self.feed.by_job();
        let Some(topic) = by_job.get_mut(&self.id) else { return false };
        let is_due = topic.read_at.elapsed() >= interval;
        if is_due {
            topic.read_at = Instant::now();
        }
        is_due
    }

    /// Publishes the job that the reader read to all subscribers of the job. An older revision is ignored.
    pub fn publish_read(&self, job: Arc<Job>) {
        self.feed.publish_to_subscribers(Change { job, kind: ChangeKind::Observed });
    }
}

impl Drop for JobChanges {
    fn drop(&mut self) {
        let mut by_job = self.feed.by_job();
        // Dropped under the lock: two concurrent drops would otherwise each count the receiver of the other, and neither remove the topic.
        drop(std::mem::replace(&mut self.receiver, watch::channel(None).1));
        if by_job.get(&self.id).is_some_and(|topic| topic.newest.receiver_count() == 0) {
            by_job.remove(&self.id);
        }
    }
}
