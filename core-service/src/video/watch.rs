//! Live snapshots of jobs, from whoever moves them in this process to whoever looks on.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::job::{Job, JobId};

/// One channel for each job that somebody looks at. Clones share the channels.
#[derive(Debug, Clone, Default)]
pub struct Watchers {
    // A std mutex: no await happens under it.
    channels: Arc<Mutex<HashMap<JobId, watch::Sender<Snapshot>>>>,
}

/// The newest snapshot since somebody began to look.
type Snapshot = Option<Arc<Job>>;

impl Watchers {
    /// Looks at a job. Subscribe first and read the store then: no change falls in between.
    pub fn subscribe(&self, id: &JobId) -> Watching {
        let mut channels = self.channels();
        let sender = channels.entry(id.clone()).or_insert_with(|| watch::channel(None).0);
        Watching { id: id.clone(), receiver: sender.subscribe(), watchers: self.clone() }
    }

    /// Shows a change. Older snapshots than the one shown last are dropped, so the order of the callers does not matter.
    pub fn publish(&self, job: &Job) {
        if let Some(sender) = self.channels().get(&job.id) {
            sender.send_if_modified(|shown| {
                let newer = shown.as_ref().is_none_or(|shown| shown.revision < job.revision);
                if newer {
                    *shown = Some(Arc::new(job.clone()));
                }
                newer
            });
        }
    }

    fn channels(&self) -> MutexGuard<'_, HashMap<JobId, watch::Sender<Snapshot>>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(crate) fn watched(&self) -> usize {
        self.channels().len()
    }
}

/// Somebody looking at one job. The last one to go takes the channel along.
#[derive(Debug)]
pub struct Watching {
    id: JobId,
    receiver: watch::Receiver<Snapshot>,
    watchers: Watchers,
}

impl Watching {
    /// The job.
    pub fn id(&self) -> &JobId {
        &self.id
    }

    /// The newest snapshot, once there is one that was not seen yet. Changes in between are skipped.
    pub async fn changed(&mut self) -> Arc<Job> {
        loop {
            if self.receiver.changed().await.is_err() {
                // The sender lives as long as anybody looks; without it nothing will ever change.
                std::future::pending::<()>().await;
            }
            if let Some(job) = self.receiver.borrow_and_update().clone() {
                return job;
            }
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let mut channels = self.watchers.channels();
        // This receiver still counts.
        if channels.get(&self.id).is_some_and(|sender| sender.receiver_count() <= 1) {
            channels.remove(&self.id);
        }
    }
}
