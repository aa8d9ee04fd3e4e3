//! The proxy's two verbs: submit a task, and look at it until it is over.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use tokio::time::{Instant, sleep_until};
use tokio_util::task::TaskTracker;

use super::answer::{self, Stage, Task};
use crate::{
    call::REQUEST_ID,
    error::ProviderError,
    upstream::{Upstream, within},
};

/// How often a full queue is tried again, each wait twice as long as the one before.
const BACKOFFS: u32 = 4;
/// How many looks in a row may fail: the task is paid for, and proxies forget new ones for a moment.
const MISSES: u32 = 5;

/// What a look may take: it is a small answer about a task that goes on meanwhile.
const LOOK: Duration = Duration::from_secs(30);

/// A proxy. Clones share the connections.
#[derive(Debug, Clone)]
pub(super) struct Proxy {
    pub(super) upstream: Upstream,
    /// Between two looks at a task, and before the first.
    pub(super) interval: Duration,
    /// Follows a request through the proxy's logs.
    pub(super) request_id: String,
    /// When nobody waits any more.
    pub(super) until: Instant,
    /// Counts the cancels that are still on their way.
    pub(super) errands: TaskTracker,
}

impl Proxy {
    /// Submits a task and waits behind a full queue, for a while.
    ///
    /// # Errors
    /// As the proxy tells; nothing is under way then.
    pub(super) async fn submit(&self, path: &str, body: String) -> Result<Watch, ProviderError> {
        let body = Bytes::from(body);
        let (mut wait, mut tried) = (self.interval, 0);
        loop {
            let refused = match self.submit_once(path, body.clone()).await {
                Ok(id) => return Ok(Watch { proxy: self.clone(), id, misses: 0, over: false }),
                Err(error) => error,
            };
            let again = Instant::now() + wait;
            let full = matches!(refused, ProviderError::RateLimited { .. });
            if !full {
                return Err(self.upstream.redacted(refused));
            }
            if tried == BACKOFFS || again >= self.until {
                return Err(self.upstream.redacted(come_back(refused, wait)));
            }
            tracing::debug!(error = %refused, ?wait, "the proxy's queue is full");
            sleep_until(again).await;
            wait *= 2;
            tried += 1;
        }
    }

    async fn submit_once(&self, path: &str, body: Bytes) -> Result<String, ProviderError> {
        let reply = self.upstream.send(Method::POST, path, self.headers(), body, self.until).await?;
        let (status, headers) = (reply.status, reply.headers.clone());
        let body = self.upstream.body(reply, self.until).await?;
        answer::submitted(status, &headers, &body)
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(2);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Ok(id) = HeaderValue::try_from(&self.request_id) {
            headers.insert(REQUEST_ID, id);
        }
        headers
    }

    /// Tells the proxy that nobody waits for a task any more. Those that cannot cancel say so, and nobody minds.
    async fn cancel(self, id: String) {
        let until = Instant::now() + self.upstream.limits.connect;
        let path = format!("task/{id}/cancel");
        let sent = self.upstream.send(Method::POST, &path, self.headers(), Bytes::new(), until).await;
        match sent {
            Ok(reply) => tracing::debug!(task = id, status = reply.status.as_u16(), "a task nobody waits for"),
            Err(error) => tracing::debug!(task = id, %error, "a task nobody waits for could not be cancelled"),
        }
    }
}

/// A task that is waited for. Dropped before its end, it is cancelled where the proxy can do that.
pub(super) struct Watch {
    proxy: Proxy,
    pub(super) id: String,
    misses: u32,
    over: bool,
}

impl Watch {
    /// Waits no longer for a task that goes on under another watch.
    pub(super) fn let_go(mut self) {
        self.over = true;
    }

    /// The task as it stands after a while, running, asking or done.
    ///
    /// # Errors
    /// Its failure, or that it is lost or late.
    pub(super) async fn next(&mut self) -> Result<(Task, Stage), ProviderError> {
        let late = || ProviderError::Timeout("the picture was not finished in time".to_owned());
        loop {
            let again = Instant::now() + self.proxy.interval;
            if again >= self.proxy.until {
                sleep_until(self.proxy.until).await;
                return Err(late());
            }
            sleep_until(again).await;
            match self.look().await {
                Ok(task) => {
                    self.misses = 0;
                    let stage = task.stage();
                    self.over = matches!(stage, Stage::Done | Stage::Failed(_));
                    return match stage {
                        Stage::Failed(error) => Err(self.proxy.upstream.redacted(error)),
                        Stage::Running | Stage::Asking | Stage::Done => Ok((task, stage)),
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

    async fn look(&self) -> Result<Task, ProviderError> {
        let Proxy { upstream, until, .. } = &self.proxy;
        let path = format!("task/{}/fetch", self.id);
        let looking = async {
            let reply = upstream.send(Method::GET, &path, self.proxy.headers(), Bytes::new(), *until).await?;
            let (status, headers) = (reply.status, reply.headers.clone());
            let body = upstream.body(reply, *until).await?;
            answer::task(status, &headers, &body)
        };
        let task = within((*until).min(Instant::now() + LOOK.min(upstream.limits.idle)), looking).await?;
        task.map_err(|error| upstream.redacted(error))?
            .ok_or_else(|| ProviderError::Broken("the proxy does not know the task any more".to_owned()))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Outside a runtime everything is going down anyway.
        if !self.over
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            self.proxy.errands.spawn_on(self.proxy.clone().cancel(std::mem::take(&mut self.id)), &runtime);
        }
    }
}

/// The same refusal with a time to come back, if it names none.
fn come_back(refused: ProviderError, wait: Duration) -> ProviderError {
    if let ProviderError::RateLimited { message, retry_after } = refused {
        return ProviderError::RateLimited { message, retry_after: retry_after.or(Some(wait)) };
    }
    refused
}

/// The failure of a task that was taken: it must not read as if it had not been.
fn taken(error: ProviderError) -> ProviderError {
    match error {
        ProviderError::Unreachable(text) | ProviderError::Unavailable(text) => ProviderError::Broken(text),
        ProviderError::RateLimited { message, .. } | ProviderError::Refused { message, .. } => {
            ProviderError::Broken(message)
        }
        ProviderError::Overloaded { .. }
        | ProviderError::ContentPolicy(_)
        | ProviderError::Credentials(_)
        | ProviderError::NotSupported(_)
        | ProviderError::Timeout(_)
        | ProviderError::Broken(_)
        | ProviderError::Unreadable(_) => error,
    }
}
