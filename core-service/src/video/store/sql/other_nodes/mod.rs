//! Publishes the changes that other nodes have committed to the subscribers of this process.
//!
//! Nodes send each other the revisions of jobs that they have changed (`messages.rs`). Because messages can be lost, each node also reads
//! the revisions of the jobs with subscribers at an interval, which is shorter while it receives no messages (`poll.rs`).

mod messages;
mod poll;
#[cfg(test)]
mod tests;

use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use self::poll::PollSchedule;
use super::SqlStore;
use crate::database::Notifications;

impl SqlStore {
    /// Starts to publish the changes of other nodes, and to send them the changes of this one, until the guard is dropped. Without
    /// notifications it only polls.
    pub(crate) fn follow_other_nodes(&self, notifications: Option<Notifications>, tasks: &TaskTracker) -> DropGuard {
        let stop = CancellationToken::new();
        let (stopped, store) = (stop.clone(), self.clone());
        tasks.spawn(async move { stopped.run_until_cancelled(store.follow(notifications)).await });
        stop.drop_guard()
    }

    async fn follow(&self, notifications: Option<Notifications>) {
        let schedule = PollSchedule::default();
        match notifications {
            None => self.poll(&schedule).await,
            Some(notifications) => {
                let sender = uuid::Uuid::new_v4().simple().to_string();
                tokio::join!(
                    self.poll(&schedule),
                    self.send_changes(&notifications, &sender),
                    self.receive_changes(&notifications, &sender, &schedule),
                );
            }
        }
    }
}
