//! Submitting a task to the proxy.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use tokio::time::{Instant, sleep_until};

use super::{
    super::tasks::{Tasks, Watch},
    answer,
};
use crate::error::ProviderError;

/// How often a full queue is tried again, each wait twice as long as the one before.
const BACKOFFS: u32 = 4;

/// A proxy. Clones share the connections.
#[derive(Debug, Clone)]
pub(super) struct Proxy(pub(super) Tasks);

impl Proxy {
    /// Submits a task and waits behind a full queue, for a while.
    ///
    /// # Errors
    /// As the proxy tells; nothing is under way then.
    pub(super) async fn submit(&self, path: &str, body: String) -> Result<Watch, ProviderError> {
        let Self(tasks) = self;
        let body = Bytes::from(body);
        let (mut wait, mut tried) = (tasks.interval, 0);
        loop {
            let refused = match self.submit_once(path, body.clone()).await {
                Ok(id) => return Ok(tasks.watch(id)),
                Err(error) => error,
            };
            let again = Instant::now() + wait;
            let full = matches!(refused, ProviderError::RateLimited { .. });
            if !full {
                return Err(tasks.upstream.redacted(refused));
            }
            if tried == BACKOFFS || again >= tasks.until {
                return Err(tasks.upstream.redacted(come_back(refused, wait)));
            }
            tracing::debug!(error = %refused, ?wait, "the proxy's queue is full");
            sleep_until(again).await;
            wait *= 2;
            tried += 1;
        }
    }

    async fn submit_once(&self, path: &str, body: Bytes) -> Result<String, ProviderError> {
        let Tasks { upstream, headers, until, .. } = &self.0;
        let reply = upstream.send(Method::POST, path, headers.clone(), body, *until).await?;
        let (status, headers) = (reply.status, reply.headers.clone());
        let body = upstream.body(reply, *until).await?;
        answer::submitted(status, &headers, &body)
    }
}

/// The same refusal with a time to come back, if it names none.
fn come_back(refused: ProviderError, wait: Duration) -> ProviderError {
    if let ProviderError::RateLimited { message, retry_after } = refused {
        return ProviderError::RateLimited { message, retry_after: retry_after.or(Some(wait)) };
    }
    refused
}
