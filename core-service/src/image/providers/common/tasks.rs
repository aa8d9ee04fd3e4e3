//! Upstream APIs with asynchronous tasks: they respond to a request with the id of a task, which is polled until it ends, and
//! cancelled after a client disconnect.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use tokio::time::{Instant, sleep_until};
use tokio_util::task::TaskTracker;

use crate::{
    error::ProviderError,
    upstream::{Upstream, within},
};

/// How many consecutive polls may fail: the task is already paid for, and upstreams may not find a new task for a moment.
const MAX_FAILED_POLLS: u32 = 5;

/// The timeout of one poll. The response is small, and the task continues in the meantime.
const POLL_TIMEOUT: Duration = Duration::from_secs(30);

/// The tasks of one call at an upstream. Clones share the connections.
#[derive(Debug, Clone)]
pub(in crate::image::providers) struct TaskClient {
    pub(in crate::image::providers) upstream: Upstream,
    /// A task is polled at `PATH/ID` followed by `poll_suffix`, and cancelled at `PATH/ID/cancel`.
    pub(in crate::image::providers) path: &'static str,
    pub(in crate::image::providers) poll_suffix: &'static str,
    /// Sent with every request.
    pub(in crate::image::providers) headers: HeaderMap,
    /// The time before the first poll and between two polls.
    pub(in crate::image::providers) interval: Duration,
    /// When polling ends with a timeout.
    pub(in crate::image::providers) until: Instant,
    /// Tracks cancellations that are in flight.
    pub(in crate::image::providers) background: TaskTracker,
}

/// The response to a poll.
pub(in crate::image::providers) trait TaskStatus: Sized {
    /// Parses a response. `None` means that the upstream does not know the task, or not yet.
    fn parse(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<Option<Self>, ProviderError>;

    fn progress(&self) -> Progress;
}

/// The progress of a task.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::image::providers) enum Progress {
    /// Queued or running. Unknown states count as running: the state that ends the task will be a known one.
    Running,
    Succeeded,
    Failed(ProviderError),
}

/// The state of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::image::providers) enum TaskState {
    /// Queued or running, and every unknown state.
    Running,
    Succeeded,
    Failed,
    Cancelled,
}

impl TaskState {
    /// Returns the state that a word means, in any case.
    pub(in crate::image::providers) fn of(word: &str) -> Self {
        match word.trim().to_ascii_uppercase().as_str() {
            "SUCCESS" | "SUCCEEDED" | "COMPLETED" => Self::Succeeded,
            "FAILURE" | "FAILED" | "ERROR" => Self::Failed,
            "CANCEL" | "CANCELED" | "CANCELLED" => Self::Cancelled,
            _ => Self::Running,
        }
    }
}

impl TaskClient {
    /// Returns a poller for a submitted task.
    pub(in crate::image::providers) fn poller(&self, id: String) -> TaskPoller {
        TaskPoller { client: self.clone(), id, failed_polls: 0, is_over: false }
    }

    /// Cancels a task. Upstreams that cannot cancel respond with an error, which is logged at debug level only.
    async fn cancel(self, id: String) {
        let until = Instant::now() + self.upstream.timeouts.connect;
        let path = format!("{}/{id}/cancel", self.path);
        match self.upstream.send(Method::POST, &path, self.headers, Bytes::new(), until).await {
            Ok(reply) => tracing::debug!(task = id, status = reply.status.as_u16(), "requested cancellation of a task"),
            Err(error) => tracing::debug!(task = id, %error, "cancelling a task failed"),
        }
    }
}

/// Polls one task. Dropping it before the task has ended cancels the task at the upstream, in the background.
pub(in crate::image::providers) struct TaskPoller {
    client: TaskClient,
    pub(in crate::image::providers) id: String,
    /// How many consecutive polls have failed.
    failed_polls: u32,
    /// Whether the task has ended, or has another poller: it is then not cancelled on drop.
    is_over: bool,
}

impl TaskPoller {
    /// Stops polling without cancelling the task, which another poller polls.
    pub(in crate::image::providers) fn detach(mut self) {
        self.is_over = true;
    }

