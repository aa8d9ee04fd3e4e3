//! Tasks at upstreams that take a request first and make its pictures afterwards: looked at until they are over, and
//! cancelled where nobody waits for them any more.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use tokio::time::{Instant, sleep_until};
use tokio_util::task::TaskTracker;

use crate::{
    error::ProviderError,
    upstream::{Upstream, within},
};

/// How many looks in a row may fail: the task is paid for, and upstreams forget new ones for a moment.
const MISSES: u32 = 5;

/// What a look may take: it is a small answer about a task that goes on meanwhile.
const LOOK: Duration = Duration::from_secs(30);

/// The tasks of an upstream, for one call. Clones share the connections.
#[derive(Debug, Clone)]
pub(super) struct Tasks {
    pub(super) upstream: Upstream,
    /// Where they are: a task is looked at under `PLACE/ID` and `look`, and cancelled under `PLACE/ID/cancel`.
    pub(super) place: &'static str,
    pub(super) look: &'static str,
    /// What goes with every request.
    pub(super) headers: HeaderMap,
    /// Between two looks at a task, and before the first.
    pub(super) interval: Duration,
    /// When nobody waits any more.
    pub(super) until: Instant,
    /// Counts the cancels that are still on their way.
    pub(super) background: TaskTracker,
}

/// What a look at a task tells.
pub(super) trait Look: Sized {
    /// From the answer to a look. `None`: the upstream does not know it, or not yet.
    fn read(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<Option<Self>, ProviderError>;

    fn stage(&self) -> Stage;
}

/// How far a task is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Waiting or being made. States nobody knows are among these: their end will be one that is known.
    Running,
    Done,
    Failed(ProviderError),
}

impl Tasks {
    /// Waits for a task that was taken.
    pub(super) fn watch(&self, id: String) -> Watch {
        Watch { tasks: self.clone(), id, misses: 0, over: false }
    }

    /// Tells the upstream that nobody waits for a task any more. Those that cannot cancel say so, and nobody minds.
    async fn cancel(self, id: String) {
        let until = Instant::now() + self.upstream.limits.connect;
        let path = format!("{}/{id}/cancel", self.place);
        match self.upstream.send(Method::POST, &path, self.headers, Bytes::new(), until).await {
            Ok(reply) => tracing::debug!(task = id, status = reply.status.as_u16(), "a task nobody waits for"),
            Err(error) => tracing::debug!(task = id, %error, "a task nobody waits for could not be cancelled"),
        }
    }
}

/// A task that is waited for. Dropped before its end, it is cancelled where the upstream can do that.
pub(super) struct Watch {
    tasks: Tasks,
    pub(super) id: String,
    misses: u32,
    over: bool,
}

impl Watch {
    /// Waits no longer for a task that goes on under another watch.
    pub(super) fn let_go(mut self) {
        self.over = true;
    }

    /// The task as it stands after a while, and whether it is done.
    ///
    /// # Errors
    /// Its failure, or that it is lost or late.
    pub(super) async fn next<T: Look>(&mut self) -> Result<(T, bool), ProviderError> {
        let late = || ProviderError::Timeout("the picture was not finished in time".to_owned());
        loop {
            let again = Instant::now() + self.tasks.interval;
            if again >= self.tasks.until {
                sleep_until(self.tasks.until).await;
                return Err(late());
            }
            sleep_until(again).await;
            match self.look::<T>().await {
                Ok(task) => {
                    self.misses = 0;
                    let stage = task.stage();
                    self.over = stage != Stage::Running;
                    return match stage {
                        Stage::Failed(error) => Err(self.tasks.upstream.redacted(error)),
                        Stage::Running | Stage::Done => Ok((task, self.over)),
                    };
                }
                Err(error @ (ProviderError::Credentials(_) | ProviderError::NotSupported(_))) => return Err(error),
                Err(error) => {
                    self.misses += 1;
                    tracing::debug!(task = self.id, %error, misses = self.misses, "a look at a task failed");
                    if self.misses > MISSES {
                        return Err(taken(error));
                    }
                }
            }
        }
    }

    async fn look<T: Look>(&self) -> Result<T, ProviderError> {
        let Tasks { upstream, place, look, headers, until, .. } = &self.tasks;
        let path = format!("{place}/{}{look}", self.id);
        let looking = async {
            let reply = upstream.send(Method::GET, &path, headers.clone(), Bytes::new(), *until).await?;
            let (status, headers) = (reply.status, reply.headers.clone());
            let body = upstream.body(reply, *until).await?;
            T::read(status, &headers, &body)
        };
        let task = within((*until).min(Instant::now() + LOOK.min(upstream.limits.idle)), looking).await?;
        task.map_err(|error| upstream.redacted(error))?
            .ok_or_else(|| ProviderError::Broken("the upstream does not know the task any more".to_owned()))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Outside a runtime everything is going down anyway.
        if !self.over
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            self.tasks.background.spawn_on(self.tasks.clone().cancel(std::mem::take(&mut self.id)), &runtime);
        }
    }
}

/// The failure of a task that was taken: it must not read as if it had not been.
fn taken(error: ProviderError) -> ProviderError {
    match error {
        ProviderError::Unreachable(message)
        | ProviderError::Unavailable { message, .. }
        | ProviderError::RateLimited { message, .. }
        | ProviderError::Refused { message, .. } => ProviderError::Broken(message),
        ProviderError::Overloaded { .. }
        | ProviderError::ContentPolicy(_)
        | ProviderError::Credentials(_)
        | ProviderError::NotSupported(_)
        | ProviderError::Timeout(_)
        | ProviderError::Broken(_)
        | ProviderError::Unreadable(_) => error,
    }
}
