//! The submission of tasks to a Midjourney proxy, with back-off while the queue of the proxy is full.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use tokio::time::{Instant, sleep_until};

use super::super::common::tasks::{TaskClient, TaskPoller};
use crate::{error::ProviderError, midjourney_errors::task_id};

/// How often a submission is retried while the queue is full. The wait doubles each time.
const MAX_RETRIES: u32 = 4;

/// A proxy. Clones share the connections.
#[derive(Debug, Clone)]
pub(super) struct Proxy(pub(super) TaskClient);

impl Proxy {
    /// Submits a task. Retries for a while if the queue is full.
    ///
    /// # Errors
    /// The proxy's error; no task was started.
    pub(super) async fn submit(&self, path: &str, body: String) -> Result<TaskPoller, ProviderError> {
        let Self(client) = self;
        let body = Bytes::from(body);
        let (mut wait, mut retries) = (client.interval, 0);
        loop {
            let error = match self.submit_once(path, body.clone()).await {
                Ok(id) => return Ok(client.poller(id)),
                Err(error) => error,
            };
            let next_attempt = Instant::now() + wait;
            if !matches!(error.failure(), ProviderError::RateLimited { .. }) {
                return Err(client.upstream.redacted(error));
            }
            if retries == MAX_RETRIES || next_attempt >= client.until {
                return Err(client.upstream.redacted(with_retry_after(error, wait)));
            }
            tracing::debug!(%error, ?wait, "the proxy's queue is full; retrying");
            sleep_until(next_attempt).await;
            wait *= 2;
            retries += 1;
        }
    }

    async fn submit_once(&self, path: &str, body: Bytes) -> Result<String, ProviderError> {
        let TaskClient { upstream, headers, until, .. } = &self.0;
        let reply = upstream.send(Method::POST, path, headers.clone(), body, *until).await?;
        let (status, headers) = (reply.status, reply.headers.clone());
        let body = upstream.body(reply, *until).await?;
        task_id(status, &headers, &body)
    }
}

/// Adds a time to retry after to a rate limit without one.
fn with_retry_after(error: ProviderError, wait: Duration) -> ProviderError {
    error.map_failure(|failure| {
        if let ProviderError::RateLimited { message, retry_after } = failure {
            return ProviderError::RateLimited { message, retry_after: retry_after.or(Some(wait)) };
        }
        failure
    })
}