    /// Waits for the interval, polls the task, and returns its status and whether it has succeeded.
    ///
    /// # Errors
    /// The failure of the task; [`ProviderError::Timeout`] at the deadline; the last error if too many polls fail.
    pub(in crate::image::providers) async fn next<T: TaskStatus>(&mut self) -> Result<(T, bool), ProviderError> {
        let timeout = || ProviderError::Timeout("the upstream's task did not finish before the deadline".to_owned());
        loop {
            let next_poll = Instant::now() + self.client.interval;
            if next_poll >= self.client.until {
                sleep_until(self.client.until).await;
                return Err(timeout());
            }
            sleep_until(next_poll).await;
            match self.poll::<T>().await {
                Ok(status) => {
                    self.failed_polls = 0;
                    let progress = status.progress();
                    self.is_over = progress != Progress::Running;
                    return match progress {
                        Progress::Failed(error) => Err(self.client.upstream.redacted(error)),
                        Progress::Running | Progress::Succeeded => Ok((status, self.is_over)),
                    };
                }
                Err(error) => {
                    if matches!(error.failure(), ProviderError::Credentials(_) | ProviderError::NotSupported(_)) {
                        return Err(error);
                    }
                    self.failed_polls += 1;
                    tracing::debug!(task = self.id, %error, failed_polls = self.failed_polls, "polling a task failed");
                    if self.failed_polls > MAX_FAILED_POLLS {
                        return Err(after_submission(error));
                    }
                }
            }
        }
    }

    async fn poll<T: TaskStatus>(&self) -> Result<T, ProviderError> {
        let TaskClient { upstream, path, poll_suffix, headers, until, .. } = &self.client;
        let path = format!("{path}/{}{poll_suffix}", self.id);
        let poll = async {
            let reply = upstream.send(Method::GET, &path, headers.clone(), Bytes::new(), *until).await?;
            let (status, headers) = (reply.status, reply.headers.clone());
            let body = upstream.body(reply, *until).await?;
            T::parse(status, &headers, &body)
        };
        let status = within((*until).min(Instant::now() + POLL_TIMEOUT.min(upstream.timeouts.idle)), poll).await?;
        status
            .map_err(|error| upstream.redacted(error))?
            .ok_or_else(|| ProviderError::Broken("the upstream no longer knows the task".to_owned()))
    }
}

impl Drop for TaskPoller {
    fn drop(&mut self) {
        // Without a runtime the process is shutting down.
        if !self.is_over
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            self.client.background.spawn_on(self.client.clone().cancel(std::mem::take(&mut self.id)), &runtime);
        }
    }
}

/// Converts a polling error to one that does not imply that the upstream rejected the submission: the task may have been
/// executed and billed, so the request must not be retried elsewhere.
fn after_submission(error: ProviderError) -> ProviderError {
    error.map_failure(|failure| match failure {
        ProviderError::Unreachable(message)
        | ProviderError::Unavailable { message, .. }
        | ProviderError::RateLimited { message, .. }
        | ProviderError::Refused { message, .. } => ProviderError::Broken(message),
        ProviderError::Reported { .. }
        | ProviderError::Overloaded { .. }
        | ProviderError::ContentPolicy(_)
        | ProviderError::Credentials(_)
        | ProviderError::NotSupported(_)
        | ProviderError::Timeout(_)
        | ProviderError::Broken(_)
        | ProviderError::LinkExpired(_)
        | ProviderError::Unreadable(_) => failure,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_is_read_in_every_spelling() {
        for (words, state) in [
            (["SUCCESS", "succeeded", " Completed "], TaskState::Succeeded),
            (["FAILURE", "Failed", "error"], TaskState::Failed),
            (["CANCEL", "canceled", "Cancelled"], TaskState::Cancelled),
            (["", "IN_PROGRESS", "something new"], TaskState::Running),
        ] {
            for word in words {
                assert_eq!(TaskState::of(word), state, "{word}");
            }
        }
    }
}
